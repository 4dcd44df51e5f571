package consumer

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that nothing shows: fmt, log/slog, and the encoders of JSON, YAML
// and text write "[secret]" in its place, also where it stands inside of another
// value. Only [Secret.Reveal] gives it away. The zero value is no secret.
type Secret struct {
	// A pointer: fmt prints what it finds in an unexported field without asking for
	// methods, and of a pointer inside of a value it prints the address.
	text *string
}

const hidden = "[secret]"

// NewSecret returns text as a secret; the zero value if text is empty.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero tells whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// String returns "[secret]", or nothing if there is none.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return hidden
}

// Format implements [fmt.Formatter], for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return s.String() }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements [encoding/json.Marshaler].
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalYAML implements the Marshaler of the yaml packages.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
