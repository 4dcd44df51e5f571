// Package matrix runs mutants through the scenarios that provoke them, and correct
// consumers through the same ones, and tells which check has caught which mistake.
package matrix

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/mutant"
	"github.com/ksim-dev/ksim/harness/subject"
)

// Correct is a consumer without a mistake. It goes through every case of every
// mutant that it takes.
type Correct struct {
	Name    string
	Subject subject.Subject
	// Takes returns what it promises in the cases of m, and more variables for
	// its environment; false if it takes no part in them.
	Takes func(m mutant.Mutant) (p history.Promises, env map[string]string, ok bool)
}

// Careful are the consumers that mutants are made from, as correct ones.
func Careful() []Correct {
	var out []Correct
	for _, c := range mutant.Careful() {
		delivery := c.Promised().Delivery
		out = append(out, Correct{Name: c.Name, Subject: c.Subject, Takes: func(m mutant.Mutant) (history.Promises, map[string]string, bool) {
			p := m.Promised()
			return p, nil, p.Delivery == delivery
		}})
	}
	return out
}

// Plan is what to run.
type Plan struct {
	// Config is what all runs have in common: see [Config]. Each consumer gets a directory
	// of its own below Dir; Subject, Promises and MaxAttempts are set for each run.
	Config   harness.Config
	Mutants  []mutant.Mutant
	Correct  []Correct
	Scenario func(name string) (harness.Scenario, bool)
	// Progress is told when a consumer has gone through a scenario, from one goroutine at a
	// time; may be nil.
	Progress func(consumer string, r harness.Result)
}

// Config is small and quick, and what every mutant is meant to be caught with: a few hundred messages,
// batches that are long enough to be cut, clients that commit by the clock every 100 ms,
// and no patience with a group that gets nowhere. Subject, Kafka, Dir and RunID are not set.
func Config() harness.Config {
	cfg := harness.DefaultConfig()
	cfg.Messages, cfg.Rate, cfg.BatchSize = 320, 200, 10
	cfg.AutoCommit = time.Second
	cfg.StallBound, cfg.DrainBound = 6*time.Second, time.Minute
	cfg.MaxPollInterval = 8 * time.Second
	cfg.Parallel = 8
	return cfg
}

// tries is how often a run is made whose fault did not happen.
const tries = 2

// one is one consumer in one scenario.
type one struct {
	consumer string
	correct  bool
	subject  subject.Subject
	scenario harness.Scenario
	promises history.Promises
	env      map[string]string
	number   int // of the promises of this consumer in this scenario, from 1
	result   harness.Result
}

// Run runs the plan. An error is one of the plan; that the harness failed in a run is
// in the matrix.
func Run(ctx context.Context, p Plan) (Matrix, error) {
	all, err := p.list()
	if err != nil {
		return Matrix{}, err
	}
	began := time.Now()
	slots := make(chan struct{}, max(p.Config.Parallel, 1))
	var told sync.Mutex
	var wg sync.WaitGroup
	for _, o := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			o.run(ctx, p.Config)
			if p.Progress != nil {
				told.Lock()
				defer told.Unlock()
				p.Progress(o.consumer, o.result)
			}
		})
	}
	wg.Wait()
	return p.gather(all, time.Since(began)), nil
}

// list is every run of the plan, those of the mutants first.
func (p Plan) list() (all []*one, err error) {
	var errs []error
	known := map[string]harness.Scenario{}
	for _, m := range p.Mutants {
		if status, _ := idle(m); status != "" {
			continue
		}
		for _, name := range m.Scenarios {
			sc, ok := p.Scenario(name)
			if !ok {
				errs = append(errs, fmt.Errorf("the mutant %s needs the scenario %q, which is not there", m.Name, name))
				continue
			}
			known[name] = sc
			all = append(all, &one{consumer: m.Name, subject: m.Subject, scenario: sc, promises: m.Promised(), number: 1})
		}
	}
	for _, c := range p.Correct {
		seen := map[string][]string{} // by scenario: promises that it has gone through it with
		for _, m := range p.Mutants {
			promises, env, ok := c.Takes(m)
			if status, _ := idle(m); !ok || status != "" {
				continue
			}
			key := fmt.Sprintf("%+v %v", promises, env)
			for _, name := range m.Scenarios {
				if sc, ok := known[name]; ok && !slices.Contains(seen[name], key) {
					seen[name] = append(seen[name], key)
					all = append(all, &one{
						consumer: c.Name, correct: true, subject: c.Subject, scenario: sc, promises: promises, env: env, number: len(seen[name]),
					})
				}
			}
		}
	}
	return all, errors.Join(errs...)
}

// idle is what becomes of a mutant that is not run, and why; "" if it is run.
func idle(m mutant.Mutant) (Status, string) {
	if m.Waits != "" {
		return Waits, m.Waits
	}
	if m.Missing != nil {
		if why := m.Missing(); why != "" {
			return Missing, why
		}
	}
	return "", ""
}

// run makes the run, and once more if its fault did not happen.
func (o *one) run(ctx context.Context, cfg harness.Config) {
	cfg.Subject, cfg.Promises, cfg.MaxAttempts = o.subject, o.promises, o.promises.MaxAttempts
	cfg.Extra = maps.Clone(cfg.Extra)
	if cfg.Extra == nil {
		cfg.Extra = map[string]string{}
	}
	maps.Copy(cfg.Extra, o.env)
	name := o.consumer
	if o.number > 1 {
		name = fmt.Sprintf("%s-%d", name, o.number)
	}
	dir, id := cfg.Dir, cfg.RunID
	for try := 1; try <= tries; try++ {
		if try > 1 {
			name += "-again"
		}
		cfg.Dir, cfg.RunID = filepath.Join(dir, name), id+"-"+name
		o.result = harness.RunScenario(ctx, cfg, o.scenario)
		o.result.Dir = filepath.Join(name, o.result.Dir) // relative to the directory of the plan
		if o.result.Err != nil || o.result.Verdict != check.Unknown || ctx.Err() != nil {
			return
		}
	}
}
