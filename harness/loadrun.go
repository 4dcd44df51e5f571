package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/workload"
	"github.com/ksim-dev/ksim/harness/workload/rate"
)

// LoadConfig is one load measurement.
type LoadConfig struct {
	Name      string // of its directory; "" is batch-<size>
	BatchSize int
	BatchWait time.Duration  // given to the subject as KSIM_BATCH_WAIT_MS
	Profile   rate.Profile   // of the load, open loop; the zero value is Rate for ever
	Rate      float64        // messages/s; of a Profile it is its mean over Duration
	Sizes     workload.Sizes // of values; the zero value is Config.Size
	Duration  time.Duration  // measured
	Warmup    time.Duration  // before that, at the first rate
	Crashes   int            // in the middle of a batch, under the same load, after the measurement
	// CommitInterval of the subject, for the prediction; 0 is after every batch.
	CommitInterval time.Duration
	// Ceiling also measures what a consumer that does nothing reaches at the same setting.
	Ceiling bool
	// KnownCeiling is what one has reached that had it harder, messages/s; where it is enough none is measured.
	KnownCeiling float64
}

// RunLoad measures the subject at one setting: warm-up, measurement, then
// crashes in the middle of a batch while the load goes on. An error is a
// failure of the harness; a measurement that must not be believed is a Result
// with Valid false and the reason.
func RunLoad(ctx context.Context, cfg Config, lc LoadConfig) (load.Result, error) {
	cfg, lc, err := prepareLoad(cfg, lc)
	if err != nil {
		return load.Result{}, err
	}
	kafka, release, err := cfg.Kafka.Acquire(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer release()
	ceiling := lc.KnownCeiling
	if lc.Ceiling && ceiling < 2*load.MinCeiling*lc.Rate {
		if ceiling, err = measureCeiling(ctx, cfg, lc, kafka); err != nil {
			return load.Result{}, fmt.Errorf("measure what a consumer reaches that does nothing: %w", err)
		}
	}
	l, err := newLoadRun(ctx, cfg, lc, kafka, lc.Name, rate.WithWarmup(lc.Profile, lc.Warmup).Due)
	if err != nil {
		return load.Result{}, err
	}
	playing, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	l.members.abandon = abandon
	if err = l.play(playing); err != nil {
		err = errors.Join(err, context.Cause(playing))
	}
	err = errors.Join(err, l.close())
	res, rerr := l.result(ceiling)
	var subj *SubjectError
	switch {
	case errors.As(err, &subj) && !subj.CannotStart:
		res.Valid, res.Reason, err = false, subj.Error(), nil
	case ctx.Err() != nil: // what was seen until then is kept; what else went wrong did so because of it
		res.Valid, res.Reason, err = false, interrupted, nil
	}
	return res, errors.Join(err, rerr)
}

// prepareLoad fills in what follows from the rest, and refuses what cannot be.
func prepareLoad(cfg Config, lc LoadConfig) (Config, LoadConfig, error) {
	if lc.Profile.String() == "" {
		p, err := rate.Constant(lc.Rate)
		if err != nil {
			return cfg, lc, err
		}
		lc.Profile = p
	}
	lc.Rate = lc.Profile.Mean(lc.Duration)
	if lc.Name == "" {
		lc.Name = fmt.Sprintf("batch-%d", lc.BatchSize)
	}
	if lc.Sizes.Max() == 0 {
		sizes, err := workload.ParseSizes(strconv.Itoa(cfg.Size))
		if err != nil {
			return cfg, lc, err
		}
		lc.Sizes = sizes
	}
	switch cfg.Evidence {
	case history.EvidenceCommits:
		lc.Crashes = 0 // what is repeated is seen by its effects alone
	case history.EvidenceOutputs:
		return cfg, lc, errors.New("load is measured by effects or by commits, not by outputs: nobody sees when an output is made")
	}
	cfg.BatchSize, cfg.Rate, cfg.BatchWait = lc.BatchSize, max(lc.Rate, 1), lc.BatchWait
	return cfg, lc, cfg.Validate()
}

// loadRun is one load on its way.
type loadRun struct {
	*stage
	lc      LoadConfig
	records *loadRecords
	gen     *load.Generator
	dir     string
	start   time.Duration // of the schedule, in the history's time
	until   time.Duration // end of what intervals are of, since then
	machine *load.Machine
	crashes []crashed
}

// newLoadRun makes all that a load needs, with message i due at due(i).
func newLoadRun(ctx context.Context, cfg Config, lc LoadConfig, kafka backend.Kafka, name string, due func(i int) time.Duration) (*loadRun, error) {
	l := &loadRun{lc: lc, dir: filepath.Join(cfg.Dir, load.DirName, name)}
	spec := workload.SourceSpec{Partitions: cfg.Partitions, Keys: cfg.Keys, Sizes: lc.Sizes, Seed: cfg.Seed, Template: cfg.Template}
	if cfg.Zipf > 0 {
		spec.Distribution, spec.ZipfS = workload.Zipf, cfg.Zipf
	}
	source, err := workload.NewSource(spec)
	if err != nil {
		return nil, err
	}
	l.records = newLoadRecords(source, cfg.Partitions, due)
	if err := os.MkdirAll(filepath.Join(l.dir, "logs"), 0o755); err != nil {
		return nil, err
	}
	sc := Scenario{Name: "load-" + name, Doc: "open-loop load", load: l.records}
	if l.stage, err = newStage(ctx, cfg, sc, kafka, l.dir, ""); err != nil {
		return nil, err
	}
	l.gen = &load.Generator{Client: l.client, Topic: l.names.topic, Source: loadSource{source}, Records: l.records.Records}
	return l, nil
}

// begin is the start of the schedule: from here messages are due.
func (l *loadRun) begin() {
	now := time.Now()
	l.gen.Start, l.start = now, l.log.Since(now)
	l.records.start.Store(&now)
}

func (l *loadRun) play(ctx context.Context) error {
	if err := l.startMembers(ctx); err != nil {
		return err
	}
	stop, sent := make(chan struct{}), make(chan error, 1)
	l.begin()
	go func() {
		_, err := l.gen.Run(ctx, 0, stop) // how late it was is in the records
		sent <- err
	}()
	err := l.measure(ctx)
	if err == nil {
		err = l.crash(ctx)
	}
	l.until = l.log.Now() - l.start
	close(stop)
	if err = errors.Join(err, <-sent); err != nil {
		return err
	}
	return l.finish(ctx)
}

// measure lets the warm-up and the measured time go by.
func (l *loadRun) measure(ctx context.Context) error {
	if err := l.reach(ctx, l.lc.Warmup); err != nil {
		return err
	}
	l.log.Append(history.Event{Kind: history.Phase, Note: load.PhaseMeasure})
	watch, used := watchMachine(), l.members.cpu()
	err := l.reach(ctx, l.lc.Warmup+l.lc.Duration)
	l.machine = watch.stop()
	l.machine.SubjectCPU = max(0, l.members.cpu()-used).Seconds()
	l.log.Append(history.Event{Kind: history.Phase, Note: load.PhaseMeasured})
	return err
}

// reach waits for a time of the schedule.
func (l *loadRun) reach(ctx context.Context, at time.Duration) error {
	timer := time.NewTimer(time.Until(l.gen.Start.Add(at)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finish lets the group do what is left, and ends it.
func (l *loadRun) finish(ctx context.Context) error {
	if err := l.drain(ctx); err != nil {
		return err
	}
	if err := l.stopMembers(ctx); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, l.cfg.ReadyBound)
	defer cancel()
	if _, err := l.lag.Once(bounded); err != nil {
		return fmt.Errorf("read the final commits: %w", err)
	}
	l.log.Append(history.Event{Kind: history.Phase, Note: history.PhaseEnd})
	return nil
}
