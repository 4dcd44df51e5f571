package mutant

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/subject"
)

// steps are what the careful consumer does at the moments that matter. A mutant
// replaces the one that it gets wrong; all others stay as they are.
type steps struct {
	// client says who commits, where to begin and what to read.
	client func() []kgo.Opt
	// polled takes what a poll has brought, while rebalances are blocked.
	polled func(c *consumer, fetches kgo.Fetches)
	// full tells whether a partition has so much waiting that no more of it is fetched.
	full func(p *partition, waiting int) bool
	// resume lets a partition be fetched again.
	resume func(p *partition)
	// batch does the records of one partition, until it is told to stop.
	batch func(p *partition, records []*kgo.Record)
	// decode says what is wrong with a value that nobody can read.
	decode func(r *kgo.Record) error
	// tries counts an attempt at a record and returns how many there were.
	tries func(p *partition, r *kgo.Record) int
	// failed decides what becomes of a record that the sink did not take.
	failed func(p *partition, r *kgo.Record, attempt int, a answer) fate
	// deadLetter puts a record aside and returns when it is safe there.
	deadLetter func(p *partition, letter *kgo.Record) error
	// letter makes a dead letter.
	letter func(r *kgo.Record, why []kgo.RecordHeader) *kgo.Record
	// finished notes that a record has come to its end.
	finished func(p *partition, r *kgo.Record)
	// position is what to commit when r is the last record that is done.
	position func(r *kgo.Record) int64
	// commit commits what is done of a partition.
	commit func(p *partition)
	// until is the context of a commit.
	until func(p *partition) context.Context
	// assigned, revoked and lost are told of rebalances.
	assigned func(c *consumer, partitions []int32)
	revoked  func(c *consumer, parts []*partition)
	lost     func(c *consumer, parts []*partition)
	// unshown takes out of the lags that are shown what is not to be shown any more.
	unshown func(g *gauges, owned []int32)
	// leave ends a life that was asked to stop.
	leave func(c *consumer)
	// patience is how long the sink may take to answer; 0 is for ever.
	patience time.Duration
}

// careful are the steps of a sound at-least-once consumer.
func careful() steps {
	return steps{
		client: func() []kgo.Opt {
			return []kgo.Opt{
				kgo.DisableAutoCommit(),
				kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.FetchIsolationLevel(kgo.ReadCommitted()),
				kgo.KeepControlRecords(), // or a topic that ends in one would never be committed to its end
			}
		},
		polled:     (*consumer).deliver,
		full:       func(p *partition, waiting int) bool { return waiting >= 2*p.c.env.BatchSize },
		resume:     func(p *partition) { p.c.client.ResumeFetchPartitions(p.named()) },
		batch:      (*partition).inOrder,
		decode:     readable,
		tries:      func(p *partition, r *kgo.Record) int { return p.c.attempts.add(r) },
		failed:     (*partition).failed,
		deadLetter: (*partition).putAside,
		letter: func(r *kgo.Record, why []kgo.RecordHeader) *kgo.Record {
			return &kgo.Record{Key: r.Key, Value: r.Value, Headers: append(r.Headers[:len(r.Headers):len(r.Headers)], why...)}
		},
		finished: (*partition).finished,
		position: func(r *kgo.Record) int64 { return r.Offset + 1 },
		commit:   (*partition).commit,
		until:    func(p *partition) context.Context { return p.ctx },
		assigned: (*consumer).assign,
		revoked:  (*consumer).giveUp,
		lost:     (*consumer).drop,
		unshown:  onlyOwned,
		leave:    func(c *consumer) { c.client.CloseAllowingRebalance() }, // which gives everything up, in order
		patience: 4 * time.Second,
	}
}

// consumer is one life of a member. One goroutine polls and queues, one works on each
// partition. Polls and callbacks exclude each other (BlockRebalanceOnPoll), so
// nothing of a partition is queued once it is given up.
type consumer struct {
	env      subject.Env
	do       steps
	client   *kgo.Client
	sink     *sink
	attempts *attempts
	asked    context.Context         // ends when the member is asked to stop
	fail     context.CancelCauseFunc // ends it, because it cannot go on
	log      *log.Logger

	mu    sync.Mutex
	parts map[int32]*partition // that it owns
}

