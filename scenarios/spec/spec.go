// Package spec turns scenarios into Ginkgo specs, for this project's own suite
// and for yours:
//
//	func TestMain(m *testing.M) { spec.Main(m, []subject.Func{orders}) }
//	func TestOrders(t *testing.T) { gomega.RegisterFailHandler(ginkgo.Fail); ginkgo.RunSpecs(t, "orders") }
//
//	var orders = subject.Func{Label: "orders", Run: consume}
//	var _ = spec.Describe("orders", spec.Config{Subject: orders})
package spec

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/reexec"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/internal/services"
	"github.com/ksim-dev/ksim/reports"
	"github.com/ksim-dev/ksim/scenarios"
)

// Config says what to judge, and how. Only Subject is required.
type Config struct {
	Subject subject.Subject
	// Scenarios default to those with the tag smoke.
	Scenarios []harness.Scenario
	// Kafka lends the broker to run on; the default is an embedded one for each scenario.
	// It is called once, before the first spec; ginkgo.DeferCleanup and ginkgo.Skip work in it.
	Kafka func(ctx context.Context) (harness.Provider, error)
	// Adjust changes the defaults of harness.DefaultConfig: promises, members, sizes.
	Adjust func(*harness.Config)
	// SideBySide runs all scenarios from the start, that many at a time, and each
	// spec reports its own. The default runs each scenario in its own spec, so
	// that focus and labels save time.
	SideBySide int
}

// Main is the TestMain of a suite whose subjects are Go functions: a member is
// this test binary in another role, so that it can be killed for real. Other roles
// of the binary, such as the reaper of containers, may be added as modes.
func Main(m *testing.M, subjects []subject.Func, modes ...reexec.Mode) {
	for _, s := range subjects {
		modes = append(modes, s.Mode())
	}
	reexec.Main(append(modes, subject.GuardMode())...)
	os.Exit(m.Run())
}

// Describe makes a container with one spec for each scenario, labelled with its tags.
// A spec fails if its scenario is violated, unknown, or could not be run; it is
// skipped only if the backend cannot do what the scenario needs.
func Describe(text string, cfg Config) bool {
	if cfg.Scenarios == nil {
		cfg.Scenarios = everyday()
	}
	suite := &suite{cfg: cfg, results: map[string]chan harness.Result{}}
	return ginkgo.Describe(text, ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
		ginkgo.BeforeAll(func() {
			if err := suite.start(); err != nil {
				ginkgo.Fail("the harness failed, which says nothing about the consumer: " + err.Error())
			}
		})
		for _, sc := range cfg.Scenarios {
			ginkgo.It(sc.Name, ginkgo.Label(sc.Tags...), func(ctx ginkgo.SpecContext) {
				suite.report(suite.result(ctx, sc))
			})
		}
	})
}

func everyday() []harness.Scenario {
	chosen, err := scenarios.Select([]string{"tag:smoke"})
	if err != nil {
		panic(err) // the catalogue has that tag
	}
	return chosen
}

// suite is what the specs of one Describe share.
type suite struct {
	cfg     Config
	run     harness.Config
	results map[string]chan harness.Result // nil channels unless SideBySide
}

func (s *suite) result(ctx context.Context, sc harness.Scenario) harness.Result {
	if s.cfg.SideBySide < 1 {
		return harness.RunScenario(ctx, s.run, sc)
	}
	select {
	case r := <-s.results[sc.Name]:
		return r
	case <-ctx.Done():
		return harness.Result{Scenario: sc.Name, Err: ctx.Err()}
	}
}

func (s *suite) start() error {
	run := harness.DefaultConfig()
	run.Subject, run.RunID = s.cfg.Subject, fmt.Sprintf("spec-%d", time.Now().UnixNano())
	dir, err := os.MkdirTemp("", "ksim-spec-")
	if err != nil {
		return err
	}
	run.Dir = dir
	ginkgo.DeferCleanup(func() { _ = os.Remove(dir) }) // stays if it holds a history that was not held
	if run.Kafka = embedded(); s.cfg.Kafka != nil {
		if run.Kafka, err = s.cfg.Kafka(context.Background()); err != nil {
			return err
		}
	}
	run.Registry = services.SharedRegistry
	ginkgo.DeferCleanup(services.StopShared)
	run.Promises = history.DefaultPromises()
	if s.cfg.Adjust != nil {
		s.cfg.Adjust(&run)
	}
	s.run = run
	if err := run.Validate(); err != nil || s.cfg.SideBySide < 1 {
		return err
	}
	s.startAll(run)
	return nil
}

// startAll starts all scenarios, as many side by side as asked.
func (s *suite) startAll(run harness.Config) {
	for _, sc := range s.cfg.Scenarios {
		s.results[sc.Name] = make(chan harness.Result, 1)
	}
	run.Parallel = s.cfg.SideBySide
	run.Progress = func(r harness.Result) { s.results[r.Scenario] <- r }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = harness.RunScenarios(ctx, run, s.cfg.Scenarios) // validated before; results come by Progress
	}()
	ginkgo.DeferCleanup(func() {
		cancel()
		<-done
	})
}

func embedded() harness.Provider {
	return harness.Fresh(func(ctx context.Context) (backend.Kafka, error) {
		return backend.NewEmbedded(ctx, backend.EmbeddedConfig{})
	})
}

// report turns a result into the fate of the running spec.
func (s *suite) report(r harness.Result) {
	if r.Err != nil {
		ginkgo.Fail("the harness failed, which says nothing about the consumer: " + r.Err.Error())
	}
	if r.Verdict == check.Held {
		// Nobody reads the history of what is held. The parents go when empty.
		dir := filepath.Join(s.run.Dir, r.Dir)
		_ = os.RemoveAll(dir)
		_ = os.Remove(filepath.Dir(dir))
		return
	}
	if len(r.Checks) == 0 && strings.HasPrefix(r.Reason, "not run:") {
		ginkgo.Skip(r.Reason)
	}
	var text strings.Builder
	run := harness.Run{Dir: s.run.Dir, Seed: s.run.Seed, Subject: s.run.Subject.Name(), Scenarios: []harness.Result{r}}
	_ = reports.Text(&text, run, false) // a strings.Builder takes everything
	ginkgo.Fail(fmt.Sprintf("%s is %s: %s\n%s\nhistory: %s", r.Scenario, r.Verdict, r.Reason, text.String(), filepath.Join(s.run.Dir, r.Dir)))
}
