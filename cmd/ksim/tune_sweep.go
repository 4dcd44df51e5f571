package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/load/tune"
)

// sweep is a tunePlan on its way.
type sweep struct {
	plan     *tunePlan
	cfg      harness.Config
	settings []tune.Setting
	order    *tune.Order
	trials   map[tune.Setting][]load.Result
	dropped  []tune.Ruling
	ceilings map[int]float64
	tell     *progress
}

// run makes the trials. When ctx ends, what was measured until then is looked at.
func (p *tunePlan) run(ctx context.Context, cfg harness.Config, tell *progress) (*tune.Report, error) {
	settings, err := p.settings()
	if err != nil {
		return nil, err
	}
	s := &sweep{
		plan: p, cfg: cfg, settings: settings, order: tune.Plan(settings, p.trials, uint64(cfg.Seed)),
		trials: map[tune.Setting][]load.Result{}, ceilings: map[int]float64{}, tell: tell,
	}
	round, total := 1, s.order.Left()
	for n := 1; ; n++ {
		trial, ok := s.order.Next()
		if !ok {
			break
		}
		if trial.Round > round {
			round = trial.Round
			s.drop()
		}
		r, err := s.try(ctx, trial)
		if err != nil {
			return s.report(), fmt.Errorf("trial %d of %s: %w", trial.Round, trial.Setting, err)
		}
		if ctx.Err() != nil {
			break // the trial that was interrupted says nothing
		}
		s.trials[trial.Setting] = append(s.trials[trial.Setting], r)
		s.say(trial, r, n, total)
	}
	return s.report(), nil
}

// drop lets go of the settings of which more trials would change nothing. Where two are compared both have all.
func (s *sweep) drop() {
	if len(s.plan.compare) > 0 {
		return
	}
	for _, ruling := range tune.Decided(s.points(), s.plan.slo, tune.NeedTrials) {
		if !slices.ContainsFunc(s.dropped, func(d tune.Ruling) bool { return d.Setting == ruling.Setting }) {
			s.order.Drop(ruling.Setting)
			s.dropped = append(s.dropped, ruling)
			s.tell.say("tune      %-40s no more trials: %s", ruling.Setting, ruling.Why)
		}
	}
}

func (s *sweep) try(ctx context.Context, trial tune.Trial) (load.Result, error) {
	set := trial.Setting
	lc, err := s.plan.config(set.BatchSize)
	if err != nil {
		return load.Result{}, err
	}
	lc.BatchWait = set.BatchWait
	lc.Name = fmt.Sprintf("batch-%d-wait-%s", set.BatchSize, set.BatchWait)
	cfg := s.cfg
	cfg.Extra = s.plan.extra(cfg)
	if set.Concurrency > 0 {
		lc.Name += fmt.Sprintf("-concurrency-%d", set.Concurrency)
		cfg.Extra["KSIM_CONCURRENCY"] = strconv.Itoa(set.Concurrency)
	}
	lc.Name += fmt.Sprintf("-trial-%d", trial.Round)
	cfg.Seed += int64(trial.Round) // so that no trial crashes at the same places
	lc.KnownCeiling = hardest(s.ceilings, set.BatchSize)
	r, err := harness.RunLoad(ctx, cfg, lc)
	if r.Ceiling != nil && err == nil {
		s.ceilings[set.BatchSize] = r.Ceiling.Through
	}
	r.Intervals, r.Lag, r.Faults = nil, nil, nil // of so many trials the files below load/ have the course
	return r, err
}

func (s *sweep) say(trial tune.Trial, r load.Result, n, total int) {
	invalid := ""
	if !r.Valid {
		invalid = "   invalid: " + r.Reason
	}
	s.tell.say("tune %3d/%d  %-40s %7.0f msg/s   p99 %.1f ms   repeated %d%s", n, total, trial.Setting, r.Through, r.Latency.P99, r.Reprocessed.Measured, invalid)
}

func (s *sweep) points() (points []tune.Point) {
	for _, set := range s.settings {
		points = append(points, tune.NewPoint(set, s.trials[set]))
	}
	return points
}

func (s *sweep) report() *tune.Report {
	report := tune.NewReport(s.points(), s.plan.slo, s.plan.rate, s.dropped)
	if len(s.plan.compare) > 0 {
		report.Comparison = tune.Compare(s.trials[s.settings[0]], s.trials[s.settings[1]])
	}
	return report
}
