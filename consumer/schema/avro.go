package schema

import (
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/avro"
)

// avroSchema is a compiled Avro schema.
type avroSchema struct {
	schema *avro.Schema
	name   string
	// resolutions holds a resolution for each reader's schema: there are as many as
	// Config names.
	resolutions sync.Map // of resolution by *avroSchema
}

type resolution struct {
	schema  *avro.Schema
	failure *Error
}

// compileAvro compiles what a schema refers to before it. The order is found by trying:
// a schema given as text does not tell it.
func compileAvro(src source) (*avroSchema, error) {
	var types avro.SchemaCache
	// Old writers of Avro did not check names, and registries hold what they wrote.
	lax := avro.WithLaxNames(nil)
	seen := make(map[string]bool)
	var todo []reference
	for _, ref := range src.refs {
		if !seen[ref.text] {
			seen[ref.text] = true
			todo = append(todo, ref)
		}
	}
	for len(todo) > 0 {
		var left []reference
		var failed error
		for _, ref := range todo {
			if _, err := types.Parse(ref.text, lax); err != nil {
				left = append(left, ref)
				failed = errors.Join(failed, fmt.Errorf("reference %q: %w", ref.name, err))
			}
		}
		if len(left) == len(todo) {
			return nil, failed
		}
		todo = left
	}
	s, err := types.Parse(src.text, lax)
	if err != nil {
		return nil, err
	}
	root := s.Root()
	name := root.Name
	if name != "" && root.Namespace != "" {
		name = root.Namespace + "." + name
	}
	if name == "" {
		name = root.Type
	}
	return &avroSchema{schema: s, name: name}, nil
}

func (a *avroSchema) decode(payload []byte, reader compiled, into any) (string, any, *Error) {
	by := a.schema
	if reader != nil {
		r, ok := reader.(*avroSchema)
		if !ok {
			return a.name, nil, failf(ErrMismatch, "it is Avro, and the reader's is not")
		}
		resolved := a.resolve(r)
		if resolved.failure != nil {
			return a.name, nil, resolved.failure
		}
		by = resolved.schema
	}
	var rest []byte
	var err error
	value := into
	if into == nil {
		rest, err = by.Decode(payload, &value)
	} else {
		rest, err = by.Decode(payload, into, avro.SkipUnknown())
	}
	var semantic *avro.SemanticError
	switch {
	case err == nil && len(rest) == 0:
		return a.name, value, nil
	case err == nil:
		return a.name, nil, failf(ErrPayload, "%d of its %d bytes are left over", len(rest), len(payload))
	case into != nil && errors.As(err, &semantic) && semantic.GoType != nil:
		return a.name, nil, failf(ErrIncompatible, "%T: %w", into, err)
	}
	return a.name, nil, fail(ErrPayload, err)
}

func (a *avroSchema) resolve(reader *avroSchema) resolution {
	if known, ok := a.resolutions.Load(reader); ok {
		return known.(resolution)
	}
	var r resolution
	var err error
	if r.schema, err = avro.Resolve(a.schema, reader.schema); err != nil {
		r.failure = fail(ErrIncompatible, err)
	}
	a.resolutions.Store(reader, r)
	return r
}
