package script

import (
	"maps"
	"reflect"
	"slices"

	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/internal/strictyaml"
)

// Schema is the JSON Schema of scenario files, for editors.
func Schema() ([]byte, error) {
	s := strictyaml.SchemaOf(file{})
	s["required"] = []string{"name", "doc"}
	s["$defs"] = strictyaml.Schema{"fault": anyFault()}
	return s.Text("A scenario of ksim")
}

// Fields implements strictyaml.Stand.
func (*Promises) Fields() reflect.Type { return reflect.TypeFor[history.Promises]() }

// Schema implements strictyaml.Describer.
func (*faults) Schema() strictyaml.Schema {
	return strictyaml.Schema{"type": "array", "items": strictyaml.Schema{"$ref": "#/$defs/fault"}}
}

// anyFault is one object for each kind, with the fields of that kind.
func anyFault() strictyaml.Schema {
	begin := func(s strictyaml.Schema) strictyaml.Schema {
		properties := s["properties"].(strictyaml.Schema)
		properties[fieldWhen] = strictyaml.SchemaOf(when{})
		properties[fieldWait] = strictyaml.SchemaOf(head{}.Wait)
		return s
	}
	together := strictyaml.Schema{"type": "object", "required": []string{fieldTogether}, "additionalProperties": false, "properties": strictyaml.Schema{
		fieldTogether: (*faults)(nil).Schema(),
	}}
	choices := []strictyaml.Schema{begin(together)}
	all := kinds()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := begin(strictyaml.Object(reflect.TypeOf(all[name])))
		s["properties"].(strictyaml.Schema)[fieldFault] = strictyaml.Schema{"const": name, "description": all[name].Doc()}
		s["required"] = []string{fieldFault}
		choices = append(choices, s)
	}
	return strictyaml.Schema{"oneOf": choices}
}

// Setting is a field of a fault, as a scenario file can set it.
type Setting struct {
	Name    string
	Type    string // text, true or false, whole number, number, duration, or a list of these
	Default any
	Doc     string
}

// Settings lists what a scenario file can set in a fault, with the values that the fault has otherwise.
func Settings(f fault.Fault) (out []Setting) {
	v := reflect.ValueOf(f)
	for _, field := range strictyaml.Fields(v.Type()) {
		doc := field.Doc
		if doc == "" && field.Name == "target" {
			doc = "the member that it happens to"
		}
		out = append(out, Setting{field.Name, strictyaml.Kind(field.Type), v.FieldByIndex(field.Index).Interface(), doc})
	}
	return out
}
