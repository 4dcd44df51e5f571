package matrix

import (
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/mutant"
)

// Status is what became of a consumer.
type Status string

// What becomes of mutants, and of correct consumers.
const (
	Killed   Status = "killed"   // a check that is meant for the mutant has caught it
	Survived Status = "survived" // none has
	Waits    Status = "waits"    // nothing provokes it yet
	Missing  Status = "not run"  // what it is run by is not installed

	Held    Status = "held"    // a correct consumer that nothing was held against
	Accused Status = "accused" // a correct consumer that something was

	Unknown Status = "unknown" // a fault did not happen, twice, or too little was seen
	Failed  Status = "failed"  // the harness failed
)

// Matrix is what a plan came to.
type Matrix struct {
	Mutants []Row   `json:"mutants"`
	Correct []Row   `json:"correct"`
	Seconds float64 `json:"seconds"`
}

// Row is one consumer.
type Row struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"` // why it is unknown, waits or is not run; of what a correct one is accused
	// Meant are the checks that are to see the mistake. Caught are those of them that did, Also
	// those that were violated as a consequence, Stray those that nobody expected.
	Meant  []string `json:"meant,omitempty"`
	Caught []string `json:"caught,omitempty"`
	Also   []string `json:"also,omitempty"`
	Stray  []string `json:"stray,omitempty"`
	Runs   []Ran    `json:"runs,omitempty"`

	mutant mutant.Mutant
}

// Ran is one run of a row.
type Ran struct {
	Scenario string         `json:"scenario"`
	Verdict  check.Verdict  `json:"verdict"`
	Seconds  float64        `json:"seconds"`
	Dir      string         `json:"dir"` // below the directory of the plan
	Result   harness.Result `json:"-"`
}

// Ok tells whether every mutant is dead and no correct consumer accused.
func (m Matrix) Ok() bool { return m.Verdict() == check.Held }

// Verdict is violated if a mutant has survived or a correct consumer is accused,
// unknown if something was not seen. What waits for a scenario or a check is neither.
func (m Matrix) Verdict() check.Verdict {
	v := check.Held
	for _, r := range slices.Concat(m.Mutants, m.Correct) {
		switch r.Status {
		case Survived, Accused:
			v = check.Worse(v, check.Violated)
		case Unknown, Missing, Failed:
			v = check.Worse(v, check.Unknown)
		}
	}
	return v
}

// gather makes the rows, in the order of the plan.
func (p Plan) gather(all []*one, took time.Duration) Matrix {
	m := Matrix{Seconds: took.Seconds()}
	for _, mu := range p.Mutants {
		row := Row{Name: mu.Name, Meant: mu.Caught, mutant: mu, Runs: runsOf(all, mu.Name, false)}
		row.judgeMutant()
		m.Mutants = append(m.Mutants, row)
	}
	for _, c := range p.Correct {
		row := Row{Name: c.Name, Runs: runsOf(all, c.Name, true)}
		if len(row.Runs) == 0 {
			continue // it takes no part in these
		}
		row.judgeCorrect()
		m.Correct = append(m.Correct, row)
	}
	return m
}

func runsOf(all []*one, consumer string, correct bool) (runs []Ran) {
	for _, o := range all {
		if o.consumer == consumer && o.correct == correct {
			runs = append(runs, Ran{Scenario: o.scenario.Name, Verdict: o.result.Verdict, Seconds: o.result.Seconds, Dir: o.result.Dir, Result: o.result})
		}
	}
	return runs
}

func (r *Row) judgeMutant() {
	mu := r.mutant
	if r.Status, r.Reason = idle(mu); r.Status != "" {
		return
	}
	r.Status = Survived
	for _, run := range r.Runs {
		if run.Result.Err != nil {
			r.Status, r.Reason = Failed, run.Result.Err.Error()
			return
		}
		for _, c := range run.Result.Checks {
			if c.Verdict != check.Violated {
				continue
			}
			switch {
			case slices.Contains(mu.Caught, c.Check):
				r.Caught = add(r.Caught, c.Check)
			case slices.Contains(mu.AlsoAllowed, c.Check):
				r.Also = add(r.Also, c.Check)
			default:
				r.Stray = add(r.Stray, c.Check)
			}
		}
	}
	if len(r.Caught) > 0 {
		r.Status = Killed
		return
	}
	for _, run := range r.Runs {
		if run.Result.Verdict == check.Unknown || unseen(run.Result, mu.Caught) {
			r.Status, r.Reason = Unknown, run.Result.Reason
		}
	}
}

// unseen tells whether a check that is meant for a mutant, or the one that its fault happened,
// could not tell.
func unseen(res harness.Result, caught []string) bool {
	for _, c := range res.Checks {
		if c.Verdict == check.Unknown && (c.Check == "faults-happened" || slices.Contains(caught, c.Check)) {
			return true
		}
	}
	return len(res.Checks) == 0
}

func (r *Row) judgeCorrect() {
	r.Status = Held
	for _, run := range r.Runs {
		res := run.Result
		switch {
		case res.Err != nil:
			r.Status, r.Reason = Failed, run.Scenario+": "+res.Err.Error()
			return
		case res.Verdict == check.Violated:
			r.Status, r.Reason = Accused, run.Scenario+": "+res.Reason
			for _, c := range res.Checks {
				if c.Verdict == check.Violated {
					r.Stray = add(r.Stray, c.Check)
				}
			}
		case res.Verdict == check.Unknown && r.Status == Held:
			r.Status, r.Reason = Unknown, run.Scenario+": "+res.Reason
		}
	}
}

func add(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
