package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// shareModel is a broker with one partition of a share group, and what the
// member under test did with it. Time is that of a synctest bubble.
type shareModel struct {
	s    *shareSession
	rand *rand.Rand
	lock time.Duration
	// faults: parts of a hundred in which a flush is refused, or the session with
	// the broker is lost after it.
	refuse, lose int

	mu      sync.Mutex
	recs    []shareModelRecord
	marked  map[kgo.AckStatus][]*kgo.Record
	handled map[int64]bool // the handler said done, or the record was skipped
	inCall  map[int64]int
	wrong   string
	// quitting: handlers that are deaf are left behind.
	quitting bool
}

type shareModelRecord struct {
	by         *kgo.Record // the delivery that holds it; nil if none
	until      time.Time
	deliveries int
	end        kgo.AckStatus // 0 if it has none
	ended      map[*kgo.Record]bool
}

func (m *shareModel) failf(format string, args ...any) {
	if m.wrong == "" {
		m.wrong = fmt.Sprintf(format, args...)
	}
}

// deliver acquires up to n records that are free, in the order of their offsets.
func (m *shareModel) deliver(n int) []*held {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*held
	for i := range m.recs {
		r := &m.recs[i]
		if r.by != nil && !time.Now().Before(r.until) {
			r.by = nil // its lock ended
		}
		if r.by != nil || r.end != 0 || len(out) == n {
			continue
		}
		rec := &kgo.Record{Topic: "t", Offset: int64(i)}
		r.by, r.until = rec, time.Now().Add(m.lock)
		r.deliveries++
		h := &held{entry: entry{rec: rec}, tp: topicPartition{"t", 0}, delivery: r.deliveries}
		h.renewed(time.Now(), m.lock)
		out = append(out, h)
	}
	return out
}

// MarkAcks implements shareClient.
func (m *shareModel) MarkAcks(status kgo.AckStatus, rs ...*kgo.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(rs) == 0 {
		m.failf("MarkAcks without records marks all")
	}
	for _, r := range rs {
		rec := &m.recs[r.Offset]
		switch {
		case rec.ended[r]:
			m.failf("%d was marked %v after its end", r.Offset, status)
		case status == kgo.AckAccept && !m.handled[r.Offset], status == kgo.AckReject && !m.handled[r.Offset]:
			m.failf("%d was marked %v and is not done", r.Offset, status)
		case status != kgo.AckRenew:
			rec.ended[r] = true
			if m.inCall[r.Offset] > 0 && rec.by == r && !m.quitting {
				m.failf("%d was marked %v while a handler has it", r.Offset, status)
			}
		}
	}
	m.marked[status] = append(m.marked[status], rs...)
}

