package reports

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
)

// historyFile is the name of a scenario's history in Result.Dir.
const historyFile = "history.jsonl"

// state is what a reader sees of a scenario or a check: a verdict, or that
// there is none because the harness failed.
type state struct {
	Word   string // held, violated, unknown, error
	Symbol string // the second channel beside colour; one column wide
}

// The states. None says that nothing was there to judge.
var (
	stateHeld     = state{"held", "✓"}
	stateViolated = state{"violated", "✗"}
	stateUnknown  = state{"unknown", "?"}
	stateError    = state{"error", "!"}
	stateCounted  = state{"counted", "·"} // not promised: reported as a figure
	stateNone     = state{"none", ""}
)

func stateOf(v check.Verdict) state {
	switch v {
	case check.Held:
		return stateHeld
	case check.Violated:
		return stateViolated
	}
	return stateUnknown
}

func scenarioState(r harness.Result) state {
	if r.Err != nil {
		return stateError
	}
	return stateOf(r.Verdict)
}

func checkState(c check.Result) state {
	if !c.Promised && c.Verdict == check.Held {
		return stateCounted
	}
	return stateOf(c.Verdict)
}

// runState is the state of the whole run: violated over error over unknown.
func runState(run harness.Run) state {
	v := run.Verdict()
	switch {
	case len(run.Scenarios) == 0:
		return stateNone
	case v != check.Violated && len(run.Failed()) > 0:
		return stateError
	}
	return stateOf(v)
}

// tally counts scenarios by state and sums their counts up.
type tally struct {
	Scenarios, Held, Violated, Unknown, Errors int
	Counts                                     check.Counts
}

func tallyOf(run harness.Run) tally {
	t := tally{Scenarios: len(run.Scenarios)}
	for _, s := range run.Scenarios {
		switch scenarioState(s) {
		case stateHeld:
			t.Held++
		case stateViolated:
			t.Violated++
		case stateError:
			t.Errors++
		default:
			t.Unknown++
		}
		t.Counts.Produced += s.Counts.Produced
		t.Counts.Effects += s.Counts.Effects
		t.Counts.Reprocessed += s.Counts.Reprocessed
		t.Counts.Unexplained += s.Counts.Unexplained
		t.Counts.DeadLettered += s.Counts.DeadLettered
		t.Counts.Refused += s.Counts.Refused
		t.Counts.Commits += s.Counts.Commits
	}
	return t
}

// headline is the run in one or two sentences that need no knowledge of Kafka.
func headline(run harness.Run) string {
	t := tallyOf(run)
	of := fmt.Sprintf("%d of %s", t.Scenarios, plural(t.Scenarios, "scenario"))
	all := "in all " + plural(t.Scenarios, "scenario")
	if t.Scenarios == 1 {
		of, all = "", "in the one scenario that ran"
	}
	in := func(n int) string {
		if of == "" || n == t.Scenarios {
			return all
		}
		return fmt.Sprintf("in %d of %s", n, plural(t.Scenarios, "scenario"))
	}
	var parts []string
	switch {
	case t.Scenarios == 0 && run.Tune != nil:
		return cmp.Or(tuneSentence(run.Tune), "Two settings were compared; no scenario ran, so there is no verdict.")
	case t.Scenarios == 0 && len(run.Load) > 0:
		return fmt.Sprintf("Load was measured at %s; no scenario ran, so there is no verdict.", plural(len(run.Load), "batch size"))
	case t.Scenarios == 0:
		return "Nothing ran, so there is no verdict."
	case t.Violated > 0:
		parts = append(parts, fmt.Sprintf("This consumer broke a promise %s: %s.", in(t.Violated), strings.Join(broken(run), ", ")))
	case t.Held == t.Scenarios:
		parts = append(parts, fmt.Sprintf("This consumer kept every promise that was checked, %s.", all))
	}
	if t.Unknown > 0 {
		parts = append(parts, fmt.Sprintf("Too little was seen to judge %s: unknown is not held.", in(t.Unknown)))
	}
	if t.Errors > 0 {
		parts = append(parts, fmt.Sprintf("The harness itself failed %s, which says nothing about the consumer.", in(t.Errors)))
	}
	if t.Violated == 0 && t.Held > 0 && t.Held < t.Scenarios {
		parts = append(parts, fmt.Sprintf("The other %d held.", t.Held))
	}
	return strings.Join(parts, " ")
}

// broken names the violated checks of a run with their counts, gravest count first.
func broken(run harness.Run) []string {
	counts := map[string]int{}
	for _, s := range run.Scenarios {
		if s.Err != nil {
			continue
		}
		for _, c := range s.Checks {
			if c.Verdict == check.Violated {
				counts[c.Check] += c.Count
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, n := range names {
		names[i] = fmt.Sprintf("%s (%d)", n, counts[n])
	}
	return names
}

// checkNames are the checks of all scenarios in the order they first appear,
// which is the order of the catalogue.
func checkNames(run harness.Run) []string {
	var names []string
	for _, s := range run.Scenarios {
		for _, c := range s.Checks {
			if !slices.Contains(names, c.Check) {
				names = append(names, c.Check)
			}
		}
	}
	return names
}

// why tells in one line what is wrong with a scenario; "" if it held.
func why(r harness.Result) string {
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case r.Verdict == check.Held:
		return ""
	case r.Reason != "":
		return r.Reason
	}
	var parts []string
	for _, c := range r.Checks {
		switch c.Verdict {
		case check.Violated:
			parts = append(parts, fmt.Sprintf("%s ×%d", c.Check, c.Count))
		case check.Unknown:
			parts = append(parts, c.Check+" unknown")
		}
	}
	return strings.Join(parts, ", ")
}

// checksOf returns the checks of a scenario that have the verdict.
func checksOf(r harness.Result, v check.Verdict) []check.Result {
	var out []check.Result
	for _, c := range r.Checks {
		if c.Verdict == v {
			out = append(out, c)
		}
	}
	return out
}

// historyPath is where the history of a scenario lies, from where ksim ran.
func historyPath(run harness.Run, r harness.Result) string {
	return filepath.Join(run.Dir, r.Dir, historyFile)
}

// machine is Run.Machine in one line.
func machine(m harness.Machine) string {
	return fmt.Sprintf("%s/%s, %s, %s", m.OS, m.Arch, plural(m.CPUs, "CPU"), m.GoVersion)
}
