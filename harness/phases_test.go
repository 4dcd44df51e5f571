package harness_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
)

// long is a fault that lasts until so many more messages were produced than its phase has.
type long struct{ messages int }

func (long) Name() string   { return "long" }
func (long) Doc() string    { return "" }
func (long) Member() string { return "" }
func (f long) Inject(ctx context.Context, env *fault.Env) (string, error) {
	return "", fault.Event{Kind: history.Produced, Count: f.messages}.Await(ctx, env)
}

func TestPhases(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, sound)
	sc := harness.Scenario{Name: "phases", Messages: 100, Rate: 1000, Phases: []harness.Phase{
		{Name: "calm", Messages: 20, Rate: 100},
		{Name: "storm", Messages: 30, Faults: []fault.Fault{long{messages: 60}, long{messages: 60}}},
		{Name: "calm-again", Messages: 10},
	}}
	r := harness.RunScenario(context.Background(), cfg, sc)
	if r.Err != nil || r.Verdict != check.Held {
		t.Fatalf("verdict %s, err %v: %s", r.Verdict, r.Err, r.Reason)
	}
	h, err := history.ReadFile(filepath.Join(cfg.Dir, r.Dir, "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var phases []string
	planned, extra := map[string]int{}, map[string]int{}
	began := map[string]time.Duration{}
	for _, e := range h.Events {
		switch e.Kind {
		case history.Phase:
			phases = append(phases, e.Note)
			began[e.Note] = e.At
		case history.Produced:
			in := phases[len(phases)-1]
			if strings.HasPrefix(e.Message, "x") {
				extra[in]++
			} else {
				planned[in]++
			}
		}
	}
	want := []string{"warm-up", "faults", "calm", "storm", "calm-again", "heal", "drain", "drained", "stop", "end"}
	if !slices.Equal(phases, want) {
		t.Errorf("phases are %v", phases)
	}
	if planned["calm"] != 20 || planned["storm"] != 30 || planned["calm-again"] != 10 || planned["heal"] != 40 {
		t.Errorf("sent as planned: %v", planned)
	}
	// The faults lasted longer than the messages of their phase.
	if extra["storm"] < 90 || len(extra) != 1 {
		t.Errorf("sent beside the plan: %v", extra)
	}
	// 20 messages at 100/s: the last is due 190 ms after the first.
	if took := began["storm"] - began["calm"]; took < 190*time.Millisecond {
		t.Errorf("the calm lasted %s", took)
	}
}

func TestScenariosThatCannotBeAreRefused(t *testing.T) {
	for want, sc := range map[string]harness.Scenario{
		"scenario a: members is 65":              {Name: "a", Members: 65},
		"the phases send 121 messages":           {Name: "a", Phases: []harness.Phase{{Name: "p", Messages: 121}}},
		`phase "heal": give it a name`:           {Name: "a", Phases: []harness.Phase{{Name: "heal"}}},
		"neither messages nor rate can be":       {Name: "a", Phases: []harness.Phase{{Name: "p", Rate: -1}}},
		"faults stand beside phases":             {Name: "a", Phases: []harness.Phase{{Name: "p"}}, Faults: []fault.Fault{long{}}},
		"session timeout is 10ms: choose":        {Name: "a", SessionTimeout: 10 * time.Millisecond},
		`protocol is "x": choose classic or con`: {Name: "a", Protocol: "x"},
	} {
		_, err := harness.RunScenarios(context.Background(), testConfig(t, sound), []harness.Scenario{sc})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s\ngot  %v", want, err)
		}
	}
}
