package script

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
	"github.com/ksim-dev/ksim/internal/golden"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParse(t *testing.T) {
	got, err := Parse("line ", []byte(read(t, "full.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d scenarios", len(got))
	}
	p := history.DefaultPromises()
	got[0].Promise(&p)
	want := history.DefaultPromises()
	want.Order, want.MaxAttempts, want.GracefulStop, want.MinBackoff = history.OrderKey, 5, false, 20*time.Millisecond
	if p != want {
		t.Errorf("promises are %+v", p)
	}
	got[0].Promise = nil
	two := int32(2)
	whole := harness.Scenario{
		Name: "commit-storm", Doc: "Everything at once.", Tags: []string{"mine", "crash"},
		Messages: 400, Rate: 200, Keys: 20, Zipf: 1.1, Size: 300, Template: `{"id":"{{.ID}}","pad":"{{.Padding}}"}`,
		Mix:       workload.Mix{Undecodable: 1, Permanent: 2, Transient: 3, TransientFailures: 2, Tombstones: 4, Oversized: 1, OversizedBytes: 65536},
		SlowEvery: 2 * time.Millisecond, Members: 4, Partitions: 8, Protocol: "consumer", Static: true,
		SessionTimeout: 5 * time.Second, MaxPollInterval: 20 * time.Second,
		Phases: []harness.Phase{
			{Name: "calm", Messages: 150},
			{Name: "storm", Messages: 200, Rate: 400, Faults: []fault.Fault{
				fault.When{
					Fault: fault.CrashMidBatch{Target: "m2"}, After: time.Second,
					Event: fault.Event{Kind: history.Committed, Member: "m2", Partition: &two, Outcome: history.Accepted, Count: 3},
				},
				fault.Together{Faults: []fault.Fault{
					fault.When{Fault: fault.Join{}, After: 500 * time.Millisecond},
					fault.When{Fault: fault.CrashAtCommit{Target: "m1", After: true}, After: 500 * time.Millisecond},
				}},
			}},
		},
	}
	if !reflect.DeepEqual(got[0], whole) {
		t.Errorf("got\n%+v\nwant\n%+v", got[0], whole)
	}
	least := harness.Scenario{Name: "least", Doc: "The least there can be."}
	if !reflect.DeepEqual(got[1], least) {
		t.Errorf("got %+v", got[1])
	}
}

// Everything that is wrong is told at once, each with its line.
func TestParseTellsEverything(t *testing.T) {
	_, err := Parse("bad.yaml:", []byte(read(t, "bad.yaml")))
	if err == nil {
		t.Fatal("it was taken")
	}
	golden.Check(t, filepath.Join("testdata", "bad.txt"), []byte(err.Error()+"\n"))
}

func TestParseRefuses(t *testing.T) {
	const head = "name: x\ndoc: y.\n"
	for text, want := range map[string]string{
		"":                            "line 0: there is no scenario in it",
		"- a":                         "line 1: fields are wanted here (name: commit-storm), and this is a list",
		head + "---\n" + head:         "line 4: name: the scenario of line 1 is called x already",
		head + "faults: zombie":       "line 3: faults: a list of faults is wanted",
		head + "faults: [zombie]":     "line 3: faults[0]: a fault is written with its fields",
		head + "faults: [{}]":         "faults[0]: it does not say which fault",
		head + "phases: [{}]":         `phase "": give it a name of its own`,
		head + "phases: {}":           "line 3: phases: a list is wanted",
		head + "promises: 5":          "line 3: promises: fields are wanted here (delivery, order,",
		head + "group: {members: 65}": "members is 65: choose 1 to 64",
		head + "workload: {messages: 100, poison: {tombstones: 101}}":      "101 messages are not to be healthy and ordinary, of 100 in all",
		head + "phases: [{name: drain}]":                                   `phase "drain": give it a name of its own`,
		head + "phases: [{name: a, messages: 601}]":                        "the phases send 601 messages, and there are 600",
		head + "phases: [{name: a}]\nfaults: [{fault: zombie}]":            "line 4: faults: there are phases too",
		head + "faults: [{fault: zombie, wait: -1s}]":                      "line 3: faults[0].wait: -1s is negative",
		head + "faults: [{fault: zombie, target: m1, target: m2}]":         "it stands here again, first on line 3",
		head + "faults: [{together: [{fault: zombie}], target: m1}]":       "line 3: faults[0]: together stands alone",
		head + "faults: [{fault: zombie, when: {event: done, count: -1}}]": "faults[0].when.count: -1 is negative",
		head + "promises: {order: keys}":                                   `promises.order: "keys" is not possible: choose one of partition, key, none`,
		head + "group: {session-timeout: 6}":                               "6 has no unit: write 6s",
		"name: " + strings.Repeat("x", 61) + "\ndoc: y.":                   "at most 60 lower case letters",
	} {
		_, err := Parse("line ", []byte(text))
		if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(want, "line 0: ")) {
			t.Errorf("%q\nwant %s\ngot  %v", text, want, err)
		}
	}
}

// The examples are right, and the page about these files has what one of them has.
func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("../../examples/scenarios/*.yaml")
	if err != nil || len(paths) < 2 {
		t.Fatalf("%v, %v", paths, err)
	}
	for _, path := range paths {
		if _, err := Read(path); err != nil {
			t.Error(err)
		}
	}
	page, err := os.ReadFile("../../docs/scenario-files.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	onPage, err := Parse("docs/scenario-files.md:", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	inFile, err := Read("../../examples/scenarios/payday.yaml")
	if err != nil {
		t.Fatal(err)
	}
	onPage[0].Promise, inFile[0].Promise = nil, nil
	if !reflect.DeepEqual(onPage, inFile) {
		t.Errorf("the page has\n%+v\nthe file\n%+v", onPage, inFile)
	}
}

// Whatever a fault of ours can be told, a file can tell it.
func TestEveryFaultCanBeWritten(t *testing.T) {
	for _, f := range fault.All() {
		got, err := Parse("", []byte("name: x\ndoc: y.\nfaults: [{fault: "+f.Name()+"}]"))
		if err != nil || len(got[0].Faults) != 1 || !reflect.DeepEqual(got[0].Faults[0], f) {
			t.Errorf("%s: %+v, %v", f.Name(), got, err)
		}
		fields := 0
		for _, field := range reflect.VisibleFields(reflect.TypeOf(f)) {
			if field.Tag.Get("yaml") != "-" { // else the name of the kind says it
				fields++
			}
		}
		settings := Settings(f)
		if len(settings) != fields {
			t.Errorf("%s has %d fields, and a file can set %d", f.Name(), fields, len(settings))
		}
		for _, s := range settings {
			if slices.Contains(common, s.Name) {
				t.Errorf("%s has a field %s, which every fault has in a file: call it otherwise", f.Name(), s.Name)
			}
		}
	}
}

func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Defs struct {
			Fault struct {
				OneOf []struct{ Properties map[string]any }
			}
		} `json:"$defs"`
		Properties map[string]any
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Defs.Fault.OneOf) != len(fault.All())+1 || s.Properties["phases"] == nil || s.Properties["promises"] == nil {
		t.Errorf("%d kinds of faults, fields %v", len(s.Defs.Fault.OneOf), s.Properties)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"full.yaml", "bad.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse("line ", []byte(text))
		if (err == nil) != (len(got) > 0) {
			t.Errorf("%d scenarios and %v", len(got), err)
		}
	})
}
