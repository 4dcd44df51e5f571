package consumer

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write docs/consumer.schema.json and docs/consumer-config.md")

const docs = "../docs"

// TestDocsAreCurrent: the schema and the page are those that the table gives.
func TestDocsAreCurrent(t *testing.T) {
	for name, want := range map[string]string{"consumer.schema.json": schemaText(t), "consumer-config.md": configPage()} {
		path := filepath.Join(docs, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("docs/%s is stale (%v): run go test ./consumer -run TestDocsAreCurrent -update", name, err)
		}
	}
}

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(m.name)
		value, err := encode(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(append(append(name, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

func schemaText(t *testing.T) string {
	root := section("", "A consumer's configuration, as consumer.LoadConfig reads it.")
	root = append(object{
		// Editors know this draft best.
		{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"$id", "https://github.com/ksim-dev/ksim/docs/consumer.schema.json"},
		{"title", "ksim consumer"},
	}, root...)
	root = append(root, member{"required", []string{"brokers", "topics", "group"}}, member{"definitions", object{
		{"variable", object{{"type", "string"}, {"pattern", `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`}, {"description", "An environment variable."}}},
	}})
	text, err := encode(root)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

func section(prefix, about string) object {
	var properties object
	for _, name := range keysIn(prefix) {
		f := fieldWhere(func(f *field) bool { return key(f.name) == prefix+name })
		if f == nil {
			properties = append(properties, member{name, section(name+".", "")})
			continue
		}
		properties = append(properties, member{name, f.schema()})
	}
	o := object{{"type", "object"}, {"additionalProperties", false}, {"properties", properties}}
	if about != "" {
		o = append(object{{"description", about}}, o...)
	}
	return o
}

func (f *field) schema() object {
	o := object{{"description", f.doc}}
	if cfg := DefaultConfig(); !f.absent(&cfg) {
		o = append(o, member{"default", f.jsonDefault()})
	}
	variable := object{{"$ref", "#/definitions/variable"}}
	bounds := func(o object) object {
		o = append(o, member{"minimum", f.least})
		if f.most > 0 {
			o = append(o, member{"maximum", f.most})
		}
		return o
	}
	either := func(alternatives ...object) object { return append(o, member{"anyOf", append(alternatives, variable)}) }
	text := object{{"type", "string"}}
	switch f.kind() {
	case kindList:
		if f.values != nil {
			return either(object{{"type", "array"}, {"minItems", 1}, {"items", object{{"enum", f.values}}}}, append(text, member{"description", "Several, with commas between them."}))
		}
		return either(object{{"type", "array"}, {"minItems", 1}, {"items", text}}, append(text, member{"description", "Several, with commas between them."}))
	case kindBool:
		return either(object{{"type", "boolean"}})
	case kindInt:
		return either(bounds(object{{"type", "integer"}}))
	case kindFloat:
		return either(bounds(object{{"type", "number"}}))
	case kindBytes:
		return either(bounds(object{{"type", "integer"}}), append(text, member{"pattern", byteCount.String()}))
	case kindDuration:
		return either(object{{"const", 0}}, append(text, member{"pattern", `^([0-9]+(\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h))+$`}))
	}
	if f.values != nil {
		return either(object{{"enum", f.values}})
	}
	// A number is a text too, where one is wanted.
	return append(o, member{"type", []string{"string", "number", "boolean"}})
}

// jsonDefault is the default as it stands in a file.
func (f *field) jsonDefault() any {
	cfg := DefaultConfig()
	n, err := f.node(&cfg)
	var v any
	if err == nil {
		err = n.Decode(&v)
	}
	if err != nil {
		panic(err)
	}
	return v
}

// configPage is the reference of all fields.
func configPage() string {
	var b strings.Builder
	b.WriteString("<!-- Written by `go test ./consumer -run TestDocsAreCurrent -update` from consumer/fields.go; edit that. -->\n\n# Configuration of the consumer\n\n" +
		"`consumer.LoadConfig` reads it from YAML, laid over `consumer.DefaultConfig`. Put\n\n    # yaml-language-server: $schema=consumer.schema.json\n\n" +
		"in its first line, with the path to [the schema](consumer.schema.json), and an editor helps to write it.\n\n" +
		"Durations have a unit (`250ms`, `1m30s`), numbers of bytes may have one (`512KiB`, `16MiB`; `16MB` is 16,000,000). `${NAME}` stands for an environment\nvariable, which must be set, `${NAME:-text}` for one that need not be, and `$${` for itself. A list may be one text with commas, so that a variable can hold it.\n\n" +
		"Every error is told at once, with its line. `Config.YAML` prints what is in force, without secrets.\n\n" +
		"| field | in Go | what it is | values | default |\n|---|---|---|---|---|\n")
	for i := range fields {
		f := &fields[i]
		def := "none"
		if cfg := DefaultConfig(); !f.absent(&cfg) {
			def = fmt.Sprintf("`%v`", f.jsonDefault())
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", key(f.name), f.name, f.doc, f.allowed(), def)
	}
	b.WriteString("\nNot in a file, but set in code: `Offsets`, `ClientOpts`, `Hooks`, `Logger`, and `SASL.Password`, since a secret does not belong into a file.\n")
	return b.String()
}

func (f *field) allowed() string {
	switch f.kind() {
	case kindList:
		if f.values != nil {
			return "some of `" + strings.Join(f.values, "`, `") + "`"
		}
		return "texts"
	case kindBool:
		return "`true`, `false`"
	case kindInt:
		return fmt.Sprintf("number, at least %v", f.least)
	case kindFloat:
		return f.bounds()
	case kindBytes:
		return fmt.Sprintf("bytes, at least %v", f.least)
	case kindDuration:
		if f.least > 0 {
			return fmt.Sprintf("duration, at least %v", time.Duration(f.least*float64(time.Second)))
		}
		if f.above {
			return "duration above 0"
		}
		return "duration"
	}
	if f.values == nil {
		return "text"
	}
	var quoted []string
	for _, v := range f.values {
		if v != "" {
			quoted = append(quoted, "`"+v+"`")
		}
	}
	return strings.Join(quoted, ", ")
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, "consumer.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("consumer.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("consumer.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The schema refuses what the parser refuses, as far as a schema can; it takes what
// TestPrintedIsReadAgain prints.
func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	for text, fine := range map[string]bool{
		"":                              true,
		"batch-size: ${N}":              true,
		"batch-wait: 0":                 true,
		"group2: x":                     false,
		"batch_size: 1":                 false,
		"batch-size: 0":                 false,
		"batch-size: ten":               false,
		"order: keys":                   false,
		"retry: {attempts: 1, max: 1s}": true,
		"retry: {atempts: 1}":           false,
		"retry: {jitter: 2}":            false,
		"retry: 3":                      false,
		"batch-wait: 50":                false,
		"fetch-max-bytes: 16MiB":        true,
		"fetch-max-bytes: 1,5MiB":       false,
		"sasl: {password: x}":           false,
		"tls: {enabled: maybe}":         false,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(leastFile+text), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); (err == nil) != fine {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The default of each field is one that the field itself would take.
func TestDefaultsAreValid(t *testing.T) {
	for i := range fields {
		f := &fields[i]
		cfg := DefaultConfig()
		n, err := f.node(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		if f.absent(&cfg) {
			continue
		}
		again := DefaultConfig()
		if err := f.read(&again, n); err != nil || !reflect.DeepEqual(cfg, again) {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

// The example names the schema in its first line, where an editor finds it, and
// keeps to it.
func TestExampleKeepsToTheSchema(t *testing.T) {
	const example = "../examples/consumer/consumer.yaml"
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	path, ok := strings.CutPrefix(line, "# yaml-language-server: $schema=")
	if _, err := os.Stat(filepath.Join(filepath.Dir(example), path)); !ok || err != nil {
		t.Errorf("%s names no schema that is there: %v", line, err)
	}
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	if err := compileSchema(t).Validate(value); err != nil {
		t.Error(err)
	}
	if _, err := LoadConfig(example); err != nil {
		t.Error(err)
	}
}
