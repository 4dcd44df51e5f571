package strictyaml

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decoder sets Go values to what a document says. What the document does not name keeps
// its value, so that a document lays itself over defaults.
//
// A field of a struct is written as its name in kebab case (MaxPollInterval:
// max-poll-interval), or as its yaml tag says; "-" leaves it out, and an embedded struct's fields
// stand beside the others. Its tag values ("classic|consumer") lists what is allowed. Fields
// are strings, bools, numbers, durations, slices and maps of these, structs, and
// pointers to any of them, which tell absent from zero. What decodes itself implements [Value].
type Decoder struct {
	Problems
	lines map[string]int // where each path stands
}

// Value is a type that reads itself. at is its path, for [Decoder.Wrong].
type Value interface {
	DecodeYAML(d *Decoder, at string, n *yaml.Node)
}

// Decode sets into, which points to a struct, by the mapping n.
func (d *Decoder) Decode(n *yaml.Node, into any) {
	d.Mapping("", n, reflect.ValueOf(into).Elem())
}

// Wrong notes a problem with the value at a path ("faults[1].target"). Where the document does not have
// that, it is put to what it would stand in.
func (d *Decoder) Wrong(at, format string, args ...any) {
	line := 0
	for p := at; ; {
		if line = d.lines[p]; line > 0 || p == "" {
			break
		}
		p = p[:max(strings.LastIndexAny(p, ".["), 0)]
	}
	text := fmt.Sprintf(format, args...)
	if at != "" {
		text = at + ": " + text
	}
	d.Add(line, "%s", text)
}

// Has tells whether the document has something at a path.
func (d *Decoder) Has(at string) bool { return d.lines[at] > 0 }

func (d *Decoder) mark(at string, n *yaml.Node) {
	if d.lines == nil {
		d.lines = map[string]int{}
	}
	d.lines[at] = n.Line
}

// Set sets v to the node at a path.
func (d *Decoder) Set(at string, n *yaml.Node, v reflect.Value, allowed []string) {
	d.mark(at, n)
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if v.CanAddr() {
		if own, ok := v.Addr().Interface().(Value); ok {
			own.DecodeYAML(d, at, n)
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		d.Set(at, n, fresh.Elem(), allowed)
		v.Set(fresh)
	case reflect.Struct:
		d.Mapping(at, n, v)
	case reflect.Slice:
		d.list(at, n, v, allowed)
	case reflect.Map:
		d.entries(at, n, v)
	default:
		if err := SetScalar(v, n); err != nil {
			d.Wrong(at, "%v", err)
		} else if len(allowed) > 0 && !slices.Contains(allowed, v.String()) {
			d.Wrong(at, "%q is not possible: %s", v.String(), choose(v.String(), allowed))
		}
	}
}

// choose advises on what to write in place of what is not allowed.
func choose(said string, allowed []string) string {
	if near := Nearest(said, allowed); near != "" {
		return near + " is meant? There are " + strings.Join(allowed, ", ")
	}
	return "choose one of " + strings.Join(allowed, ", ")
}

// Mapping sets the fields of the struct v by the mapping n. Names in except are passed over.
func (d *Decoder) Mapping(at string, n *yaml.Node, v reflect.Value, except ...string) {
	fields := Fields(v.Type())
	if n.Kind != yaml.MappingNode {
		d.Wrong(at, "fields are wanted here (%s), and this is %s", strings.Join(names(fields), ", "), Describe(n))
		return
	}
	d.Pairs(at, n, func(name, path string, value *yaml.Node) {
		if slices.Contains(except, name) {
			return
		}
		for _, f := range fields {
			if f.Name == name {
				d.Set(path, value, v.FieldByIndex(f.Index), f.Values)
				return
			}
		}
		d.mark(path, value)
		d.Wrong(path, "%s", Unknown(name, append(names(fields), except...)))
	})
}

// Unknown advises on a field that does not exist.
func Unknown(name string, known []string) string {
	if name == "<<" {
		return "merging mappings is not possible here: write the fields out"
	}
	if near := Nearest(name, known); near != "" {
		return "there is no such field; " + near + " is meant?"
	}
	return "there is no such field; there are " + strings.Join(known, ", ")
}

// Pairs calls each for the fields of a mapping that have a name and occur once.
func (d *Decoder) Pairs(at string, n *yaml.Node, each func(name, path string, value *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.Add(k.Line, "the name of a field is wanted here, and this is %s", Describe(k))
			continue
		}
		path := strings.TrimPrefix(at+"."+k.Value, ".")
		if line, twice := first[k.Value]; twice {
			d.Add(k.Line, "%s: it stands here again, first on line %d", path, line)
			continue
		}
		first[k.Value] = k.Line
		each(k.Value, path, value)
	}
}

func (d *Decoder) list(at string, n *yaml.Node, v reflect.Value, allowed []string) {
	if n.Kind != yaml.SequenceNode {
		d.Wrong(at, "a list is wanted, and this is %s", Describe(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.Set(fmt.Sprintf("%s[%d]", at, i), item, list.Index(i), allowed)
	}
	v.Set(list)
}

func (d *Decoder) entries(at string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.Wrong(at, "names with values are wanted here, and this is %s", Describe(n))
		return
	}
	all := reflect.MakeMap(v.Type())
	d.Pairs(at, n, func(name, path string, value *yaml.Node) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.Set(path, value, item, nil)
		all.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
	})
	v.Set(all)
}

// Field is one field of a struct, as a file knows it.
type Field struct {
	Name   string // in the file
	Doc    string // its tag doc
	Values []string
	Index  []int
	Type   reflect.Type
}

// Fields lists the fields of a struct type that a file can set, in their order.
func Fields(t reflect.Type) (fields []Field) {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		embedded := f.Anonymous && f.Type.Kind() == reflect.Struct && tag == ""
		if !f.IsExported() || embedded || tag == "-" || f.Type.Kind() == reflect.Func || f.Type.Kind() == reflect.Interface {
			continue
		}
		field := Field{Name: tag, Doc: f.Tag.Get("doc"), Index: f.Index, Type: f.Type}
		if field.Name == "" {
			field.Name = Key(f.Name)
		}
		if values := f.Tag.Get("values"); values != "" {
			field.Values = strings.Split(values, "|")
		}
		fields = append(fields, field)
	}
	return fields
}

func names(fields []Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}
