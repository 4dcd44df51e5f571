package strictyaml

import (
	"encoding/json"
	"reflect"
)

// Schema is a JSON Schema (2020-12), for editors.
type Schema map[string]any

// Text is the schema as a file of its own.
func (s Schema) Text(title string) ([]byte, error) {
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", title
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// Describer is a [Value] that knows its own schema.
type Describer interface{ Schema() Schema }

// Stand is a [Value] that is written as the fields of another type.
type Stand interface{ Fields() reflect.Type }

// Settable is the struct type whose fields are written for a value of type t.
func Settable(t reflect.Type) reflect.Type {
	if s, ok := reflect.New(t).Interface().(Stand); ok {
		return s.Fields()
	}
	return t
}

// durationPattern is what time.ParseDuration takes.
const durationPattern = `^(0|[-+]?([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+)$`

// SchemaOf describes what [Decoder] takes for a value of the type of v.
func SchemaOf(v any) Schema { return schemaOf(reflect.TypeOf(v), nil) }

func schemaOf(t reflect.Type, values []string) Schema {
	if d, ok := reflect.New(t).Interface().(Describer); ok {
		return d.Schema()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), values)
	case reflect.Struct:
		return Object(Settable(t))
	case reflect.Slice:
		return Schema{"type": "array", "items": schemaOf(t.Elem(), values)}
	case reflect.Map:
		return Schema{"type": "object", "additionalProperties": schemaOf(t.Elem(), nil)}
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return Schema{"type": "number"}
	case reflect.String:
		if values != nil {
			return Schema{"enum": values}
		}
		return Schema{"type": []string{"string", "number"}}
	}
	if t == durationType {
		return Schema{"type": "string", "pattern": durationPattern}
	}
	return Schema{"type": "integer"}
}

// Object describes a struct by its fields; there are no others.
func Object(t reflect.Type) Schema {
	properties := Schema{}
	for _, f := range Fields(t) {
		s := schemaOf(f.Type, f.Values)
		if f.Doc != "" {
			s["description"] = f.Doc
		}
		properties[f.Name] = s
	}
	return Schema{"type": "object", "properties": properties, "additionalProperties": false}
}

// Kind says in words what a value of a type looks like.
func Kind(t reflect.Type) string {
	switch {
	case t == durationType:
		return "duration"
	case t.Kind() == reflect.Pointer:
		return Kind(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + Kind(t.Elem())
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64, t.Kind() == reflect.Float32:
		return "number"
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "fields"
	}
	return "whole number"
}
