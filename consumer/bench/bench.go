package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/backend/containers"
)

// bench is one run: its broker, and what was measured so far.
type bench struct {
	options
	kafka *containers.Cluster
	tool  string // directory with the jars of the perf tool
	load  string // of the machine, before

	results map[string][]result // by subject, one a round
	trials  int
}

// throughput runs every subject once a round, in a random order: what else goes on on
// the machine meets each of them as often.
func (b *bench) throughput(ctx context.Context) error {
	return b.measure(ctx, b.rounds, b.only, setup{Records: b.records})
}

// keyOrder runs ours and the ideal.
func (b *bench) keyOrder(ctx context.Context) error {
	names := make([]string, 0, len(keySubjects))
	for _, s := range keySubjects {
		names = append(names, s.name)
	}
	return b.measure(ctx, b.keyRounds, names, setup{Window: b.window})
}

func (b *bench) measure(ctx context.Context, rounds int, names []string, s setup) error {
	if b.results == nil {
		b.results = make(map[string][]result)
	}
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return err
		}
	}
	order := append([]string(nil), names...)
	rng := rand.New(rand.NewPCG(b.seed, 0))
	s.Brokers, s.FetchMax = b.kafka.Brokers(), b.fetchMax<<20
	for round := range rounds {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, name := range order {
			b.trials++
			s.Subject, s.Group = name, fmt.Sprintf("%s-%d", name, b.trials)
			var r result
			var err error
			if name == perfTool {
				r, err = b.runTool(ctx, s)
			} else {
				r, err = spawn(ctx, s, b.profiles)
			}
			if err == nil && s.Window == 0 && name != ceiling {
				err = b.verify(ctx, s)
			}
			if err != nil {
				return err
			}
			b.results[name] = append(b.results[name], r)
			say("round %d: %-10s %9.0f records/s in %.2f s, %.2f s CPU, %.2f allocations a record", round+1, name, r.rate(), r.Took.Seconds(), r.CPU.Seconds(), float64(r.Mallocs)/float64(r.Records))
		}
	}
	return nil
}

// verify asks the broker whether the group has really committed everything.
func (b *bench) verify(ctx context.Context, s setup) error {
	cl, err := kgo.NewClient(b.kafka.ClientOpts()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, s.Group)
	if err != nil {
		return err
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != int64(s.Records) {
		return fmt.Errorf("%s has committed %d records in place of %d", s.Subject, sum, s.Records)
	}
	return nil
}
