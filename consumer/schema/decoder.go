package schema

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// outagePause is how long a schema that could not be had for reasons of the registry's
// is not asked for again: a registry that is overloaded is not hammered by all the
// records that wait for it.
const outagePause = 250 * time.Millisecond

// Value is what a record holds.
type Value struct {
	// Data is the value; nil if the record is a tombstone.
	//
	//   - Avro: the natural Go types, a map[string]any for a record; time.Time,
	//     *big.Rat and the like for logical types. See [avro.Schema.Decode].
	//   - Protobuf: a proto.Message, made of the schema (dynamicpb).
	//   - JSON Schema: what encoding/json makes of it, with json.Number for numbers.
	Data     any
	SchemaID int // of the schema that the value was written by; 0 for a tombstone
	// Key is the key, in the same way; nil if there is none, or no rule for keys.
	Key         any
	KeySchemaID int
}

// Decoder decodes records by the schemas of a registry. It is safe for concurrent
// use; make one, and share it among the consumers of a process.
type Decoder struct {
	cfg      Config
	rules    rules // of topics that have none of their own
	topics   map[string]rules
	writers  cache[int, compiled]
	readers  cache[readerKey, compiled]
	subjects cache[claim, struct{}]
}

type rules struct {
	value *rule
	key   *rule // nil: keys are not looked at
}

// rule is a Rule ready for use.
type rule struct {
	subject SubjectName
	suffix  string    // of a subject by TopicName
	given   compiled  // the reader's schema, if its text was given
	asked   readerKey // or where to get it; the zero value: read by the writer's
}

type readerKey struct {
	subject string
	version int
	message string
}

// claim is that a schema is registered under a subject.
type claim struct {
	id      int
	subject string
}

// New checks the configuration, compiles the schemas that it holds as text, and returns
// a Decoder. It asks nothing of the registry yet, and needs no end.
func New(cfg Config) (*Decoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	d := &Decoder{cfg: cfg, topics: make(map[string]rules)}
	var err error
	if d.rules, err = newRules("", cfg.Value, cfg.Key); err != nil {
		return nil, err
	}
	for topic, t := range cfg.Topics {
		if d.topics[topic], err = newRules("Topics["+topic+"].", t.Value, t.Key); err != nil {
			return nil, err
		}
	}
	d.writers = cache[int, compiled]{load: d.loadWriter, timeout: cfg.RequestTimeout, memory: d.memory, max: cfg.MaxSchemas}
	d.subjects = cache[claim, struct{}]{load: d.loadClaim, timeout: cfg.RequestTimeout, memory: d.memory, max: cfg.MaxSchemas}
	// There are as many readers as rules, and the latest version must not change.
	d.readers = cache[readerKey, compiled]{load: d.loadReader, timeout: cfg.RequestTimeout, memory: d.memory, max: math.MaxInt}
	return d, nil
}

func newRules(field string, value Rule, key *Rule) (rules, error) {
	var r rules
	var err error
	if r.value, err = newRule(field+"Value", "-value", value); err != nil {
		return r, err
	}
	if key != nil {
		r.key, err = newRule(field+"Key", "-key", *key)
	}
	return r, err
}

func newRule(field, suffix string, from Rule) (*rule, error) {
	r := &rule{subject: from.Subject, suffix: suffix}
	switch reader := from.Reader; {
	case reader.Text != "":
		given, failure := reader.compile(context.Background())
		if failure != nil {
			return nil, fmt.Errorf("schema: %s.Reader: %w", field, failure)
		}
		r.given = given
	case reader.Subject != "":
		r.asked = readerKey{reader.Subject, reader.Version, reader.Message}
	}
	return r, nil
}

// Decode decodes a record by the rules of its topic. An error is ready to be returned
// by a handler, alone or in [consumer.FailedAt]; it wraps an [*Error].
func (d *Decoder) Decode(ctx context.Context, r *kgo.Record) (Value, error) {
	return d.decode(ctx, r, nil)
}

