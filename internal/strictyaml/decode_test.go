package strictyaml

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// shout reads itself.
type shout string

func (s *shout) DecodeYAML(d *Decoder, at string, n *yaml.Node) {
	if n.Value == "" {
		d.Wrong(at, "say something")
	}
	*s = shout(strings.ToUpper(n.Value))
}

type inner struct {
	Every    time.Duration
	Weights  []float64
	OnChange func()
}

type outer struct {
	Name     string `yaml:"title" doc:"what it is called"`
	Kind     string `values:"small|large"`
	MaxCount *int
	Yes      bool
	inner
	Section Section
	Many    []Section
	ByName  map[string]int
	Loud    shout
	Skipped string `yaml:"-"`
	Small   int8
}

// Section is exported, so that it can stand in a file.
type Section struct {
	Deep int
}

func decode(t *testing.T, text string, into any) error {
	t.Helper()
	var d Decoder
	docs := Documents([]byte(text), "title: x", &d.Problems)
	for _, doc := range docs {
		d.Decode(doc.Root, into)
	}
	return d.Err("line ")
}

func TestDecode(t *testing.T) {
	t.Setenv("KSIM_TEST_KIND", "large")
	got := outer{Yes: true, Section: Section{7}, Skipped: "kept"}
	err := decode(t, `
title: t
kind: ${KSIM_TEST_KIND}
max-count: 0
every: 1m30s
weights: [1, 2.5]
section: &s {}
many: [{deep: 1}, *s, {deep: 3}]
by-name: {a: 1, b: 2}
loud: hey
small: -8
`, &got)
	zero := 0
	want := outer{
		Name: "t", Kind: "large", MaxCount: &zero, Yes: true, inner: inner{Every: 90 * time.Second, Weights: []float64{1, 2.5}},
		Section: Section{7}, Many: []Section{{1}, {}, {3}}, ByName: map[string]int{"a": 1, "b": 2}, Loud: "HEY", Skipped: "kept", Small: -8,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"titl: x":                   "line 1: titl: there is no such field; title is meant?",
		"skipped: x":                "line 1: skipped: there is no such field; there are title, kind, max-count",
		"on-change: x":              "line 1: on-change: there is no such field",
		"kind: smal":                `line 1: kind: "smal" is not possible: small is meant? There are small, large`,
		"small: 128":                "line 1: small: 128 is too large",
		"yes: \"true\"":             "line 1: yes: true or false is wanted",
		"many:\n  - deep: 1\n  - 5": `line 3: many[1]: fields are wanted here (deep), and this is "5"`,
		"many:\n  - deep: x":        `line 2: many[0].deep: a whole number is wanted, and this is "x"`,
		"by-name: [a]":              "line 1: by-name: names with values are wanted here, and this is a list",
		"loud: ''":                  "line 1: loud: say something",
		"title: a\ntitle: b":        "line 2: title: it stands here again, first on line 1",
		"<<: {kind: small}":         "line 1: <<: merging mappings is not possible here",
		"? [a]\n: b":                "line 1: the name of a field is wanted here, and this is a list",
		"title: {a: b}":             "line 1: title: a single value is wanted, and this is a mapping",
	} {
		var into outer
		if err := decode(t, text, &into); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q\nwant %s\ngot  %v", text, want, err)
		}
	}
}

// What is not there is put to the nearest thing that is.
func TestWrong(t *testing.T) {
	var d Decoder
	docs := Documents([]byte("title: t\nmany:\n  - deep: 1\n"), "", &d.Problems)
	var into outer
	d.Decode(docs[0].Root, &into)
	d.Wrong("many[0].deep", "a")
	d.Wrong("many[0].width", "b")
	d.Wrong("many[4].deep", "c")
	d.Wrong("section.deep", "d")
	d.Wrong("", "e")
	const want = "section.deep: d\ne\nline 3: many[0].deep: a\nline 3: many[0].width: b\nline 3: many[4].deep: c"
	if got := d.Err("line "); got.Error() != want {
		t.Errorf("got\n%v", got)
	}
	if !d.Has("title") || d.Has("section") {
		t.Error("Has is wrong")
	}
}

func TestSchema(t *testing.T) {
	text, err := json.Marshal(SchemaOf(outer{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"title":{"description":"what it is called","type":["string","number"]}`, `"kind":{"enum":["small","large"]}`,
		`"many":{"items":{"additionalProperties":false,"properties":{"deep":{"type":"integer"}},"type":"object"},"type":"array"}`,
		`"weights":{"items":{"type":"number"},"type":"array"}`, `"every":{"pattern":`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s\nis not in\n%s", want, text)
		}
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"batchsize": "batch-size", "batch_size": "batch-size", "bach-size": "batch-size", "x": "", "retries": ""} {
		if got := Nearest(name, []string{"batch-size", "order", "retry"}); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("title: t\nkind: large\nmax-count: 0\nevery: 1m\nmany: [{deep: 1}]\nby-name: {a: 1}\nloud: x\n---\nweights: [1, .nan]\n")
	f.Add("section: &a {deep: 1}\nmany: [*a]\n? [x]\n: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		var into outer
		if err := decode(t, text, &into); err == nil && into.Kind != "" && into.Kind != "small" && into.Kind != "large" {
			t.Errorf("%q was taken for a kind", into.Kind)
		}
	})
}
