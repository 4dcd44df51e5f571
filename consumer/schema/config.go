package schema

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Config says how to decode records. Only Registry is needed.
type Config struct {
	// Registry is a client of the Schema Registry, with what it needs of addresses,
	// credentials and TLS.
	Registry *sr.Client
	// Value is the rule for values. The zero value takes any schema of the registry
	// and reads by it as it is.
	Value Rule
	// Key is the rule for keys. Nil: keys are plain bytes, and not looked at.
	Key *Rule
	// Topics has the rules of topics that differ; a topic in it has only those.
	Topics map[string]Topic

	// RequestTimeout bounds the wait for the registry for one schema, with all that it
	// refers to. Zero means 5 s. It should be well below consumer.Config.HandlerTimeout.
	RequestTimeout time.Duration
	// MaxSchemas is how many compiled schemas are kept, those used last, and how many
	// ids that the registry does not know. Zero means 1000.
	MaxSchemas int
	// UnknownTTL is how long an id that the registry does not know is refused without
	// asking again. Zero means 10 s.
	UnknownTTL time.Duration
}

// Topic has the rules of one topic.
type Topic struct {
	Value Rule
	Key   *Rule
}

// Rule says which schemas are right for a value or key, and by which it is read.
type Rule struct {
	// Reader is the schema to read by; the zero value means the writer's own.
	Reader Reader
	// Subject refuses records whose schema is not registered under the subject that
	// this strategy names, [ErrMismatch]: a producer took the wrong schema.
	Subject SubjectName
}

// SubjectName is a strategy to name the subject of a record's schema, as producers
// have it.
type SubjectName string

// The strategies.
const (
	AnySubject      SubjectName = ""             // is not looked at
	TopicName       SubjectName = "topic"        // TOPIC-value or TOPIC-key
	RecordName      SubjectName = "record"       // full name of the record or message; the title in JSON Schema
	TopicRecordName SubjectName = "topic-record" // TOPIC-NAME
)

// Reader is the schema that a consumer was built for. Records written by other
// versions are read as it says:
//
//   - Avro resolves the writer's schema to it: fields are matched by name or alias,
//     those that were not written have their default, numbers are promoted.
//   - Protobuf reads what has the same field numbers; what the reader does not know
//     is kept as unknown fields.
//   - JSON Schema checks the value against both. A reader that allows additional
//     properties takes what newer writers add.
//
// Give the schema as Text, or the Subject that it is registered under.
type Reader struct {
	Text string
	Type sr.SchemaType // of Text; the zero value is Avro
	// References has the schemas that Text refers to, by the name it uses: a full name
	// in Avro, the path of an import in Protobuf, a URI in JSON Schema.
	References map[string]string

	// Subject and Version name a schema in the registry; version 0 is the latest one at
	// the time of the first record, which is then kept for the life of the Decoder.
	Subject string
	Version int

	// Message is the full name of the only Protobuf message to accept. Empty: of
	// Text's messages, the one that has the name of the writer's.
	Message string
}

func (r Reader) given() bool { return r.Text != "" || r.Subject != "" }

func (c Config) withDefaults() Config {
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 5 * time.Second
	}
	if c.MaxSchemas == 0 {
		c.MaxSchemas = 1000
	}
	if c.UnknownTTL == 0 {
		c.UnknownTTL = 10 * time.Second
	}
	return c
}

// Validate returns all that is wrong, joined, each error naming its field; nil if
// nothing is. It does not compile schemas; [New] does.
func (c Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("schema: "+format, args...))
		}
	}
	need(c.Registry != nil, "Registry: give a client of the Schema Registry, see sr.NewClient")
	need(c.RequestTimeout >= 0, "RequestTimeout: %v is negative", c.RequestTimeout)
	need(c.MaxSchemas >= 0, "MaxSchemas: %d is negative", c.MaxSchemas)
	need(c.UnknownTTL >= 0, "UnknownTTL: %v is negative", c.UnknownTTL)
	strategies := []SubjectName{AnySubject, TopicName, RecordName, TopicRecordName}
	for _, n := range c.rules() {
		r := n.rule.Reader
		need(slices.Contains(strategies, n.rule.Subject), "%s.Subject: %q is none of %q", n.field, n.rule.Subject, strategies[1:])
		need(r.Text == "" || r.Subject == "", "%s.Reader: both Text and Subject are given; one of them is enough", n.field)
		need(r.Text != "" || len(r.References) == 0, "%s.Reader.References: there is no Text that could refer to them", n.field)
		need(r.Subject != "" || r.Version == 0, "%s.Reader.Version: %d is given without a Subject", n.field, r.Version)
		need(r.Version >= 0, "%s.Reader.Version: %d is negative; 0 is the latest", n.field, r.Version)
		need(r.Text == "" || r.Type >= sr.TypeAvro && r.Type <= sr.TypeJSON, "%s.Reader.Type: %d is none of Avro, Protobuf and JSON Schema", n.field, r.Type)
		need(r.Message == "" || r.given(), "%s.Reader.Message: %s is given without a schema", n.field, r.Message)
		need(r.Message == "" || r.Text == "" || r.Type == sr.TypeProtobuf, "%s.Reader.Message: only a Protobuf schema has messages", n.field)
	}
	return errors.Join(errs...)
}

// namedRule is a rule, and the field of Config that it is in.
type namedRule struct {
	field string
	rule  *Rule
}

func (c Config) rules() []namedRule {
	out := []namedRule{{"Value", &c.Value}}
	add := func(field string, r *Rule) {
		if r != nil {
			out = append(out, namedRule{field, r})
		}
	}
	add("Key", c.Key)
	for _, topic := range slices.Sorted(maps.Keys(c.Topics)) {
		t := c.Topics[topic]
		add(fmt.Sprintf("Topics[%s].Value", topic), &t.Value)
		add(fmt.Sprintf("Topics[%s].Key", topic), t.Key)
	}
	return out
}

// compile makes a reader's schema of its text.
func (r Reader) compile(ctx context.Context) (compiled, *Error) {
	c, failure := compile(ctx, r.source())
	if failure != nil {
		return nil, failure
	}
	return r.named(c)
}

// named tells a Protobuf schema which message the reader wants.
func (r Reader) named(c compiled) (compiled, *Error) {
	if r.Message == "" {
		return c, nil
	}
	p, ok := c.(*protoSchema)
	if !ok {
		return nil, failf(ErrInvalidSchema, "it is not Protobuf, and so has no message %s", r.Message)
	}
	p.message = protoreflect.FullName(r.Message)
	if p.find(p.message) == nil {
		return nil, failf(ErrInvalidSchema, "it has no message %s", r.Message)
	}
	return p, nil
}
