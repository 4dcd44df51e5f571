package observe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
)

// sampleTimeout bounds one sample of the background sampler, so that a frozen
// broker costs samples and not the sampler.
const sampleTimeout = 5 * time.Second

// Position is how far a group has come in one partition.
type Position struct {
	Committed int64 // the next offset to read; -1 if the group never committed
	Start     int64 // log start offset: what lay below is not there any more
	End       int64 // log end offset (high watermark)
}

// Behind is the number of offsets that are still to be committed. A partition
// without a commit counts from its start.
func (p Position) Behind() int64 { return max(0, p.End-p.next()) }

// next is the first offset that is still to be committed.
func (p Position) next() int64 { return max(p.Start, p.Committed, 0) }

// LagConfig is what StartLag needs. Every field is required.
type LagConfig struct {
	Opts  []kgo.Opt // brokers and authentication, as the backend gives them
	Log   *history.Log
	Group string // classic or KIP-848
	Topic string
	// Interval is the time between two samples.
	Interval time.Duration
}

// Lag samples the committed and end offsets of a group and logs a
// [history.Lag] event for each partition in which one of them has changed, and a
// [history.Removed] event for each that begins later than it did. Safe for concurrent use.
type Lag struct {
	cfg    LagConfig
	client *kgo.Client
	admin  *kadm.Client
	cancel context.CancelFunc
	done   chan struct{}

	// sampling makes samples one at a time, so that what is logged never goes
	// back to an older one.
	sampling sync.Mutex
	last     map[int32]Position
	asked    int64 // Seq of the newest event when the newest sample was begun

	mu  sync.Mutex
	err error // of the newest sample in the background
}

// StartLag starts to sample. Close ends it.
func StartLag(cfg LagConfig) (*Lag, error) {
	if cfg.Log == nil || cfg.Group == "" || cfg.Topic == "" || cfg.Interval <= 0 {
		return nil, errors.New("observe lag: Log, Group, Topic and a positive Interval are required")
	}
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.DisableClientMetrics()}, cfg.Opts...)...)
	if err != nil {
		return nil, fmt.Errorf("observe lag of group %s: %w", cfg.Group, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lag{
		cfg: cfg, client: client, admin: kadm.NewClient(client), cancel: cancel,
		done: make(chan struct{}), last: make(map[int32]Position),
	}
	go l.sample(ctx)
	return l, nil
}

// Close stops sampling. It may be called again.
func (l *Lag) Close() {
	l.cancel()
	<-l.done
	l.client.Close()
}

// Err is why the newest sample in the background failed; nil if it did not. A
// failed sample is not an error of the run: a broker may be down on purpose.
func (l *Lag) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Lag) sample(ctx context.Context) {
	defer close(l.done)
	for {
		once, cancel := context.WithTimeout(ctx, sampleTimeout)
		_, err := l.Once(once)
		cancel()
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
		if !pause(ctx, l.cfg.Interval) {
			return
		}
	}
}

// Once makes one sample now, logs what has changed and returns every partition.
// It asks for the commits first, so Behind may be too large by what was
// produced in between, and is never too small.
func (l *Lag) Once(ctx context.Context) (map[int32]Position, error) {
	l.sampling.Lock()
	defer l.sampling.Unlock()
	seq := l.cfg.Log.Last()
	committed, err := l.committed(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the commits of group %s: %w", l.cfg.Group, err)
	}
	ends, err := listed(l.admin.ListEndOffsets(ctx, l.cfg.Topic))
	if err != nil {
		return nil, fmt.Errorf("ask for the end of topic %s: %w", l.cfg.Topic, err)
	}
	starts, err := listed(l.admin.ListStartOffsets(ctx, l.cfg.Topic))
	if err != nil {
		return nil, fmt.Errorf("ask for the start of topic %s: %w", l.cfg.Topic, err)
	}
	now := make(map[int32]Position)
	var changed []history.Event
	for partition, end := range ends[l.cfg.Topic] {
		p := Position{Committed: -1, Start: starts[l.cfg.Topic][partition].Offset, End: end.Offset}
		if o, ok := committed.Lookup(l.cfg.Topic, partition); ok {
			p.Committed = o.At
		}
		now[partition] = p
		before, ok := l.last[partition]
		if p.Start > before.Start && p.End >= before.End { // else it is another topic, of the same name
			changed = append(changed, history.Event{
				Kind: history.Removed, Topic: l.cfg.Topic, Partition: partition, Offset: before.Start, End: p.Start,
				Ref: max(1, l.asked), Note: "the log begins later", // it was there when the last sample was made, or at the beginning
			})
		}
		if !ok || before.Committed != p.Committed || before.End != p.End {
			changed = append(changed, history.Event{
				Kind: history.Lag, Topic: l.cfg.Topic, Partition: partition, Offset: p.Committed, End: p.End,
			})
		}
	}
	l.last, l.asked = now, seq
	if len(changed) > 0 {
		l.cfg.Log.AppendAll(changed)
	}
	return now, nil
}

// committed asks the coordinator. It names no member, which both kinds of
// groups allow. A group that nobody has joined yet has no commits; some
// brokers call that an error (GROUP_ID_NOT_FOUND).
func (l *Lag) committed(ctx context.Context) (kadm.OffsetResponses, error) {
	answer, err := l.admin.FetchOffsets(ctx, l.cfg.Group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := answer.Error(); err != nil {
		return nil, err
	}
	return answer, nil
}