// life runs one life of a consumer with the given steps.
func life(ctx context.Context, env subject.Env, do steps) (err error) {
	if env.GroupProtocol == "consumer" {
		return errors.New("mutants and the careful consumer join classic groups only; give --protocol classic")
	}
	asked, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	c := &consumer{
		env: env, do: do, sink: newSink(env.SinkURL, do.patience), attempts: newAttempts(), asked: asked, fail: fail,
		log: log.New(os.Stderr, env.Member+" ", log.Lmicroseconds), parts: map[int32]*partition{},
	}
	defer c.sink.close()
	client, err := kgo.NewClient(append(options(env),
		append(do.client(),
			kgo.BlockRebalanceOnPoll(),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { do.assigned(c, m[env.Topic]) }),
			kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { do.revoked(c, c.take(m[env.Topic])) }),
			kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { do.lost(c, c.take(m[env.Topic])) }),
		)...)...)
	if err != nil {
		return err
	}
	c.client = client
	if addr := env.MetricsAddr; addr != "" {
		exported := make(chan error, 1)
		go func() { exported <- c.exportLag(asked, addr) }()
		defer func() { err = errors.Join(err, <-exported) }()
	}
	for asked.Err() == nil {
		fetches := client.PollRecords(asked, env.BatchSize)
		do.polled(c, fetches)
		client.AllowRebalance()
	}
	do.leave(c)
	if cause := context.Cause(asked); ctx.Err() == nil {
		return cause
	}
	return nil
}

// options are what every consumer here asks of its client. The range assignor sorts
// members by their ids, which begin with their names: who gets what is the same in every run.
func options(env subject.Env) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(split(env.BootstrapServers)...), kgo.ClientID(env.Member),
		kgo.ConsumerGroup(env.GroupID), kgo.ConsumeTopics(env.Topic), kgo.Balancers(kgo.RangeBalancer()),
		kgo.FetchMaxWait(250 * time.Millisecond), kgo.DisableClientMetrics(),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordDeliveryTimeout(10 * time.Second),
	}
	if env.SessionTimeout > 0 {
		opts = append(opts, kgo.SessionTimeout(env.SessionTimeout), kgo.HeartbeatInterval(max(env.SessionTimeout/20, 100*time.Millisecond)))
	}
	if env.MaxPollInterval > 0 {
		opts = append(opts, kgo.RebalanceTimeout(env.MaxPollInterval))
	}
	if env.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(env.InstanceID))
	}
	return opts
}

// deliver queues what came, each partition for its own worker.
func (c *consumer) deliver(fetches kgo.Fetches) {
	c.complain(fetches)
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if p := c.part(f.Partition); p != nil && len(f.Records) > 0 {
			p.queue(f.Records)
		}
	})
}

func (c *consumer) complain(fetches kgo.Fetches) {
	fetches.EachError(func(_ string, partition int32, err error) {
		if !errors.Is(err, context.Canceled) {
			c.log.Printf("poll of partition %d: %v", partition, err) // the client tries again by itself
		}
	})
}

func (c *consumer) part(id int32) *partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parts[id]
}

// owned lists the partitions that it owns.
func (c *consumer) owned() []int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.parts))
}

// assign starts a worker for each partition. Attempts are remembered longer than that.
func (c *consumer) assign(partitions []int32) {
	c.log.Printf("assigned %v", partitions)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range partitions {
		p := newPartition(c, id)
		c.parts[id] = p
		go p.work()
	}
}

// take takes partitions out of those that are owned.
func (c *consumer) take(partitions []int32) []*partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []*partition
	for _, id := range partitions {
		if p := c.parts[id]; p != nil {
			parts = append(parts, p)
			delete(c.parts, id)
		}
	}
	return parts
}

// giveUp drains: the record in hand is finished and what is done committed, before
// anybody else gets the partition. What still waits was never begun.
func (c *consumer) giveUp(parts []*partition) {
	for _, p := range parts {
		p.stop()
	}
	bound := time.NewTimer(c.env.MaxPollInterval * 3 / 4) // after all of it the group goes on without this member
	defer bound.Stop()
	for _, p := range parts {
		select {
		case <-p.idle:
		case <-bound.C:
			c.log.Printf("partition %d could not be finished in time", p.id)
			bound.Reset(0) // nor can the others
		}
		c.forget(p)
	}
}

// drop gives up what another member may have by now: nothing is finished, and nothing committed.
func (c *consumer) drop(parts []*partition) {
	for _, p := range parts {
		p.gone.Store(true)
		p.stop()
		c.forget(p)
	}
}

// forget ends a partition. A pause outlives the assignment, so it must end too.
func (c *consumer) forget(p *partition) {
	p.cancel()
	<-p.idle
	c.client.ResumeFetchPartitions(p.named())
}

// send commits positions and returns what the broker said.
func (c *consumer) send(ctx context.Context, positions map[int32]int64) error {
	offsets := map[int32]kgo.EpochOffset{}
	for id, next := range positions {
		offsets[id] = kgo.EpochOffset{Epoch: -1, Offset: next}
	}
	var refused error
	c.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{c.env.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if refused = err; err != nil {
				return
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					refused = errors.Join(refused, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		})
	if refused != nil {
		c.log.Printf("commit of %v: %v", positions, refused)
		return fmt.Errorf("commit: %w", refused)
	}
	return nil
}
