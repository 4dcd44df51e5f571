package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// shareSuite is what holds on the embedded broker and on real Kafka.
var shareSuite = []struct {
	name string
	run  func(*shareKafka)
}{
	{"Accept", shareAccept},
	{"Renew", shareRenew},
	{"RenewBuffered", shareRenewBuffered},
	{"Retry", shareRetry},
	{"DeadLetter", shareDeadLetter},
	{"Skip", shareSkip},
	{"Stop", shareStop},
	{"Unavailable", shareUnavailable},
	{"Fatal", shareFatal},
	{"Shutdown", shareShutdown},
	{"Stall", shareStall},
	{"LastDelivery", shareLastDelivery},
	{"ManyMembers", shareManyMembers},
	{"Crash", shareCrash},
	{"Frozen", shareFrozen},
}

func TestShare(t *testing.T) {
	shareTests(t, func(t *testing.T, _ string) *shareKafka { return embedded(t) })
}

// shareTests runs the suite. Its tests wait for locks most of the time, and so run
// side by side.
func shareTests(t *testing.T, on func(t *testing.T, name string) *shareKafka) {
	var all sync.WaitGroup
	for _, c := range shareSuite {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) { c.run(on(t, strings.ToLower(c.name))) })
		})
	}
	all.Wait()
}

// Everything is accepted, once.
func shareAccept(k *shareKafka) {
	k.produce(0, 300)
	d := newDeliveries()
	r := k.start(k.config(), d.handler(""))
	r.until("all acknowledgements", func() bool { return r.c.Stats().Accepted == 300 })
	r.finish()
	d.once(k.T, 300)
	if got := r.c.Stats(); got != (consumer.ShareStats{Accepted: 300}) {
		k.Errorf("%+v", got)
	}
	k.nothingLeft()
}

// A handler that takes longer than the lock keeps its record.
func shareRenew(k *shareKafka) {
	k.produce(0, 1)
	d := newDeliveries()
	cfg := k.config()
	cfg.HandlerTimeout = 0
	first := k.start(cfg, d.slow("first", 5*k.lock/2))
	first.until("the handler", func() bool { return d.distinct() == 1 })
	second := k.start(k.config(), d.handler("second"))
	first.until("its end", func() bool { return first.c.Stats().Accepted == 1 })
	if first.c.Stats().Renewed < 3 {
		k.Errorf("%+v", first.c.Stats())
	}
	first.finish()
	second.finish()
	d.once(k.T, 1)
}

