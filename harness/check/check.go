// Package check judges a history. Every checker is a pure function: no clock,
// no network, no Kafka; the same history gives the same verdict for ever.
//
// The package imports only package history and the standard library.
package check

import (
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// Verdict is what a checker says. Unknown is never held: it means that the
// history does not show enough to tell.
type Verdict string

// The verdicts.
const (
	Held     Verdict = "held"
	Violated Verdict = "violated"
	Unknown  Verdict = "unknown"
)

// Worse returns the graver of two verdicts: violated over unknown over held.
func Worse(a, b Verdict) Verdict {
	if a == Violated || b == Violated {
		return Violated
	}
	if a == Unknown || b == Unknown {
		return Unknown
	}
	return Held
}

// Check is one guarantee and its judge.
type Check struct {
	Name string // as in the docs: no-loss, commit-safety, …
	// Doc defines the anomaly by an example of a few events, then says when
	// the guarantee is held, violated and unknown. Markdown; the reference
	// docs are generated from it.
	Doc   string
	Judge func(*Facts) Result
	// Sight is what the check must see. Where a subject is judged by other
	// evidence than its effects, what cannot be seen is unknown.
	Sight Sight
}

// Sight is what a check must see of how records were processed.
type Sight int

// The sights.
const (
	NoEffects    Sight = iota // commits, the group and dead letters show what it needs
	NeedsEnds                 // when a record came to its end: effects, or outputs with their append times
	NeedsEffects              // who did what and when: effects
)

// Result is what one check found.
type Result struct {
	Check   string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Reason is one sentence: why violated or unknown, or what was examined.
	Reason string `json:"reason,omitempty"`
	// Count is the number of violations; 0 unless violated.
	Count int `json:"count"`
	// Promised is false when the subject did not promise this: the verdict is then
	// held, and Figures carry what was counted.
	Promised bool `json:"promised"`
	// Evidence holds the first violations, at most MaxEvidence of them.
	Evidence []Evidence `json:"evidence,omitempty"`
	// Figures are counts and times worth reporting, by name with unit ("stall_ms").
	Figures map[string]float64 `json:"figures,omitempty"`
}

// MaxEvidence bounds Result.Evidence; Result.Count tells how many there were.
const MaxEvidence = 16

// Evidence is one violation, told so that a person can find it.
type Evidence struct {
	What    string        `json:"what"`              // one line
	Where   string        `json:"where,omitempty"`   // topic/partition@offset
	Message string        `json:"message,omitempty"` // id
	Key     string        `json:"key,omitempty"`
	Member  string        `json:"member,omitempty"` // m1 or m1#2
	At      time.Duration `json:"at"`               // like Event.At
	Events  []int64       `json:"events,omitempty"` // Seq of the events that show it, in order
	// Story is the few events that led to it, at most eight, in order: sentences that begin
	// with the time of day in UTC, "14:03:07.120 m1 was killed".
	Story []string `json:"story,omitempty"`
}

// Cause is one thing that happened to which repeated effects are attributed.
type Cause struct {
	Kind    string        `json:"kind"` // crash, rebalance, zombie, refused-commit, aborted-transaction, retry, stop, unknown-answer
	Member  string        `json:"member"`
	At      time.Duration `json:"at"`
	Count   int           `json:"count"` // effects repeated because of it
	Windows []Window      `json:"windows,omitempty"`
}

// Window is the offsets [From, To) of a partition that a cause may repeat:
// committed up to From, done up to To.
type Window struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// Counts sums a history up.
type Counts struct {
	Produced     int `json:"produced"`      // acked
	Effects      int `json:"effects"`       // effects done, repeats included
	Reprocessed  int `json:"reprocessed"`   // repeats among them
	Unexplained  int `json:"unexplained"`   // repeats without a cause
	DeadLettered int `json:"dead_lettered"` // records dead-lettered
	Refused      int `json:"refused"`       // attempts the sink refused
	Commits      int `json:"commits"`       // accepted, one per partition
}

// Report is the judgement of one history.
type Report struct {
	Verdict Verdict  `json:"verdict"`
	Checks  []Result `json:"checks"`
	Counts  Counts   `json:"counts"`
	Causes  []Cause  `json:"causes,omitempty"`
	// Attribution is one sentence on what was repeated and why: "12 repeated: 9 by
	// the crash of m1 at 14:03:07.120, partition 3 [118,127), 3 unexplained"; "" if nothing was.
	Attribution string `json:"attribution,omitempty"`
}

// Run judges h with every check of All.
func Run(h history.History) Report { return judge(h, All()) }
