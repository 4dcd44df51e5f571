package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
)

// RunScenarios runs the scenarios, cfg.Parallel of them side by side, then the
// exclusive ones one by one, and
// returns their results in the order given. Cancelling ctx ends the run early;
// what was seen until then is judged and kept.
func RunScenarios(ctx context.Context, cfg Config, scenarios []Scenario) ([]Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	for _, sc := range scenarios {
		if err := cfg.Check(sc); err != nil {
			return nil, err
		}
	}
	results := make([]Result, len(scenarios))
	var told sync.Mutex
	play := func(exclusive bool, parallel int) {
		slots := make(chan struct{}, parallel)
		var wg sync.WaitGroup
		for i, sc := range scenarios {
			if sc.Exclusive != exclusive {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				results[i] = RunScenario(ctx, cfg, sc)
				if cfg.Progress != nil {
					told.Lock()
					defer told.Unlock()
					cfg.Progress(results[i])
				}
			})
		}
		wg.Wait()
	}
	play(false, cfg.Parallel)
	play(true, 1)
	return results, nil
}

// RunScenario runs one scenario and judges it.
func RunScenario(ctx context.Context, cfg Config, sc Scenario) (res Result) {
	if ctx.Err() != nil {
		return Result{Scenario: sc.Name, Doc: sc.Doc, Started: time.Now(), Verdict: check.Unknown, Reason: "not run: " + interrupted}
	}
	res = Result{Scenario: sc.Name, Doc: sc.Doc, Started: time.Now(), Dir: filepath.Join("scenarios", sc.Name)}
	defer func() { res.Seconds = time.Since(res.Started).Seconds() }()
	if err := os.MkdirAll(filepath.Join(cfg.Dir, res.Dir, "logs"), 0o755); err != nil {
		res.Err = err
		return res
	}
	kafka, release, err := cfg.Kafka.Acquire(ctx)
	if err != nil {
		res.Err = err
		return res
	}
	defer release()
	if reason := sc.unmet(kafka); reason != "" {
		res.Verdict, res.Reason = check.Unknown, reason
		return res
	}
	registry, reason := cfg.registry(sc)
	if reason != "" {
		res.Verdict, res.Reason = check.Unknown, reason
		return res
	}
	s, err := newStage(ctx, cfg, sc, kafka, filepath.Join(cfg.Dir, res.Dir), registry)
	if err != nil {
		res.Err = err
		return res
	}
	playing, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	s.members.abandon = abandon
	err = s.play(playing)
	var subj *SubjectError
	switch {
	case ctx.Err() != nil:
		err = errInterrupted
	case err != nil && errors.As(context.Cause(playing), &subj):
		err = subj // what else went wrong did so because nobody waits for this subject any more
	}
	unseen := s.tap.Problems()
	cerr := s.close()
	res.judge(s.log.History(), err)
	res.unseen(unseen)
	if cerr != nil { // a history that was not written must not be taken for one that was
		res.Err = errors.Join(res.Err, cerr)
	}
	return res
}

// interrupted is why a run that the user ended early shows no more.
const interrupted = "interrupted"

var errInterrupted = &SubjectError{Reason: interrupted}

// unseen makes a result unknown at best if the tap could not read some traffic:
// it may hold what a check looks for.
func (res *Result) unseen(problems []string) {
	if len(problems) == 0 {
		return
	}
	res.Verdict = check.Worse(res.Verdict, check.Unknown)
	if res.Reason == "" {
		res.Reason = "the tap could not read some traffic: " + strings.Join(problems, "; ")
	}
}

// play is a scenario from its first member to its last commit.
func (s *stage) play(ctx context.Context) error {
	for _, act := range []struct {
		phase string
		run   func(context.Context) error
	}{
		{history.PhaseWarmUp, s.warmUp},
		{history.PhaseFaults, s.injectFaults},
		{history.PhaseHeal, s.heal},
		{history.PhaseDrain, s.drain},
		{history.PhaseStop, s.stopMembers},
		{history.PhaseEnd, s.lookBack},
	} {
		if act.phase != history.PhaseEnd {
			s.log.Append(history.Event{Kind: history.Phase, Note: act.phase})
		}
		if err := act.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", act.phase, err)
		}
	}
	// Only a run that came this far has a history that shows everything.
	s.log.Append(history.Event{Kind: history.Phase, Note: history.PhaseEnd})
	return nil
}

// warmUp starts the members and sends the first messages.
func (s *stage) warmUp(ctx context.Context) error {
	if err := s.startMembers(ctx); err != nil || len(s.scenario.Phases) > 0 {
		return err // phases say themselves what is sent
	}
	return s.feed.before(ctx)
}