// decode decodes the value into a pointer, if that is not nil.
func (d *Decoder) decode(ctx context.Context, r *kgo.Record, into any) (Value, error) {
	by, ok := d.topics[r.Topic]
	if !ok {
		by = d.rules
	}
	var v Value
	var failure *Error
	if r.Value != nil {
		if v.SchemaID, v.Data, failure = d.part(ctx, by.value, r.Topic, r.Value, into); failure != nil {
			return Value{}, failure.verdict(v.SchemaID)
		}
	}
	if r.Key != nil && by.key != nil {
		if v.KeySchemaID, v.Key, failure = d.part(ctx, by.key, r.Topic, r.Key, nil); failure != nil {
			failure.Key = true
			return Value{}, failure.verdict(v.SchemaID)
		}
	}
	return v, nil
}

// part decodes a key or a value. The failure is the caller's own.
func (d *Decoder) part(ctx context.Context, by *rule, topic string, b []byte, into any) (int, any, *Error) {
	id, payload, err := splitHeader(b)
	if err != nil {
		return 0, nil, fail(ErrWireFormat, err)
	}
	value, failure := d.payload(ctx, by, topic, id, payload, into)
	if failure != nil {
		own := *failure // others may have the same from the cache
		own.SchemaID = id
		return id, nil, &own
	}
	return id, value, nil
}

func (d *Decoder) payload(ctx context.Context, by *rule, topic string, id int, payload []byte, into any) (any, *Error) {
	writer, failure := d.writers.get(ctx, id)
	if failure != nil {
		return nil, failure
	}
	reader := by.given
	if by.asked != (readerKey{}) {
		if reader, failure = d.readers.get(ctx, by.asked); failure != nil {
			return nil, failure
		}
	}
	name, value, failure := writer.decode(payload, reader, into)
	if failure != nil {
		return nil, failure
	}
	if by.subject != AnySubject {
		if name == "" && by.subject != TopicName {
			return nil, failf(ErrMismatch, "it has no name that a subject could be called by")
		}
		if _, failure := d.subjects.get(ctx, claim{id, by.subjectOf(topic, name)}); failure != nil {
			return nil, failure
		}
	}
	return value, nil
}

func (r *rule) subjectOf(topic, name string) string {
	switch r.subject {
	case RecordName:
		return name
	case TopicRecordName:
		return topic + "-" + name
	}
	return topic + r.suffix
}

func (d *Decoder) loadWriter(ctx context.Context, id int) (compiled, *Error) {
	s, err := d.cfg.Registry.SchemaByID(ctx, id)
	if err != nil {
		return nil, answered(err)
	}
	return d.compile(ctx, s)
}

func (d *Decoder) compile(ctx context.Context, s sr.Schema) (compiled, *Error) {
	src, failure := resolve(ctx, d.cfg.Registry, s)
	if failure != nil {
		return nil, failure
	}
	return compile(ctx, src)
}

func (d *Decoder) loadReader(ctx context.Context, k readerKey) (c compiled, failure *Error) {
	defer func() {
		if failure == nil {
			return
		}
		what := fmt.Sprintf("reader's schema, subject %s version %d", k.subject, k.version)
		if failure.transient() {
			failure = failf(failure.Kind, "%s: %w", what, failure.Err)
			return
		}
		failure = failf(ErrReader, "%s: %w", what, errors.Join(failure.Unwrap()...))
	}()
	number := k.version
	if number == 0 {
		number = -1 // the client's word for the latest
	}
	s, err := d.cfg.Registry.SchemaByVersion(ctx, k.subject, number)
	if err != nil {
		return nil, answered(err)
	}
	if c, failure = d.compile(ctx, s.Schema); failure != nil {
		return nil, failure
	}
	return Reader{Message: k.message}.named(c)
}

func (d *Decoder) loadClaim(ctx context.Context, c claim) (struct{}, *Error) {
	subjects, err := d.cfg.Registry.SubjectsByID(sr.WithParams(ctx, sr.ShowDeleted), c.id)
	if err != nil {
		return struct{}{}, answered(err)
	}
	for _, s := range subjects {
		// With a context it reads ":.CONTEXT:SUBJECT".
		if s == c.subject || strings.HasPrefix(s, ":.") && strings.HasSuffix(s, ":"+c.subject) {
			return struct{}{}, nil
		}
	}
	return struct{}{}, failf(ErrMismatch, "it is registered under %q, not under %q", subjects, c.subject)
}

// memory is how long a failure to get a schema is taken for the answer.
func (d *Decoder) memory(failure *Error) time.Duration {
	if failure.transient() {
		return outagePause
	}
	return d.cfg.UnknownTTL
}
