package harness

import (
	"time"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/tune"
)

// Result is what one run of one scenario came to.
type Result struct {
	Scenario string
	Doc      string // the scenario's one sentence
	// Verdict is the gravest of Checks. It means nothing if Err is set.
	Verdict check.Verdict
	Reason  string // why violated or unknown, in one sentence
	Started time.Time
	Seconds float64
	Checks  []check.Result
	Counts  check.Counts
	Causes  []check.Cause
	// Attribution is one sentence on what was repeated and by which cause, see check.Report.
	Attribution string
	// Waived are promises of the subject that this scenario lets nobody keep, and why.
	Waived map[string]string
	// Dir holds history.jsonl and logs/ of the scenario, relative to Run.Dir.
	Dir string
	// Err is a failure of the harness, not a verdict on the subject.
	Err error
}

// Run is one invocation of ksim: what ran, on what, and what it came to.
type Run struct {
	ID      string
	Dir     string // where the run left its files
	Version string // of ksim
	Command []string
	Subject string // "reference", or the command line
	Kafka   string // backend with version
	Seed    int64
	Started time.Time
	Seconds float64
	Machine Machine

	Members, BatchSize int
	Partitions         int32
	Scenarios          []Result
	Load               []load.Result
	Tune               *tune.Report // nil unless settings were tried
}

// Machine is where it ran; figures mean little without it.
type Machine struct {
	OS, Arch  string
	CPUs      int
	GoVersion string
}

// Verdict is the gravest of all scenarios; a scenario in which the harness
// failed shows nothing and is unknown, and so is a run without any.
func (r Run) Verdict() check.Verdict {
	if len(r.Scenarios) == 0 {
		return check.Unknown
	}
	v := check.Held
	for _, s := range r.Scenarios {
		if s.Err != nil {
			v = check.Worse(v, check.Unknown)
			continue
		}
		v = check.Worse(v, s.Verdict)
	}
	return v
}

// Failed returns the scenarios in which the harness itself failed.
func (r Run) Failed() []Result {
	var failed []Result
	for _, s := range r.Scenarios {
		if s.Err != nil {
			failed = append(failed, s)
		}
	}
	return failed
}
