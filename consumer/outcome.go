package consumer

import "context"

// OutcomeKind is what becomes of a record by what the handler returned.
type OutcomeKind string

// The outcomes, from the best to the worst.
const (
	OutcomeDone        OutcomeKind = "done"
	OutcomeUntried     OutcomeKind = "untried"     // handled again; no attempt is counted
	OutcomeUnavailable OutcomeKind = "unavailable" // tried again for as long as it takes; no attempt is counted
	OutcomeFailed      OutcomeKind = "failed"      // tried again, until its attempts are used up
	OutcomePermanent   OutcomeKind = "permanent"   // poison; if the error is for a batch as a whole, what is alone at fault is found first
	OutcomeFenced      OutcomeKind = "fenced"      // the partition is dropped, and the member joins again
	OutcomeFatal       OutcomeKind = "fatal"       // the consumer stops
)

// Outcome is what a handler's error says of one record.
type Outcome struct {
	Kind OutcomeKind
	Err  error // nil if it is done or was not tried
}

// Outcomes reads the error of a handler as the consumer does, for a batch of n
// records: for tests of handlers, and for traces and metrics. If the handler's
// context had been cancelled by then, the consumer takes what is not done for
// untried, whatever the error says.
func Outcomes(err error, n int) []Outcome {
	v := read(err, n)
	out := make([]Outcome, n)
	for i := range out {
		out[i] = Outcome{v.kind(i), v.errs[i]}
		switch {
		case v.fatal != nil:
			out[i] = Outcome{OutcomeFatal, v.fatal}
		case v.fenced != nil:
			out[i] = Outcome{OutcomeFenced, v.fenced}
		}
	}
	return out
}

func (v *verdict) kind(i int) OutcomeKind {
	switch v.fates[i] {
	case fateDone:
		return OutcomeDone
	case fateUntried:
		return OutcomeUntried
	case fateUnavailable:
		return OutcomeUnavailable
	case fatePoison, fateIsolate:
		return OutcomePermanent
	}
	return OutcomeFailed
}

// Attempt returns which attempt at the first record of its batch a handler called
// with ctx is, 1 at first; 0 if no consumer has called it. Config.Retry says how far it
// can go.
func Attempt(ctx context.Context) int {
	sign, _ := ctx.Value(stoppingKey{}).(stopSign)
	return sign.attempt
}
