package reports_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/reports"
)

const schemaPath = "../docs/report.schema.json"

// compile compiles the published schema after edit has had its way with it.
func compile(t *testing.T, edit func(any)) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(doc)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// forbidUnknown makes every object of the schema refuse what it does not name,
// so that a field that is written but not published is found.
func forbidUnknown(node any) {
	switch n := node.(type) {
	case map[string]any:
		_, named := n["properties"]
		_, open := n["additionalProperties"]
		if named && n["type"] == "object" && !open {
			n["additionalProperties"] = false
		}
		for _, child := range n {
			forbidUnknown(child)
		}
	case []any:
		for _, child := range n {
			forbidUnknown(child)
		}
	}
}

func document(t *testing.T, run harness.Run) map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := reports.JSON(&b, run); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

func TestSchemaAcceptsWhatIsWritten(t *testing.T) {
	for name, run := range map[string]harness.Run{"sample": sampleRun(t, t.TempDir()), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			doc := document(t, run)
			if err := compile(t, nil).Validate(doc); err != nil {
				t.Errorf("report.json is not what the schema says: %v", err)
			}
			if err := compile(t, forbidUnknown).Validate(doc); err != nil {
				t.Errorf("report.json has fields that the schema does not publish: %v", err)
			}
		})
	}
}

func TestSchemaRejects(t *testing.T) {
	schema := compile(t, nil)
	scenario := func(d map[string]any, i int) map[string]any { return d["scenarios"].([]any)[i].(map[string]any) }
	check := func(d map[string]any) map[string]any { return scenario(d, 2)["checks"].([]any)[0].(map[string]any) }
	measurement := func(d map[string]any) map[string]any { return d["load"].([]any)[0].(map[string]any) }
	for name, spoil := range map[string]func(map[string]any){
		"another format":                func(d map[string]any) { d["ksim_report"] = json.Number("2") },
		"no verdict":                    func(d map[string]any) { delete(d, "verdict") },
		"a fourth verdict":              func(d map[string]any) { d["verdict"] = "passed" },
		"no seed":                       func(d map[string]any) { delete(d, "seed") },
		"a time that is none":           func(d map[string]any) { d["started"] = "yesterday" },
		"no scenarios":                  func(d map[string]any) { d["scenarios"] = nil },
		"an error with a verdict":       func(d map[string]any) { scenario(d, 4)["verdict"] = "held" },
		"neither error nor verdict":     func(d map[string]any) { scenario(d, 0)["verdict"] = nil },
		"a scenario without counts":     func(d map[string]any) { delete(scenario(d, 0), "counts") },
		"a negative count":              func(d map[string]any) { check(d)["count"] = json.Number("-1") },
		"violated, but no violations":   func(d map[string]any) { check(d)["count"] = json.Number("0") },
		"a check without evidence":      func(d map[string]any) { delete(check(d), "evidence") },
		"a figure that is text":         func(d map[string]any) { check(d)["figures"] = map[string]any{"x": "y"} },
		"invalid load without a reason": func(d map[string]any) { delete(measurement(d), "reason") },
		"load without latency":          func(d map[string]any) { delete(measurement(d), "latency_ms") },
	} {
		t.Run(name, func(t *testing.T) {
			doc := document(t, sampleRun(t, t.TempDir()))
			spoil(doc)
			if err := schema.Validate(doc); err == nil {
				t.Error("the schema accepts it")
			}
		})
	}
}

// Every field has a description: the schema is the documentation of the format.
func TestSchemaIsDescribed(t *testing.T) {
	compile(t, func(doc any) {
		root := doc.(map[string]any)
		objects := map[string]any{"report": root}
		for name, def := range root["$defs"].(map[string]any) {
			objects[name] = def
		}
		for name, def := range objects {
			fields, _ := def.(map[string]any)["properties"].(map[string]any)
			for field, f := range fields {
				m := f.(map[string]any)
				ref, _ := m["$ref"].(string)
				if text, _ := m["description"].(string); strings.TrimSpace(text) == "" && ref == "" {
					t.Errorf("%s.%s is not described", name, field)
				}
			}
		}
	})
}