// Records that the client has fetched and that wait for room keep their locks too.
func shareRenewBuffered(k *shareKafka) {
	k.produce(0, 40)
	d := newDeliveries()
	cfg := k.config()
	cfg.BatchSize, cfg.Concurrency, cfg.MaxInFlight, cfg.HandlerTimeout = 1, 1, 10, 0
	block := make(chan struct{})
	r := k.start(cfg, consumer.Each(func(ctx context.Context, r *kgo.Record) error {
		d.add("", r)
		select {
		case <-block:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	r.until("the handler", func() bool { return d.distinct() == 1 })
	select {
	case <-time.After(3 * k.lock):
	case err := <-r.done:
		k.Fatal(err)
	}
	close(block)
	r.until("all", func() bool { return r.c.Stats().Accepted == 40 })
	r.finish()
	d.once(k.T, 40)
	for id := range 40 {
		if got := d.of(strconv.Itoa(id)); got[0] != 1 {
			k.Errorf("record %d came in delivery %v", id, got)
		}
	}
}

// What fails is tried again here, in the same delivery, the rest of its batch once.
func shareRetry(k *shareKafka) {
	k.produce(0, 100)
	d := newDeliveries()
	r := k.start(k.config(), consumer.Each(func(_ context.Context, r *kgo.Record) error {
		if n := d.add("", r); r.Offset%10 == 5 && n < 4 {
			return errNo
		}
		return nil
	}))
	r.until("all", func() bool { return r.c.Stats().Accepted == 100 })
	r.finish()
	for id := range 100 {
		got, want := d.of(strconv.Itoa(id)), 1
		if id/partitions%10 == 5 {
			want = 4
		}
		if len(got) != want || got[len(got)-1] != 1 {
			k.Errorf("record %d was handled in deliveries %v, want %d times in the first", id, got, want)
		}
	}
	k.nothingLeft()
}

// Poison becomes one dead letter, is accepted, and does not come again.
func shareDeadLetter(k *shareKafka) {
	k.produce(0, 40)
	cfg := k.config()
	cfg.Poison = consumer.Poison{Topic: k.letters}
	cfg.Retry.Attempts = 3
	d := newDeliveries()
	r := k.start(cfg, consumer.Each(func(_ context.Context, r *kgo.Record) error {
		d.add("", r)
		switch string(r.Value) {
		case "13":
			return errNo
		case "14":
			return consumer.Permanent(errNo)
		}
		return nil
	}))
	r.until("all", func() bool { return r.c.Stats().Accepted == 40 })
	r.finish()
	if len(d.of("13")) != 3 || len(d.of("14")) != 1 || d.distinct() != 40 {
		k.Errorf("handled %v and %v times", d.of("13"), d.of("14"))
	}
	k.nothingLeft()
	for _, l := range k.readLetters(2) {
		h := headers(l)
		attempts := map[string]string{"13": "3", "14": "1"}[string(l.Value)]
		if attempts == "" || h["trace"] == "" || string(l.Key) != "k"+string(l.Value) ||
			h[consumer.HeaderTopic] != k.topic || h[consumer.HeaderGroup] != k.group || h[consumer.HeaderMessage] != "no" ||
			h[consumer.HeaderAttempts] != attempts || h[consumer.HeaderDeliveryCount] != "1" || h[consumer.HeaderInstance] != cfg.ClientID {
			k.Errorf("dead letter %s of key %s with %v", l.Value, l.Key, h)
		}
	}
}

// PoisonSkip rejects: the broker archives the record.
func shareSkip(k *shareKafka) {
	k.produce(0, 20)
	cfg := k.config()
	cfg.Poison = consumer.Poison{Policy: consumer.PoisonSkip}
	var skipped atomic.Int32
	cfg.Hooks.OnPoison = func(r *kgo.Record, _ int, err error, policy consumer.PoisonPolicy) {
		if string(r.Value) == "7" && errors.Is(err, errNo) && policy == consumer.PoisonSkip {
			skipped.Add(1)
		}
	}
	r := k.start(cfg, func(_ context.Context, b consumer.Batch) error {
		failed := make(map[int]error)
		for i, r := range b.Records {
			if string(r.Value) == "7" {
				failed[i] = consumer.Permanent(errNo)
			}
		}
		return consumer.Failed(failed)
	})
	r.until("all", func() bool { s := r.c.Stats(); return s.Accepted == 19 && s.Rejected == 1 })
	r.finish()
	if skipped.Load() != 1 {
		k.Errorf("skipped %d times", skipped.Load())
	}
	k.nothingLeft()
}

// PoisonStop ends Run; the record goes to the next member, with the delivery counted.
func shareStop(k *shareKafka) {
	k.produce(0, 20)
	d := newDeliveries()
	r := k.start(k.config(), consumer.Each(func(_ context.Context, r *kgo.Record) error {
		if string(r.Value) == "7" {
			return consumer.Permanent(errNo)
		}
		d.add("first", r)
		return nil
	}))
	var poison *consumer.PoisonError
	if err := r.end(); !errors.As(err, &poison) || !errors.Is(err, errNo) || poison.Topic != k.topic || poison.Attempts != 1 {
		k.Fatalf("Run: %v", err)
	}
	if r.c.Stats().Released == 0 || r.c.Stats().InFlight != 0 {
		k.Errorf("%+v", r.c.Stats())
	}
	next := k.start(k.config(), d.handler("second"))
	next.until("the rest", func() bool { return d.distinct() == 20 })
	next.finish()
	d.once(k.T, 20)
	if got := d.of("7"); got[0] != 2 {
		k.Errorf("it came in delivery %v", got)
	}
}

// Unavailable counts no attempt, for longer than a lock.
func shareUnavailable(k *shareKafka) {
	k.produce(0, 20)
	cfg := k.config()
	cfg.Retry.Attempts = 2
	d := newDeliveries()
	var up atomic.Bool
	r := k.start(cfg, func(_ context.Context, b consumer.Batch) error {
		if !up.Load() {
			return consumer.Unavailable(errNo)
		}
		for _, r := range b.Records {
			d.add("", r)
		}
		return nil
	})
	select {
	case <-time.After(2 * k.lock):
	case err := <-r.done:
		k.Fatal(err)
	}
	up.Store(true)
	r.until("all", func() bool { return r.c.Stats().Accepted == 20 })
	r.finish()
	d.once(k.T, 20)
	for id := range 20 {
		if got := d.of(strconv.Itoa(id)); got[0] != 1 {
			k.Errorf("record %d came in delivery %v", id, got)
		}
	}
}

// Fatal gives back all that is not done, its own batch first.
func shareFatal(k *shareKafka) {
	k.produce(0, 20)
	boom := errors.New("boom")
	r := k.start(k.config(), func(context.Context, consumer.Batch) error { return consumer.Fatal(boom) })
	if err := r.end(); !errors.Is(err, boom) {
		k.Fatalf("Run: %v", err)
	}
	if s := r.c.Stats(); s.Accepted != 0 || s.InFlight != 0 {
		k.Errorf("%+v", s)
	}
	d := newDeliveries()
	next := k.start(k.config(), d.handler(""))
	next.until("all", func() bool { return d.distinct() == 20 })
	next.finish()
	d.once(k.T, 20)
}

// The end of Run gives back what was not done, at once.
func shareShutdown(k *shareKafka) {
	k.produce(0, 40)
	d := newDeliveries()
	cfg := k.config()
	cfg.Concurrency = 1
	begun := make(chan struct{})
	var once sync.Once
	r := k.start(cfg, func(ctx context.Context, b consumer.Batch) error {
		once.Do(func() { close(begun) })
		<-consumer.Stopping(ctx)
		d.add("first", b.Records[0])
		return consumer.FailedAt(1, consumer.ErrStopped)
	})
	<-begun
	r.finish()
	s := r.c.Stats()
	if s.Accepted != 1 || s.InFlight != 0 || s.AckFailed != 0 {
		k.Errorf("%+v", s)
	}
	next := k.start(k.config(), d.handler("second"))
	next.until("the rest", func() bool { return d.distinct() == 40 })
	next.finish()
	d.once(k.T, 40)
}

// A handler that hangs loses its records to others, and Run says so.
func shareStall(k *shareKafka) {
	k.produce(0, 1)
	d := newDeliveries()
	cfg := k.config()
	cfg.HandlerTimeout, cfg.StallTimeout = 0, k.lock/2
	hang := make(chan struct{})
	returned := make(chan struct{})
	r := k.start(cfg, func(context.Context, consumer.Batch) error {
		defer close(returned)
		<-hang
		return nil
	})
	if err := r.end(); !errors.Is(err, consumer.ErrStalled) {
		k.Fatalf("Run: %v", err)
	}
	next := k.start(k.config(), d.handler(""))
	next.until("the record", func() bool { return d.distinct() == 1 })
	close(hang)
	<-returned
	next.until("its end", func() bool { return next.c.Stats().Accepted == 1 })
	next.finish()
	if got := d.of("0"); len(got) != 1 || got[0] != 2 {
		k.Errorf("deliveries %v", got)
	}
	if s := r.c.Stats(); s.Accepted != 0 {
		k.Errorf("what stalled was accepted after all: %+v", s)
	}
}

// What is given back after its last delivery would be archived: it becomes a dead
// letter instead.
func shareLastDelivery(k *shareKafka) {
	const limit = 5
	k.produce(0, 1)
	cfg := k.config()
	cfg.Poison = consumer.Poison{Topic: k.letters}
	cfg.Retry.Attempts = 100
	for n := 1; n <= limit; n++ {
		begun := make(chan int32, 1)
		r := k.start(cfg, func(ctx context.Context, b consumer.Batch) error {
			begun <- b.Records[0].DeliveryCount()
			<-consumer.Stopping(ctx)
			return consumer.FailedAt(0, consumer.ErrStopped)
		})
		select {
		case got := <-begun:
			if got != int32(n) {
				k.Errorf("delivery %d, not %d", got, n)
			}
		case <-time.After(patience):
			k.Fatalf("delivery %d does not come", n)
		}
		r.finish()
	}
	k.nothingLeft()
	h := headers(k.readLetters(1)[0])
	if h[consumer.HeaderDeliveryCount] != strconv.Itoa(limit) || h[consumer.HeaderAttempts] != "0" {
		k.Errorf("%v", h)
	}
}

// All of more members than partitions get work.
func shareManyMembers(k *shareKafka) {
	const members = 2 * partitions
	d := newDeliveries()
	all := make([]*sharing, members)
	for i := range all {
		cfg := k.config()
		cfg.BatchSize, cfg.Concurrency, cfg.MaxInFlight = 1, 1, 2
		all[i] = k.start(cfg, d.slow(fmt.Sprint(i), 20*time.Millisecond))
	}
	n := 0
	k.until("work for all", func() bool {
		if n < 4000 {
			k.produce(n, 40)
			n += 40
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.by) == members
	})
	for _, r := range all {
		r.finish()
	}
}