// FlushAcks implements shareClient: as Kafka does, all of the partition or nothing.
func (m *shareModel) FlushAcks(context.Context) error {
	time.Sleep(time.Duration(m.rand.IntN(200)) * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	marked := m.marked
	m.marked = make(map[kgo.AckStatus][]*kgo.Record)
	if len(marked) == 0 {
		return nil
	}
	var refused error
	if m.rand.IntN(100) < m.refuse {
		refused = kerr.UnknownServerError
	}
	for _, rs := range marked {
		for _, r := range rs {
			if rec := &m.recs[r.Offset]; rec.by != r || !time.Now().Before(rec.until) {
				refused = kerr.InvalidRecordState
			}
		}
	}
	if refused == nil {
		for status, rs := range marked {
			for _, r := range rs {
				rec := &m.recs[r.Offset]
				switch status {
				case kgo.AckRenew:
					rec.until = time.Now().Add(m.lock)
				case kgo.AckRelease:
					rec.by = nil
				default:
					rec.by, rec.end = nil, status
				}
			}
		}
	}
	if m.rand.IntN(100) < m.lose {
		for i := range m.recs {
			m.recs[i].by = nil
		}
	}
	m.s.onAcks(nil, kgo.ShareAckResults{{Topic: "t", Err: refused}})
	return nil
}

// handle takes a while, watches its context or not, and ends in some way.
func (m *shareModel) handle(ctx context.Context, b Batch) error {
	m.mu.Lock()
	for _, r := range b.Records {
		if m.inCall[r.Offset]++; m.inCall[r.Offset] > 1 {
			m.failf("%d is with two handlers at once", r.Offset)
		}
	}
	takes := time.Duration(m.rand.IntN(3000)) * time.Millisecond
	kind, at, deaf := m.rand.IntN(10), m.rand.IntN(len(b.Records)), m.rand.IntN(4) == 0
	m.mu.Unlock()
	var gone <-chan struct{}
	if !deaf {
		gone = ctx.Done()
	}
	stopped := false
	select {
	case <-time.After(takes):
	case <-gone:
		stopped = true
	case <-Stopping(ctx):
		stopped = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	done := len(b.Records)
	err := error(nil)
	switch {
	case stopped:
		done, err = at, FailedAt(at, ErrStopped)
	case kind == 0:
		done, err = at, FailedAt(at, errors.New("failed"))
	case kind == 1:
		done, err = at, FailedAt(at, Permanent(errors.New("poison")))
	case kind == 2:
		done, err = 0, Unavailable(errors.New("away"))
	case kind == 3:
		done, err = 0, errors.New("all of them")
	}
	for i, r := range b.Records {
		m.inCall[r.Offset]--
		if i < done {
			m.handled[r.Offset] = true
		}
	}
	return err
}

// take is the poll loop, with the model in franz-go's place.
func (m *shareModel) take(ctx context.Context) {
	for {
		n := m.s.room(ctx)
		if n == 0 {
			return
		}
		var later []*held
		for _, h := range m.deliver(n) {
			m.s.buffer(h)
			later = append(later, h)
		}
		select { // they lie in the client's buffer for a while
		case <-time.After(time.Duration(m.rand.IntN(500)) * time.Millisecond):
		case <-ctx.Done():
		}
		for _, h := range later {
			if h := m.s.unbuffer(h.rec); h != nil {
				m.s.admit(h)
			}
		}
		m.s.start()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// left is how many records have no end.
func (m *shareModel) left() (left, held int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.recs {
		if r.end == 0 {
			left++
		}
		if r.by != nil && time.Now().Before(r.until) {
			held++
		}
	}
	return left, held
}

type shareModelCase struct {
	records, refuse, lose int
	seed                  uint64
	renews                bool
	stopAfter             time.Duration // 0: when all is done
}

// run plays a case, and says what was wrong.
func (c shareModelCase) run() string {
	cfg := DefaultShareConfig()
	cfg.BatchSize, cfg.Concurrency, cfg.MaxInFlight = 3, 3, 12
	cfg.Retry = Retry{Attempts: 4, Initial: 100 * time.Millisecond, Max: 2 * time.Second, Multiplier: 3, Jitter: 0.5}
	cfg.Poison.Policy = PoisonSkip
	m := &shareModel{
		rand: rand.New(&safeSource{src: rand.NewPCG(c.seed, 1)}), lock: 2 * time.Second, refuse: c.refuse, lose: c.lose,
		recs: make([]shareModelRecord, c.records), marked: make(map[kgo.AckStatus][]*kgo.Record), handled: make(map[int64]bool), inCall: make(map[int64]int),
	}
	for i := range m.recs {
		m.recs[i].ended = make(map[*kgo.Record]bool)
	}
	cfg.Hooks.OnPoison = func(r *kgo.Record, _ int, _ error, _ PoisonPolicy) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.handled[r.Offset] = true
	}
	common := cfg.common()
	s := newShareSession(&cfg, &engine{cfg: &common, log: slog.New(slog.DiscardHandler)}, m.handle, new(shareCounters))
	s.cl, s.renews, s.lock = m, c.renews, m.lock
	m.s = s
	ctx, quit := context.WithCancel(s.stopped)
	life, endLife := context.WithCancel(context.Background())
	defer endLife()
	acked := make(chan struct{})
	var poller, loops sync.WaitGroup
	poller.Go(func() { m.take(ctx) })
	loops.Go(func() { defer close(acked); s.ackLoop(life) })
	loops.Go(s.watchLocks)
	if c.stopAfter > 0 {
		time.Sleep(c.stopAfter)
	} else {
		for range 3600 {
			if left, _ := m.left(); left == 0 {
				break
			}
			time.Sleep(time.Second)
		}
	}
	m.mu.Lock()
	m.quitting = true
	m.mu.Unlock()
	quit()
	poller.Wait()
	err := s.finish(time.Now().Add(cfg.ShutdownTimeout), acked, endLife)
	loops.Wait()
	left, held := m.left()
	switch {
	case m.wrong != "":
		return m.wrong
	case err != nil:
		return err.Error()
	case c.stopAfter == 0 && left > 0:
		return fmt.Sprintf("%d records have no end", left)
	case held > 0 && c.renews && c.refuse+c.lose == 0:
		return fmt.Sprintf("%d records are still locked after the end", held)
	case s.counts.flightCount.Load() != 0 || s.running != 0 || len(s.ends) != 0:
		return fmt.Sprintf("%d in flight, %d running, %d to acknowledge after the end", s.counts.flightCount.Load(), s.running, len(s.ends))
	case c.renews && c.refuse+c.lose == 0 && s.counts.taken.Load()+s.counts.failed.Load() > 0:
		return fmt.Sprintf("without a fault %d records were taken away, and %d acknowledgements failed", s.counts.taken.Load(), s.counts.failed.Load())
	}
	return ""
}

// The rules of a record's life, over any course of events: only what is done is
// accepted or rejected, once for each delivery; no record is with two handlers at
// once; nothing is taken away while locks can be renewed; in the end all is done,
// or given back.
func TestShareModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := shareModelCase{
			records:   rapid.IntRange(1, 40).Draw(rt, "records"),
			seed:      rapid.Uint64().Draw(rt, "seed"),
			renews:    rapid.Bool().Draw(rt, "renews"),
			refuse:    rapid.SampledFrom([]int{0, 0, 10}).Draw(rt, "refuse"),
			lose:      rapid.SampledFrom([]int{0, 0, 10}).Draw(rt, "lose"),
			stopAfter: rapid.SampledFrom([]time.Duration{0, 0, 3 * time.Second, 7 * time.Second}).Draw(rt, "stop"),
		}
		var wrong string
		synctest.Test(t, func(*testing.T) { wrong = c.run() })
		if wrong != "" {
			rt.Fatalf("%+v: %s", c, wrong)
		}
	})
}

// safeSource is a source of numbers for several goroutines.
type safeSource struct {
	mu  sync.Mutex
	src rand.Source
}

// Uint64 implements rand.Source.
func (s *safeSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Uint64()
}