// startMembers starts the members, all at once, and waits until they own everything.
func (s *stage) startMembers(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.ReadyBound)
	defer cancel()
	errs := make(chan error, s.cfg.Members)
	for i := range s.cfg.Members {
		go func() { errs <- s.members.Start(bounded, memberName(i+1)) }()
	}
	var err error
	for range s.cfg.Members {
		if e := <-errs; err == nil {
			err = e // they are started alike, and fail alike
		}
	}
	if err != nil {
		return err
	}
	if err := s.members.AwaitStable(bounded); err != nil {
		var subj *SubjectError
		if ctx.Err() == nil && !errors.As(err, &subj) {
			err = &SubjectError{Reason: fmt.Sprintf("the members did not form a group within %s: %v", s.cfg.ReadyBound, err), Tail: s.members.tail()}
		}
		return err
	}
	for _, m := range s.members.Live() {
		s.log.Append(history.Event{Kind: history.MemberReady, Member: m, Incarnation: s.members.incarnation(m)})
	}
	return nil
}

// injectFaults injects the faults while messages flow.
func (s *stage) injectFaults(ctx context.Context) error {
	if len(s.scenario.Phases) == 0 {
		return s.underFaults(ctx, s.scenario.Faults, s.feed.during)
	}
	for _, p := range s.scenario.Phases {
		s.log.Append(history.Event{Kind: history.Phase, Note: p.Name})
		err := s.underFaults(ctx, p.Faults, func(ctx context.Context, stop <-chan struct{}) error {
			return s.feed.phase(ctx, p.Messages, cmp.Or(p.Rate, s.cfg.Rate), stop)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// underFaults injects one fault after the other while feed sends; it closes stop once they are over.
func (s *stage) underFaults(ctx context.Context, faults []fault.Fault, feed func(context.Context, <-chan struct{}) error) error {
	stop, fed := make(chan struct{}), make(chan error, 1)
	go func() { fed <- feed(ctx, stop) }()
	var err error
	for _, f := range faults {
		if err = fault.Run(ctx, s.faults, f); err != nil {
			break
		}
	}
	close(stop)
	return errors.Join(err, <-fed)
}

// heal leaves nothing broken and sends the rest: what comes after the faults
// shows whether the consumer recovered.
func (s *stage) heal(ctx context.Context) error {
	return s.feed.after(ctx)
}

// drain waits until everything is committed. That it is not within the bound
// is for the checks to judge.
func (s *stage) drain(ctx context.Context) error {
	if err := s.members.failed(); err != nil {
		return err
	}
	drained, err := s.awaitDrained(ctx)
	if err != nil {
		return err
	}
	if drained {
		s.log.Append(history.Event{Kind: history.Phase, Note: history.PhaseDrained})
	}
	return s.members.failed()
}

// stopMembers asks all members to stop, at once, as an orchestrator does.
func (s *stage) stopMembers(ctx context.Context) error {
	s.members.noMoreStarts()
	live := s.members.Live()
	errs := make(chan error, len(live))
	for _, m := range live {
		go func() { errs <- s.members.Stop(ctx, m) }()
	}
	var err error
	for range live {
		if e := <-errs; !errors.Is(e, fault.ErrNotRunning) { // one that ended by itself in the meantime is in the history
			err = errors.Join(err, e)
		}
	}
	return err
}

// judge turns a history, and what ended the run early if anything did, into the result.
func (res *Result) judge(h history.History, err error) {
	report := check.Run(h)
	res.Verdict, res.Checks, res.Counts, res.Causes = report.Verdict, report.Checks, report.Counts, report.Causes
	res.Attribution, res.Waived = report.Attribution, h.Header.Waived
	for _, c := range report.Checks {
		if c.Verdict == report.Verdict && c.Verdict != check.Held {
			res.Reason = c.Check + ": " + c.Reason
			break
		}
	}
	if res.Verdict == check.Unknown && h.Header.Evidence != history.EvidenceEffects && len(h.Header.Checks) == 0 {
		res.Reason += "; to be judged by what can be seen alone, ask for --checks " + strings.Join(check.Judgeable(h.Header.Evidence), ",")
	}
	var subj *SubjectError
	switch {
	case err == nil:
	case errors.As(err, &subj) && !subj.CannotStart: // errInterrupted too
		// The subject is to blame that there was nothing more to see; what
		// was seen is judged, and the rest is unknown.
		violation := res.Reason
		res.Verdict = check.Worse(res.Verdict, check.Unknown)
		if res.Reason = subj.Error(); res.Verdict == check.Violated {
			res.Reason = violation + "; " + subj.Reason
		}
	default:
		res.Err = err
	}
}
