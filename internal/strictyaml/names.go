package strictyaml

import (
	"strings"
	"unicode"

	"github.com/ksim-dev/ksim/internal/edits"
)

// Key is how a name in Go is written in a file: MaxPollInterval is max-poll-interval,
// TLS.CAFile tls.ca-file.
func Key(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && runes[i-1] != '.' {
			ends := i+1 < len(runes) && unicode.IsLower(runes[i+1]) // an acronym ends before this word
			if unicode.IsLower(runes[i-1]) || ends {
				b.WriteByte('-')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Bare is a name without what spellings differ in.
func Bare(name string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(name))
}

// Nearest returns the name that was probably meant; "" if none is near.
func Nearest(name string, names []string) string {
	best, at := "", max(2, len(name)/4)+1
	for _, n := range names {
		if Bare(n) == Bare(name) {
			return n
		}
		if d := edits.Distance(Bare(name), Bare(n)); d < at && d < len(n)/2 {
			best, at = n, d
		}
	}
	return best
}
