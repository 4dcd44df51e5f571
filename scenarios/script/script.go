// Package script reads scenarios that users write, from YAML: workload, group, promises, and
// faults on events or times, in phases where one is not enough. What such a file may
// contain is in docs/scenario-files.md and, for editors, in docs/scenario.schema.json.
package script

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
	"github.com/ksim-dev/ksim/internal/strictyaml"
)

// file is one scenario as it stands in a file.
type file struct {
	Name     string   `doc:"lower case letters, digits and hyphens; names topic, group and directory"`
	Doc      string   `doc:"one sentence: what happens, and what a sound consumer does"`
	Tags     []string `doc:"to choose it by: --scenario tag:NAME"`
	Workload load     `doc:"what is sent; what is left out is as on the command line"`
	Group    group    `doc:"who consumes"`
	Sink     sink     `doc:"the downstream system"`
	Promises Promises `doc:"what the subject promises otherwise than on the command line"`
	Faults   faults   `doc:"what goes wrong, one after the other, while messages flow"`
	Phases   []phase  `doc:"in place of faults: parts that follow each other, each with its messages and faults"`
}

type load struct {
	Messages int     `doc:"in all phases together"`
	Rate     float64 `doc:"messages/s, open loop"`
	Keys     int     `doc:"distinct keys"`
	Zipf     float64 `doc:"exponent of the distribution of keys; without it all are as likely"`
	Size     int     `doc:"bytes of a value"`
	Template string  `doc:"text/template of a value, with .ID, .Key, .Seq, .Time and .Padding"`
	Poison   mix     `doc:"how many of the messages are not healthy"`
}

// mix is workload.Mix by the names of kinds of poison.
type mix struct {
	Undecodable       int `doc:"neither JSON nor UTF-8"`
	Permanent         int `doc:"refused by the downstream system for good (422)"`
	Transient         int `doc:"refused a few times (503), then taken"`
	TransientFailures int `doc:"how often"`
	Tombstones        int `doc:"without a value; no poison, but often mistaken for it"`
	Oversized         int `doc:"far too large for the downstream system"`
	OversizedBytes    int `doc:"how large"`
}

type group struct {
	Members         int           `doc:"at the start"`
	Partitions      int32         `doc:"of the topic"`
	Protocol        string        `values:"classic|consumer" doc:"consumer is KIP-848"`
	Static          bool          `doc:"static membership (KIP-345)"`
	SessionTimeout  time.Duration `doc:"with protocol consumer the broker has its own"`
	MaxPollInterval time.Duration `doc:"which is the rebalance timeout too"`
}

type sink struct {
	EffectTakes time.Duration `doc:"how long the downstream system takes for each effect"`
}

type phase struct {
	Name     string  `doc:"shows in the history and in reports"`
	Messages int     `doc:"of workload.messages"`
	Rate     float64 `doc:"messages/s in this phase"`
	Faults   faults  `doc:"one after the other; the phase lasts until they are over"`
}

// Promises are laid over others when it is known what these are. The zero value changes nothing.
type Promises struct{ change func(*history.Promises) }

// Apply sets what the file says.
func (p Promises) Apply(to *history.Promises) {
	if p.change != nil {
		p.change(to)
	}
}

// DecodeYAML implements strictyaml.Value.
func (p *Promises) DecodeYAML(d *strictyaml.Decoder, at string, n *yaml.Node) {
	var probe history.Promises
	d.Mapping(at, n, reflect.ValueOf(&probe).Elem())
	p.change = func(to *history.Promises) {
		var again strictyaml.Decoder // what it finds was told already
		again.Decode(n, to)
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

const maxName = 60 // of a scenario: topics are named after it

// Read reads the scenarios in a file, one for each YAML document. The error lists everything that is
// wrong, each with file and line.
func Read(path string) ([]harness.Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the scenario: %w", err)
	}
	return Parse(path+":", text)
}

// Parse reads scenarios from text; in errors, at stands before the line number.
func Parse(at string, text []byte) ([]harness.Scenario, error) {
	var d strictyaml.Decoder
	docs := strictyaml.Documents(text, "name: commit-storm", &d.Problems)
	if len(docs) == 0 && len(d.Problems) == 0 {
		d.Add(0, "there is no scenario in it: give at least a name, a doc and faults")
	}
	var out []harness.Scenario
	first := map[string]int{}
	for _, doc := range docs {
		one := strictyaml.Decoder{}
		sc := decode(&one, doc)
		if line := first[sc.Name]; line > 0 {
			one.Wrong("name", "the scenario of line %d is called %s already", line, sc.Name)
		}
		first[sc.Name] = doc.Root.Line
		d.Problems = append(d.Problems, one.Problems...)
		out = append(out, sc)
	}
	if err := d.Err(at); err != nil {
		return nil, err
	}
	return out, nil
}

func decode(d *strictyaml.Decoder, doc strictyaml.Document) harness.Scenario {
	var f file
	d.Decode(doc.Root, &f)
	switch {
	case f.Name == "":
		d.Add(doc.Root.Line, "the scenario has no name: give it one, like commit-storm")
	case !nameForm.MatchString(f.Name) || len(f.Name) > maxName:
		d.Wrong("name", "%q: at most %d lower case letters, digits and single hyphens are possible", f.Name, maxName)
	}
	if f.Doc == "" {
		d.Add(doc.Root.Line, "the scenario has no doc: say in one sentence what happens, and what a sound consumer does")
	}
	if len(f.Phases) > 0 && len(f.Faults.list) > 0 {
		d.Wrong("faults", "there are phases too: put the faults into the phase in which they are to happen")
	}
	sc := f.scenario()
	// What is wrong with the numbers is the same for every run.
	probe := harness.DefaultConfig()
	if len(d.Problems) == 0 {
		if err := probe.Check(sc); err != nil {
			d.Add(doc.Root.Line, "%v", err)
		}
	}
	return sc
}

func (f *file) scenario() harness.Scenario {
	m := f.Workload.Poison
	sc := harness.Scenario{
		Name: f.Name, Doc: f.Doc, Tags: f.Tags,
		Messages: f.Workload.Messages, Rate: f.Workload.Rate, Keys: f.Workload.Keys, Zipf: f.Workload.Zipf, Size: f.Workload.Size, Template: f.Workload.Template,
		Mix: workload.Mix{
			Undecodable: m.Undecodable, Permanent: m.Permanent, Transient: m.Transient, Tombstones: m.Tombstones, Oversized: m.Oversized,
			TransientFailures: m.TransientFailures, OversizedBytes: m.OversizedBytes,
		},
		SlowEvery: f.Sink.EffectTakes, Members: f.Group.Members, Partitions: f.Group.Partitions, Protocol: f.Group.Protocol, Static: f.Group.Static,
		SessionTimeout: f.Group.SessionTimeout, MaxPollInterval: f.Group.MaxPollInterval,
		Promise: f.Promises.change, Faults: f.Faults.list,
	}
	for _, p := range f.Phases {
		sc.Phases = append(sc.Phases, harness.Phase{Name: p.Name, Messages: p.Messages, Rate: p.Rate, Faults: p.Faults.list})
	}
	return sc
}

// kinds are the faults by their names, with their defaults.
func kinds() map[string]fault.Fault {
	all := map[string]fault.Fault{}
	for _, f := range fault.All() {
		all[f.Name()] = f
	}
	return all
}
