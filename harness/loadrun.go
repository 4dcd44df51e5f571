package harness

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/load"
	"github.com/ksim-dev/ksim/harness/workload"
)

// LoadConfig is one load measurement.
type LoadConfig struct {
	BatchSize int
	BatchWait time.Duration // given to the subject as KSIM_BATCH_WAIT_MS
	Rate      float64       // messages/s, open loop
	Duration  time.Duration // measured
	Warmup    time.Duration // before that
	Crashes   int           // in the middle of a batch, under the same load, after the measurement
	// CommitInterval of the subject, for the prediction; 0 is after every batch.
	CommitInterval time.Duration
}

// maxLate is how far the generator may fall behind its schedule before a
// measurement is no longer worth its name.
const maxLate = 50 * time.Millisecond

// RunLoad measures the subject at one batch size: warm-up, measurement, then
// crashes in the middle of a batch while the load goes on. An error is a
// failure of the harness; a measurement that must not be believed is a Result
// with Valid false and the reason.
func RunLoad(ctx context.Context, cfg Config, lc LoadConfig) (load.Result, error) {
	sc := Scenario{Name: fmt.Sprintf("load-batch-%d", lc.BatchSize), Doc: "open-loop load", load: true}
	for range lc.Crashes {
		sc.Faults = append(sc.Faults, fault.CrashUnderLoad{Target: "m1"})
	}
	cfg.BatchSize, cfg.Rate, cfg.BatchWait = lc.BatchSize, lc.Rate, lc.BatchWait
	cfg.Messages = max(50, int(lc.Rate)) // the plan is not used: load makes its own stream
	if err := cfg.Validate(); err != nil {
		return load.Result{}, err
	}
	dir := filepath.Join(cfg.Dir, "load", sc.Name)
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o755); err != nil {
		return load.Result{}, err
	}
	kafka, release, err := cfg.Kafka.Acquire(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer release()
	s, err := newStage(ctx, cfg, sc, kafka, dir, "")
	if err != nil {
		return load.Result{}, err
	}
	l := &loadRun{stage: s, lc: lc}
	playing, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	s.members.abandon = abandon
	err = l.play(playing)
	if err != nil {
		err = errors.Join(err, context.Cause(playing))
	}
	cerr := s.close()
	res := l.result(s.log.History())
	var subj *SubjectError
	if errors.As(err, &subj) && !subj.CannotStart {
		res.Valid, res.Reason, err = false, subj.Error(), nil
	}
	return res, errors.Join(err, cerr)
}

type loadRun struct {
	*stage
	lc    LoadConfig
	stats workload.Stats // of the measured part
	owned int            // partitions of the member that is crashed
}

func (l *loadRun) play(ctx context.Context) error {
	if err := l.startMembers(ctx); err != nil {
		return err
	}
	stop := make(chan struct{})
	next, done, err := l.stream()
	if err != nil {
		return err
	}
	defer done()
	if _, err := l.send(ctx, next, l.lc.Warmup, nil); err != nil {
		return err
	}
	l.log.Append(history.Event{Kind: history.Phase, Note: load.PhaseMeasure})
	if l.stats, err = l.send(ctx, next, l.lc.Duration, nil); err != nil {
		return err
	}
	l.log.Append(history.Event{Kind: history.Phase, Note: load.PhaseMeasured})
	if l.lc.Crashes > 0 {
		sent := make(chan error, 1)
		go func() {
			_, err := l.send(ctx, next, time.Hour, stop)
			sent <- err
		}()
		err = l.crash(ctx)
		close(stop)
		if err = errors.Join(err, <-sent); err != nil {
			return err
		}
	}
	if err := l.drain(ctx); err != nil {
		return err
	}
	if err := l.stopMembers(ctx); err != nil {
		return err
	}
	if err := l.lookBack(ctx); err != nil {
		return err
	}
	l.log.Append(history.Event{Kind: history.Phase, Note: history.PhaseEnd})
	return nil
}

// stream is the endless sequence of messages of a load run.
func (l *loadRun) stream() (next func() (workload.Message, bool), done func(), err error) {
	seq, err := l.cfg.workload("l", 1<<30).Stream()
	if err != nil {
		return nil, nil, err
	}
	next, done = iter.Pull(seq)
	return next, done, nil
}

// send offers the load for a time, or until stop is closed.
func (l *loadRun) send(ctx context.Context, next func() (workload.Message, bool), d time.Duration, stop <-chan struct{}) (workload.Stats, error) {
	n := int(d.Seconds() * l.lc.Rate)
	return l.feed.producer.Run(ctx, func(yield func(workload.Message) bool) {
		for range n {
			m, ok := next()
			if !ok || closed(stop) || !yield(m) {
				return
			}
		}
	}, l.lc.Rate)
}

func (l *loadRun) crash(ctx context.Context) error {
	for _, owner := range l.tap.Owners() {
		if owner.Member == "m1" {
			l.owned++
		}
	}
	for _, f := range l.scenario.Faults {
		if err := fault.Run(ctx, l.faults, f); err != nil {
			return err
		}
	}
	return nil
}

// result is a pure function of the history, but for what the generator says of itself.
func (l *loadRun) result(h history.History) load.Result {
	res := load.Result{BatchSize: l.lc.BatchSize, Rate: l.lc.Rate, Size: l.cfg.Size, Valid: true, LateMS: float64(l.stats.MaxLate.Microseconds()) / 1000}
	w, ok := load.MeasuredWindow(h)
	if !ok {
		res.Valid, res.Reason = false, "the run ended before the measurement did"
		return res
	}
	m := load.Analyze(h, w)
	seconds := (w.To - w.From).Seconds()
	res.Started = h.Header.Start.Add(w.From)
	res.Seconds, res.Messages, res.PeakLag = seconds, m.Messages, m.PeakLag
	res.Through = float64(m.Done) / seconds
	res.MBps = res.Through * float64(l.cfg.Size) / 1e6
	res.Latency = load.Summary(m.Latency)
	l.judgeValid(&res, m)
	l.countReprocessed(&res, h)
	return res
}

func (l *loadRun) judgeValid(res *load.Result, m load.Measured) {
	switch {
	case l.stats.MaxLate > maxLate:
		res.Valid, res.Reason = false, fmt.Sprintf("the generator fell %s behind its schedule: the machine is too busy for %g messages/s", l.stats.MaxLate.Round(time.Millisecond), l.lc.Rate)
	case m.Undone > 0:
		res.Valid, res.Reason = false, fmt.Sprintf("%d messages were never done", m.Undone)
	case res.Through < 0.9*l.lc.Rate:
		res.Valid, res.Reason = false, fmt.Sprintf("the consumer kept up with %.0f of %.0f messages/s: its latency grows with the length of the run; choose a lower --rate", res.Through, l.lc.Rate)
	}
}
