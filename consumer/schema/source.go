package schema

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/sr"
)

// maxReferences bounds what one schema may refer to, directly or not.
const maxReferences = 1000

// source is a schema as text, with all that it refers to.
type source struct {
	typ  sr.SchemaType
	text string
	refs []reference
}

// reference is one mention of a schema by another. A schema that is mentioned twice
// is in two references.
type reference struct {
	name string // a full name in Avro, a path in Protobuf, a URI in JSON Schema
	from int    // index of the reference whose text mentions it; -1 is the schema itself
	text string
}

// source is the source of a reader's schema that is given as text.
func (r Reader) source() source {
	src := source{typ: r.Type, text: r.Text}
	for _, name := range slices.Sorted(maps.Keys(r.References)) {
		src.refs = append(src.refs, reference{name, -1, r.References[name]})
	}
	return src
}

type version struct {
	subject string
	number  int
}

// resolve fetches all that a schema refers to. Deleted versions count: what was
// written by them is still there.
func resolve(ctx context.Context, cl *sr.Client, s sr.Schema) (source, *Error) {
	ctx = sr.WithParams(ctx, sr.ShowDeleted)
	src := source{typ: s.Type, text: s.Schema}
	fetched := make(map[version]sr.Schema)
	type mention struct {
		from int
		sr.SchemaReference
	}
	var queue []mention
	enqueue := func(from int, refs []sr.SchemaReference) {
		for _, ref := range refs {
			queue = append(queue, mention{from, ref})
		}
	}
	enqueue(-1, s.References)
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		if len(src.refs) == maxReferences {
			return source{}, failf(ErrInvalidSchema, "it refers to more than %d schemas", maxReferences)
		}
		v := version{m.Subject, m.Version}
		to, ok := fetched[v]
		if !ok {
			got, err := cl.SchemaByVersion(ctx, v.subject, v.number)
			if err != nil {
				failure := answered(err)
				failure.Err = fmt.Errorf("its reference %q, subject %s version %d: %w", m.Name, v.subject, v.number, failure.Err)
				return source{}, failure
			}
			to = got.Schema
			fetched[v] = to
		}
		if to.Type != s.Type {
			return source{}, failf(ErrInvalidSchema, "its reference %q is %v, not %v", m.Name, to.Type, s.Type)
		}
		src.refs = append(src.refs, reference{m.Name, m.from, to.Schema})
		if !ok { // the first mention; another one's references would be the same
			enqueue(len(src.refs)-1, to.References)
		}
	}
	return src, nil
}

// compiled is a schema ready for use. It is safe for concurrent use.
type compiled interface {
	// decode reads a payload written by this schema: by the reader's if that is not
	// nil, and into a pointer if that is not nil. It returns the name of the record
	// or message by the writer's schema, and the value, or into.
	decode(payload []byte, reader compiled, into any) (name string, value any, failure *Error)
}

// compile returns an error of kind ErrInvalidSchema if it fails.
func compile(ctx context.Context, src source) (compiled, *Error) {
	var c compiled
	var err error
	switch src.typ {
	case sr.TypeAvro:
		c, err = compileAvro(src)
	case sr.TypeProtobuf:
		c, err = compileProtobuf(ctx, src)
	case sr.TypeJSON:
		c, err = compileJSON(src)
	default:
		err = fmt.Errorf("its type %v is none of Avro, Protobuf and JSON Schema", src.typ)
	}
	if err != nil {
		return nil, fail(ErrInvalidSchema, err)
	}
	return c, nil
}
