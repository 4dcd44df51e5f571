package schema

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/ksim-dev/ksim/consumer"
)

// Kinds of [*Error], for errors.Is.
var (
	// ErrWireFormat: the bytes do not begin with the zero byte and a schema id.
	ErrWireFormat = errors.New("not in the wire format of a schema registry")
	// ErrUnknownSchema: the registry says that it has no such schema, or not one
	// that it refers to. It is asked again after Config.UnknownTTL.
	ErrUnknownSchema = errors.New("the registry does not know the schema")
	// ErrInvalidSchema: the writer's schema does not compile.
	ErrInvalidSchema = errors.New("the schema does not compile")
	// ErrPayload: the bytes are not what their schema says.
	ErrPayload = errors.New("the payload does not fit its schema")
	// ErrMismatch: the schema is of another type than the reader's (Avro,
	// Protobuf, JSON Schema), of another message, or not of the subject that
	// Rule.Subject asks for.
	ErrMismatch = errors.New("the schema is not of the kind expected here")
	// ErrIncompatible: the reader's schema, or Go type, cannot take what was
	// written by the writer's.
	ErrIncompatible = errors.New("the reader cannot read what the writer's schema writes")

	// ErrUnavailable: the registry did not answer, or not with an answer. This is
	// [consumer.Unavailable], never poison.
	ErrUnavailable = errors.New("the schema registry is unavailable")
	// ErrUnauthorized: the registry refuses the credentials, or access to the
	// schema. It says nothing about the record, and often ends by itself: a token
	// is renewed, a gateway comes back, an operator grants it. So it is
	// [consumer.Unavailable] too: the partitions that need the schema wait, all
	// others go on, and nothing has to be restarted.
	ErrUnauthorized = errors.New("the schema registry refuses access; check the credentials and permissions of this consumer")

	// ErrReader: the reader's schema, named by its subject, does not exist or does
	// not compile. No record can be read by it: this is [consumer.Fatal].
	ErrReader = errors.New("the reader's schema cannot be had")
)

// Error tells why the key or value of a record was not decoded. errors.Is finds its
// Kind and what its Err wraps.
type Error struct {
	Kind     error // one of the Err… of this package
	SchemaID int   // 0 if it could not be read
	Key      bool  // of the key, not the value
	Err      error // more about it; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("schema: ")
	if e.Key {
		b.WriteString("key: ")
	}
	if e.SchemaID != 0 {
		fmt.Fprintf(&b, "schema %d: ", e.SchemaID)
	}
	b.WriteString(e.Kind.Error())
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func fail(kind, err error) *Error { return &Error{Kind: kind, Err: err} }

func failf(kind error, format string, args ...any) *Error {
	return fail(kind, fmt.Errorf(format, args...))
}

// transient tells whether it is the registry's, not the record's.
func (e *Error) transient() bool {
	return errors.Is(e.Kind, ErrUnavailable) || errors.Is(e.Kind, ErrUnauthorized)
}

// verdict says to the consumer what to do with the record. valueID is the schema of
// its value, 0 if unknown.
func (e *Error) verdict(valueID int) error {
	switch {
	case e.transient():
		return consumer.Unavailable(e)
	case errors.Is(e.Kind, ErrReader):
		return consumer.Fatal(e)
	}
	err := consumer.Annotate(consumer.Permanent(e), consumer.HeaderStage, "decode")
	return annotateID(err, valueID)
}

func annotateID(err error, valueID int) error {
	if valueID == 0 {
		return err
	}
	return consumer.Annotate(err, consumer.HeaderSchemaID, strconv.Itoa(valueID))
}

// answered sorts an error of the registry's client. Only the registry's own word that
// there is no such thing is permanent. A bare 404 is what a wrong address or a
// gateway without its backend says, and must not cost a record.
func answered(err error) *Error {
	var resp *sr.ResponseError
	if !errors.As(err, &resp) {
		return fail(ErrUnavailable, err)
	}
	err = fmt.Errorf("%s %s: status %d, error code %d: %w", resp.Method, resp.URL, resp.StatusCode, resp.ErrorCode, err)
	switch {
	case resp.StatusCode == http.StatusNotFound && sr.IsNotFoundError(resp.ErrorCode):
		return fail(ErrUnknownSchema, err)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return fail(ErrUnauthorized, err)
	case resp.StatusCode == http.StatusNotFound:
		return failf(ErrUnavailable, "is this the base URL of a registry? %w", err)
	}
	return fail(ErrUnavailable, err)
}
