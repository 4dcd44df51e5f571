package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// jsonBase is the address of schemas that give themselves none. Nothing is ever
// loaded from it, or from any other.
const jsonBase = "schema://registry/"

// jsonSchema is a compiled JSON Schema.
type jsonSchema struct {
	schema *jsonschema.Schema
	name   string
}

func compileJSON(src source) (*jsonSchema, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7) // as Confluent's serializers
	c.UseLoader(noLoader{})
	main := jsonBase + ".schema"
	bases := make([]*url.URL, len(src.refs)+1) // by reference; the last one is the schema's own
	add := func(i int, address, text string) error {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		base, err := url.Parse(address)
		if err != nil {
			return err
		}
		own, err := base.Parse(identifier(doc))
		if err != nil {
			return fmt.Errorf("its identifier: %w", err)
		}
		bases[i] = own
		// Under the name by which it is mentioned, and under the one it gives itself.
		for _, at := range []string{address, own.String()} {
			var exists *jsonschema.ResourceExistsError
			if err := c.AddResource(at, doc); err != nil && !errors.As(err, &exists) {
				return err
			}
		}
		return nil
	}
	if err := add(len(src.refs), main, src.text); err != nil {
		return nil, err
	}
	for i, ref := range src.refs {
		from := ref.from
		if from < 0 {
			from = len(src.refs)
		}
		address, err := bases[from].Parse(ref.name)
		if err == nil {
			err = add(i, address.String(), ref.text)
		}
		if err != nil {
			return nil, fmt.Errorf("reference %q: %w", ref.name, err)
		}
	}
	s, err := c.Compile(main)
	if err != nil {
		return nil, err
	}
	return &jsonSchema{schema: s, name: s.Title}, nil
}

// noLoader keeps schemas from reading files or addresses: what one refers to is
// registered with it, or missing.
type noLoader struct{}

func (noLoader) Load(address string) (any, error) {
	return nil, fmt.Errorf("%s is not among the references of the schema", address)
}

// identifier is the address that a schema gives itself.
func identifier(doc any) string {
	object, ok := doc.(map[string]any)
	if !ok {
		return ""
	}
	keyword := "$id"
	if draft, _ := object["$schema"].(string); strings.Contains(draft, "draft-04") {
		keyword = "id"
	}
	id, _ := object[keyword].(string)
	return id
}

func (j *jsonSchema) decode(payload []byte, reader compiled, into any) (string, any, *Error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return j.name, nil, fail(ErrPayload, err)
	}
	if err := j.schema.Validate(value); err != nil {
		return j.name, nil, fail(ErrPayload, violations(err))
	}
	if reader != nil {
		r, ok := reader.(*jsonSchema)
		if !ok {
			return j.name, nil, failf(ErrMismatch, "it is JSON Schema, and the reader's is not")
		}
		if err := r.schema.Validate(value); err != nil {
			return j.name, nil, fail(ErrIncompatible, violations(err))
		}
	}
	if into == nil {
		return j.name, value, nil
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return j.name, nil, failf(ErrIncompatible, "%T: %w", into, err)
	}
	return j.name, into, nil
}

// violations says on one line what is wrong, and where: the library's own text has a
// line for each step on the way there.
func violations(err error) error {
	const most = 3
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var found []string
	var visit func(e *jsonschema.ValidationError)
	visit = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			text := e.Error() // "jsonschema validation failed with 'URL'\n- at '/a': what"
			if _, what, ok := strings.Cut(text, "\n- "); ok {
				text = what
			}
			found = append(found, text)
		}
		for _, cause := range e.Causes {
			visit(cause)
		}
	}
	visit(invalid)
	if len(found) > most {
		found = append(found[:most], fmt.Sprintf("and %d more", len(found)-most))
	}
	return errors.New(strings.Join(found, "; "))
}
