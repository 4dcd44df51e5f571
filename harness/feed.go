package harness

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/workload"
)

// feeder sends the workload of one scenario in three parts: before, during and
// after the faults. The planned messages are the same for the same seed; while
// faults last longer than their part, more messages follow, healthy but with KeepMix, so that
// there is always something to break.
type feeder struct {
	producer *workload.Producer
	rate     float64
	chunk    int
	planned  []workload.Message
	poisoned bool
	sent     int
	next     func() (workload.Message, bool) // one that is not in the plan
	close    func()
	// encode makes of a message what is sent, at the moment at which it is; nil sends it as it is.
	encode func(workload.Message) (workload.Message, error)

	// sending is held while messages are handed over: who holds it stops the workload.
	sending sync.Mutex
	// partitions of the topic, if it has got more since the messages were made; else 0. With sending.
	partitions int32
}

// maxExtra bounds the messages beyond the plan.
const maxExtra = 20_000

// workload is what the configuration says of messages: n of them, all healthy,
// with ids that begin with prefix.
func (c Config) workload(prefix string, n int) workload.Spec {
	spec := workload.Spec{
		Messages: n, Partitions: c.Partitions, Keys: c.Keys, Distribution: "uniform",
		Filled: c.Filled, Size: c.Size, Template: c.Template, Rate: c.Rate, Seed: c.Seed, Compression: "none", Prefix: prefix,
	}
	if c.Zipf > 0 {
		spec.Distribution, spec.ZipfS = "zipf", c.Zipf
	}
	return spec
}

func newFeeder(p *workload.Producer, cfg Config, sc Scenario) (*feeder, error) {
	spec := cfg.workload("m", cfg.Messages)
	spec.Mix = sc.Mix
	planned, err := workload.Generate(spec)
	if err != nil {
		return nil, err
	}
	more, err := extra(cfg, sc)
	if err != nil {
		return nil, err
	}
	next, done := iter.Pull(more)
	return &feeder{
		producer: p, rate: cfg.Rate, planned: planned, poisoned: sc.Mix.Total() > 0, next: next, close: done,
		// Enough at once that every member finds a full batch.
		chunk: max(cfg.BatchSize*int(cfg.Partitions), 40),
	}, nil
}

// extra are the messages beyond the plan.
func extra(cfg Config, sc Scenario) (iter.Seq[workload.Message], error) {
	if !sc.KeepMix {
		spec := cfg.workload("x", maxExtra)
		spec.Seed = cfg.Seed + 1
		return spec.Stream()
	}
	// As many in a hundred as in the plan, block by block. The first one tells what is wrong with the mix.
	block := func(i int) ([]workload.Message, error) {
		spec := cfg.workload(fmt.Sprintf("x%d_", i), cfg.Messages)
		spec.Seed, spec.Mix = cfg.Seed+int64(i), sc.Mix
		return workload.Generate(spec)
	}
	if _, err := block(1); err != nil {
		return nil, err
	}
	return func(yield func(workload.Message) bool) {
		for i := 1; i*cfg.Messages <= maxExtra; i++ {
			messages, err := block(i)
			if err != nil {
				return
			}
			for _, m := range messages {
				if !yield(m) {
					return
				}
			}
		}
	}, nil
}

// before sends the first quarter, at the rate.
func (f *feeder) before(ctx context.Context) error {
	return f.send(ctx, f.take(len(f.planned)/4), f.rate)
}

// during sends the next half, and more until stop is closed, in bursts that
// fill batches, at the rate on average.
func (f *feeder) during(ctx context.Context, stop <-chan struct{}) error {
	end := len(f.planned) * 3 / 4
	if f.poisoned {
		end = len(f.planned) // a fault may wait for the last of its poison
	}
	return f.bursts(ctx, end, stop)
}

// phase sends n messages at the rate, and then more in bursts until stop is closed.
func (f *feeder) phase(ctx context.Context, n int, rate float64, stop <-chan struct{}) error {
	if err := f.send(ctx, f.take(n), rate); err != nil {
		return err
	}
	return f.bursts(ctx, f.sent, stop)
}

// bursts sends the plan up to end, and more until stop is closed.
func (f *feeder) bursts(ctx context.Context, end int, stop <-chan struct{}) error {
	next := f.next
	tick := time.NewTicker(time.Duration(float64(f.chunk) / f.rate * float64(time.Second)))
	defer tick.Stop()
	for {
		burst := f.take(min(f.chunk, end-f.sent))
		stopped := closed(stop)
		for len(burst) < f.chunk && !stopped {
			m, ok := next()
			if !ok {
				break
			}
			burst = append(burst, m)
		}
		if len(burst) == 0 {
			return nil // the plan is sent, and nobody waits for more
		}
		if err := f.send(ctx, burst, 0); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// after sends what is left of the plan, at the rate.
func (f *feeder) after(ctx context.Context) error {
	return f.send(ctx, f.take(len(f.planned)-f.sent), f.rate)
}

func (f *feeder) take(n int) []workload.Message {
	n = max(0, min(n, len(f.planned)-f.sent))
	part := f.planned[f.sent : f.sent+n : f.sent+n]
	f.sent += n
	return part
}

func (f *feeder) send(ctx context.Context, part []workload.Message, rate float64) error {
	if len(part) == 0 {
		return nil
	}
	f.sending.Lock()
	defer f.sending.Unlock()
	if f.partitions > 0 || f.encode != nil {
		part = slices.Clone(part)
	}
	for i := range part {
		if f.partitions > 0 {
			part[i].Partition = workload.PartitionOf(part[i].Key, f.partitions)
		}
		if f.encode != nil {
			var err error
			if part[i], err = f.encode(part[i]); err != nil {
				return err
			}
		}
	}
	_, err := f.producer.Run(ctx, slices.Values(part), rate)
	return err
}

// widen has messages go to that many partitions from now on, as a producer does that has
// learned of new ones.
func (f *feeder) widen(partitions int32) {
	f.sending.Lock()
	defer f.sending.Unlock()
	f.partitions = partitions
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
