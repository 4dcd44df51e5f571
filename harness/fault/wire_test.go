package fault

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
)

// That the faults happen is shown by the catalogue in scenarios/spec, and that one which does not is missed
// by the tests of harness. Here: what is asked of the tap, and what is refused.

func TestWireValidate(t *testing.T) {
	good := Wire{API: "Fetch", Action: "delay", Delay: time.Second}
	for want, change := range map[string]func(*Wire){
		"":                              func(*Wire) {},
		"did you mean Fetch?":           func(f *Wire) { f.API = "Fetsch" },
		"there is no API":               func(f *Wire) { f.API = "" },
		"choose request or response":    func(f *Wire) { f.Direction = "both" },
		"did you mean delay?":           func(f *Wire) { f.Action = "dely" },
		"there is no error":             func(f *Wire) { f.Action, f.Delay = "error", 0 },
		"delay belongs to the action":   func(f *Wire) { f.Action = "cut" },
		"bytes belongs to the action":   func(f *Wire) { f.Bytes = 5 },
		"error belongs to the action":   func(f *Wire) { f.Error = "NOT_COORDINATOR" },
		"jitter is 2s":                  func(f *Wire) { f.Jitter = 2 * time.Second },
		"topic is \"orders\"":           func(f *Wire) { f.Topic = "orders" },
		"Heartbeat names no topics":     func(f *Wire) { f.API, f.Topic = "Heartbeat", "workload" },
		"partitions are [-1]":           func(f *Wire) { f.Partitions = []int{-1} },
		"provoke is \"death\"":          func(f *Wire) { f.Provoke = "death" },
		"a restart needs a target":      func(f *Wire) { f.Provoke = "restart" },
		"acts 1 times at most":          func(f *Wire) { f.Times, f.Count = 1, 2 },
		"lasts is -1s":                  func(f *Wire) { f.Lasts = -time.Second },
		"effects is -1":                 func(f *Wire) { f.Effects = -1 },
		"count is -1":                   func(f *Wire) { f.Count = -1 },
		"probability is 2":              func(f *Wire) { f.Probability = 2 },
		"exclude each other":            func(f *Wire) { f.Probability, f.Every = 0.5, 2 },
		"responses of Fetch and reques": func(f *Wire) { f.Action, f.Delay = "corrupt", 0 },
	} {
		f := good
		change(&f)
		if err := f.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
	err := Wire{API: "x", Direction: "y", Action: "z", Topic: "t", Count: -1}.Validate()
	for _, part := range []string{`"x"`, `"y"`, `"z"`, `"t"`, "count"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("not all errors at once: %v", err)
		}
	}
}

// TestAllWires: those of the catalogue are valid, and there is one for every action.
func TestAllWires(t *testing.T) {
	var actions []string
	for _, f := range All() {
		w, ok := f.(Wire)
		if !ok {
			continue
		}
		if err := w.Validate(); err != nil {
			t.Errorf("%s: %v", w.Name(), err)
		}
		if w.Doc() == "" || strings.HasPrefix(w.Doc(), " ") {
			t.Errorf("%s has no description", w.Name())
		}
		actions = append(actions, w.Action)
	}
	for _, a := range tap.ActionNames() {
		if !slices.Contains(actions, a) {
			t.Errorf("the catalogue has no wire-%s", a)
		}
	}
}

// TestWireRule: names become those of the run, and what is done becomes the APIs that do it.
func TestWireRule(t *testing.T) {
	env := &Env{Log: history.NewMemory(history.Header{Topic: "orders", DeadLetterTopic: "dlq", Group: "billing"})}
	r := Wire{
		Target: "m1", API: "commit", Direction: "response", Action: "error", Error: "not_coordinator", Topic: "workload", Partitions: []int{2},
		After: 1, Times: 3, Seed: 5,
	}.armed(env)
	if r.Key != kmsg.OffsetCommit.Int16() || !slices.Equal(r.Also, []int16{kmsg.TxnOffsetCommit.Int16()}) || r.Member != "m1" || r.Direction != tap.Response ||
		r.Action != (tap.Error{Code: kerr.NotCoordinator.Code}) || r.Topic != "orders" || !slices.Equal(r.Partitions, []int32{2}) ||
		r.Group != "billing" || r.After != 1 || r.Times != 3 || r.Seed != 5 {
		t.Errorf("%+v", r)
	}
	// A commit counts only if it covers new work.
	commit := tap.Call{Member: "m1", Key: r.Key, Direction: tap.Request, Commits: []tap.Commit{{Topic: "orders", Offset: 1}}}
	if r.Match(commit) {
		t.Error("a commit of nothing counts")
	}
	env.Log.Append(history.Event{Kind: history.EffectDone, Member: "m1", Topic: "orders"})
	if !r.Match(commit) {
		t.Error("a commit of work that is done does not count")
	}
	if r := (Wire{API: "Fetch", Action: "cut"}).armed(env); r.Group != "" || r.Match != nil || r.Topic != "" {
		t.Errorf("%+v", r)
	}
	join := Wire{API: "join", Action: "cut"}.armed(env)
	if beat := (tap.Call{Key: kmsg.ConsumerGroupHeartbeat.Int16()}); join.Match(beat) {
		t.Error("a heartbeat of a member that has joined counts as joining")
	}
	if dead := (Wire{API: "Produce", Action: "cut", Topic: "dead-letter"}).armed(env); dead.Topic != "dlq" {
		t.Errorf("%+v", dead)
	}
}

func TestWireWithoutItsTopic(t *testing.T) {
	env := &Env{Log: history.NewMemory(history.Header{Topic: "orders"})}
	_, err := Wire{API: "Produce", Action: "cut", Topic: "output"}.Inject(t.Context(), env)
	if err == nil || !strings.Contains(err.Error(), errMissed.Error()) {
		t.Errorf("outputs are cut in a run without outputs: %v", err)
	}
}
