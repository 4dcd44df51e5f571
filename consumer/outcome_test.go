package consumer

import (
	"errors"
	"slices"
	"testing"
)

func TestOutcomes(t *testing.T) {
	e := errors.New("e")
	const (
		done, untried, failed = OutcomeDone, OutcomeUntried, OutcomeFailed
		permanent, fatal      = OutcomePermanent, OutcomeFatal
	)
	for name, c := range map[string]struct {
		err  error
		want []OutcomeKind
	}{
		"nil":       {nil, []OutcomeKind{done, done, done}},
		"plain":     {e, []OutcomeKind{failed, failed, failed}},
		"permanent": {Permanent(e), []OutcomeKind{permanent, permanent, permanent}},
		"at":        {FailedAt(1, Permanent(e)), []OutcomeKind{done, permanent, untried}},
		"stopped":   {FailedAt(1, ErrStopped), []OutcomeKind{done, untried, untried}},
		"some":      {Failed(map[int]error{0: Unavailable(e), 2: e}), []OutcomeKind{OutcomeUnavailable, done, failed}},
		"fenced":    {FailedAt(1, Fenced(e)), []OutcomeKind{OutcomeFenced, OutcomeFenced, OutcomeFenced}},
		"fatal":     {FailedAt(1, Fatal(e)), []OutcomeKind{fatal, fatal, fatal}},
	} {
		var kinds []OutcomeKind
		for _, o := range Outcomes(c.err, 3) {
			kinds = append(kinds, o.Kind)
			if told := o.Err != nil; told != (o.Kind != done && o.Kind != untried) || told && !errors.Is(o.Err, e) {
				t.Errorf("%s: %s by %v", name, o.Kind, o.Err)
			}
		}
		if !slices.Equal(kinds, c.want) {
			t.Errorf("%s: %v", name, kinds)
		}
	}
	if Attempt(t.Context()) != 0 || len(Outcomes(e, 0)) != 0 {
		t.Error("without a consumer, or records, there is something")
	}
}
