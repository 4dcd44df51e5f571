package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

func (b *bench) hit(a *Armed) {
	b.t.Helper()
	select {
	case <-a.Hit():
	case <-time.After(10 * time.Second):
		b.t.Fatalf("the rule never acted; events %s", b.events(0))
	}
}

func wasHit(a *Armed) bool {
	select {
	case <-a.Hit():
		return true
	default:
		return false
	}
}

// background posts and hands the answer over later.
func (b *bench) background(url, body string) <-chan reply1 {
	out := make(chan reply1, 1)
	go func() { out <- b.post(url, body) }()
	return out
}

func TestRefuse(t *testing.T) {
	b := newBench(t)
	b.add(1)
	for _, c := range []struct {
		act                Refuse
		code               int
		status, err, after string
	}{
		{Refuse{Status: 503, RetryAfter: 1500 * time.Millisecond}, 503, "unavailable", "unavailable", "2"},
		{Refuse{Status: 429}, 429, "unavailable", "unavailable", "0"},
		{Refuse{Status: 409}, 409, "refused", "not-owner", ""},
		{Refuse{Status: 422}, 422, "poison", "poison", ""},
		{Refuse{Status: 500}, 500, "refused", "Internal Server Error", ""},
		{Refuse{}, 503, "unavailable", "unavailable", "0"},
	} {
		since := b.log.Last()
		a := b.Add(Rule{Times: 1, Action: c.act})
		r := b.post(b.url, body("m-1"))
		b.expect(r, c.code, c.status)
		if r.header.Get("Retry-After") != c.after || r.Error != c.err || !wasHit(a) || a.Hits() != 1 {
			t.Errorf("%+v: answer %s, header %q, %d hits", c.act, r.text, r.header.Get("Retry-After"), a.Hits())
		}
		b.expectEvents(since, "started m-1, refused m-1")
		if e := b.log.Events(since)[1]; e.Error != c.err || e.Ref != since+1 {
			t.Errorf("event %+v", e)
		}
		a.Remove()
	}
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
}

func TestRuleSelection(t *testing.T) {
	b := newBench(t)
	b.add(6)
	m2 := b.Open("m2", 1)
	only := b.Add(Rule{Member: "m2", Action: Refuse{Status: 409}})
	match := b.Add(Rule{Match: func(e workload.Entry) bool { return e.ID == "m-3" }, Action: Refuse{Status: 500}})
	window := b.Add(Rule{Member: "m1", After: 2, Times: 2, Action: Refuse{Status: 429}})
	var got []int
	for i := range 6 {
		got = append(got, b.post(b.url, body(fmt.Sprintf("m-%d", i+1))).code)
	}
	// m-3 ends at its rule, so the window never sees it.
	if want := "[200 200 500 429 429 200]"; fmt.Sprint(got) != want {
		t.Errorf("answers %v, want %s", got, want)
	}
	b.expect(b.post(m2, body("m-3")), 409, "refused")
	if only.Hits() != 1 || match.Hits() != 1 || window.Hits() != 2 {
		t.Errorf("hits %d, %d, %d", only.Hits(), match.Hits(), window.Hits())
	}
	only.Remove()
	only.Remove()
	b.expect(b.post(m2, body("m-1")), 200, "applied")
}

// A rule for everything, such as a slow system, does not hide another.
func TestRulesStack(t *testing.T) {
	b := newBench(t)
	b.add(3)
	slow := b.Add(Rule{Action: Delay{For: time.Millisecond}})
	refuse := b.Add(Rule{After: 1, Times: 1, Action: Refuse{Status: 503}})
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
	b.expect(b.post(b.url, body("m-2")), 503, "unavailable")
	b.expect(b.post(b.url, body("m-3")), 200, "applied")
	if slow.Hits() != 3 || refuse.Hits() != 1 {
		t.Errorf("hits %d, %d", slow.Hits(), refuse.Hits())
	}
}

func TestDelay(t *testing.T) {
	b := newBench(t)
	b.add(2)
	const delay = 50 * time.Millisecond
	a := b.Add(Rule{Times: 1, Action: Delay{For: delay}})
	answer := b.background(b.url, body("m-1"))
	b.hit(a)
	b.expect(b.post(b.url, body("m-2")), 200, "applied") // others go on
	b.expect(<-answer, 200, "applied")
	started := b.await(history.EffectStarted, 1)
	var done history.Event
	for _, e := range b.log.Events(0) {
		if e.Ref == started.Seq {
			done = e
		}
	}
	if done.Kind != history.EffectDone || done.At-started.At < delay {
		t.Errorf("%s after %s", done.Kind, done.At-started.At)
	}
	// One that would last for ever ends with the member.
	a = b.Add(Rule{Action: Delay{For: time.Hour}})
	answer = b.background(b.url, body("m-2"))
	b.hit(a)
	b.End("m1", 1)
	if r := <-answer; r.err == nil {
		t.Errorf("answered %d", r.code)
	}
}

func TestHoldAndRelease(t *testing.T) {
	b := newBench(t)
	b.add(4)
	a := b.Add(Rule{After: 1, Times: 1, Action: Hold{}})
	b.expect(b.post(b.url, body("m-1")), 200, "applied")
	held := b.background(b.url, body("m-2"))
	b.hit(a)
	behind := b.background(b.url, body("m-3"))
	b.expect(b.post(b.Open("m2", 1), body("m-4")), 200, "applied") // another member goes on
	b.expectEvents(0, "started m-1, done m-1, started m-2, started m-4, done m-4")
	a.Release()
	b.expect(<-held, 200, "applied")
	b.expect(<-behind, 200, "applied")
	b.await(history.EffectDone, 4)
}

func TestRemoveReleases(t *testing.T) {
	b := newBench(t)
	b.add(2)
	a := b.Add(Rule{Action: Hold{}})
	held := b.background(b.url, body("m-1"))
	b.hit(a)
	a.Remove()
	b.expect(<-held, 200, "applied")
	b.expect(b.post(b.url, body("m-2")), 200, "applied")
}

// The crash between two effects of a batch, the same every time.
func TestHoldInABatchThenEnd(t *testing.T) {
	for _, k := range []int{1, 4, 7} {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			b := newBench(t)
			b.add(7)
			var values []string
			want := ""
			for i := 1; i <= 7; i++ {
				values = append(values, body(fmt.Sprintf("m-%d", i)))
				if i < k {
					want += fmt.Sprintf("started m-%d, done m-%d, ", i, i)
				}
			}
			a := b.Add(Rule{Member: "m1", After: k - 1, Times: 1, Action: Hold{}})
			answer := b.background(b.url+"/batch", "["+strings.Join(values, ",")+"]")
			b.hit(a)
			b.expectEvents(0, fmt.Sprintf("%sstarted m-%d", want, k))
			if b.Effects("m1") != k-1 {
				t.Errorf("%d applied, want %d", b.Effects("m1"), k-1)
			}
			b.End("m1", 1)
			// End has returned: all of it is in the history.
			b.expectEvents(0, fmt.Sprintf("%sstarted m-%d, dropped m-%d", want, k, k))
			if e := b.await(history.EffectDropped, 1); e.Ref != int64(2*k-1) {
				t.Errorf("event %+v", e)
			}
			if r := <-answer; r.err == nil {
				t.Errorf("answered %d %s", r.code, r.text)
			}
			b.expect(b.post(b.Open("m1", 2), body("m-1")), 200, "applied")
		})
	}
}

// The gate of a frozen member stays shut although its client gives up, and its retry waits behind it.
func TestHoldOutlivesTheClient(t *testing.T) {
	b := newBench(t)
	b.add(1)
	a := b.Add(Rule{Times: 1, Action: Hold{}})
	// Called as the server does, so that there is no doubt when the sink knows
	// that the client is gone; TestHang shows that it comes to know.
	ctx, cancel := context.WithCancel(context.Background())
	entry, _ := b.ledger.ByID("m-1")
	inc := b.incarnation("m1", 1)
	gone := make(chan fate, 1)
	go func() { gone <- b.effect(ctx, inc, entry, false) }()
	b.hit(a)
	cancel()
	retry := b.background(b.url, body("m-1"))
	waitFor(t, func() bool { inc.gate.mu.Lock(); defer inc.gate.mu.Unlock(); return inc.gate.waiters == 1 })
	b.expectEvents(0, "started m-1")
	a.Release()
	b.expect(<-retry, 200, "applied")
	if f := <-gone; f != dropped {
		t.Errorf("fate %+v", f)
	}
	if e := b.await(history.EffectDropped, 1); e.Note != "the client gave up" || e.Ref != 1 {
		t.Errorf("event %+v", e)
	}
	if b.Applied("m-1") != 1 {
		t.Errorf("applied %d times", b.Applied("m-1"))
	}
}

func TestHang(t *testing.T) {
	b := newBench(t)
	b.add(3)
	a := b.Add(Rule{Match: func(e workload.Entry) bool { return e.ID == "m-1" }, Action: Hang{}})
	hung := b.background(b.url, body("m-1"))
	b.hit(a)
	b.expect(b.post(b.url, body("m-2")), 200, "applied") // nobody else hangs
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Gate("m1").Lock(ctx); err != nil { // and it does not keep the gate
		t.Fatal(err)
	}
	b.Gate("m1").Unlock()
	a.Release()
	b.expect(<-hung, 200, "applied")

	// A client that gives up ends it.
	impatient, stop := context.WithCancel(context.Background())
	gone := make(chan reply1, 1)
	go func() { gone <- b.postCtx(impatient, b.url, body("m-1")) }()
	b.await(history.EffectStarted, 3)
	stop()
	<-gone
	if e := b.await(history.EffectDropped, 1); e.Note != "the client gave up" {
		t.Errorf("event %+v", e)
	}
	hung = b.background(b.url, body("m-1"))
	b.await(history.EffectStarted, 4)
	b.End("m1", 1)
	if r := <-hung; r.err == nil {
		t.Errorf("answered %d", r.code)
	}
	b.await(history.EffectDropped, 2)
}

func TestResets(t *testing.T) {
	b := newBench(t)
	b.add(3)
	before := b.Add(Rule{Times: 1, Action: ResetBefore{}})
	if r := b.post(b.url, body("m-1")); !errors.Is(r.err, syscall.ECONNRESET) {
		t.Errorf("answer %d, error %v", r.code, r.err)
	}
	if e := b.await(history.EffectRefused, 1); e.Error != "reset" || b.Applied("m-1") != 0 || !wasHit(before) {
		t.Errorf("event %+v", e)
	}
	after := b.Add(Rule{Times: 1, Action: ResetAfter{}})
	if r := b.post(b.url, body("m-1")); !errors.Is(r.err, syscall.ECONNRESET) {
		t.Errorf("answer %d, error %v", r.code, r.err)
	}
	if e := b.await(history.EffectDone, 1); e.Note != "reset" || b.Applied("m-1") != 1 || !wasHit(after) {
		t.Errorf("event %+v", e)
	}
	since := b.log.Last()
	b.Add(Rule{After: 1, Times: 1, Action: ResetAfter{}})
	if r := b.post(b.url+"/batch", "["+body("m-1")+","+body("m-2")+","+body("m-3")+"]"); !errors.Is(r.err, syscall.ECONNRESET) {
		t.Errorf("answer %d, error %v", r.code, r.err)
	}
	b.expectEvents(since, "started m-1, done m-1, started m-2, done m-2")
	b.record("bad", 60, workload.Permanent, 0)
	never := b.Add(Rule{Times: 1, Action: ResetAfter{}})
	b.expect(b.post(b.url, body("bad")), 422, "poison")
	if wasHit(never) {
		t.Error("poison was applied, it seems")
	}
}

// With many workers: when the hold is hit nothing of the member moves, and
// exactly so many effects as asked for came before it.
func TestGateWithWorkers(t *testing.T) {
	const workers, each, k = 8, 40, 101
	b := newBench(t)
	b.add(workers * each)
	m2 := b.Open("m2", 1)
	a := b.Add(Rule{Member: "m1", After: k, Times: 1, Action: Hold{}})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if r := b.post(b.url, body(fmt.Sprintf("m-%d", w*each+i+1))); r.err != nil || r.code != 200 {
					t.Errorf("worker %d: %d, error %v", w, r.code, r.err)
				}
			}
		})
	}
	b.hit(a)
	still := b.log.Last()
	open := map[int64]bool{}
	for _, e := range b.log.Events(0) {
		if e.Kind == history.EffectStarted {
			open[e.Seq] = true
		} else {
			delete(open, e.Ref)
		}
	}
	last := b.log.Events(still - 1)[0]
	if len(open) != 1 || !open[last.Seq] || b.Effects("m1") != k {
		t.Errorf("%d effects are open, %d done, want 1 and %d; the newest is %+v", len(open), b.Effects("m1"), k, last)
	}
	// While another member works, this one does not.
	for i := range 20 {
		b.expect(b.post(m2, body(fmt.Sprintf("m-%d", i+1))), 200, "applied")
	}
	for _, e := range b.log.Events(still) {
		if e.Member == "m1" {
			t.Errorf("%+v while the member is held", e)
		}
	}
	// A second step waits for its turn.
	short, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	if err := b.Gate("m1").Lock(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("locked beside a hold: %v", err)
	}
	a.Release()
	wg.Wait()
	if b.Effects("m1") != workers*each {
		t.Errorf("%d effects in the end", b.Effects("m1"))
	}
}

// Holds and locks of many at once: each has the member alone, and all come through.
func TestStepsNeverCollide(t *testing.T) {
	const steps = 6
	b := newBench(t)
	b.add(200)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var alone sync.Mutex
	enter := func() func() {
		if !alone.TryLock() {
			t.Error("two steps at once")
			return func() {}
		}
		return alone.Unlock
	}
	var wg sync.WaitGroup
	for i := range steps {
		a := b.Add(Rule{After: i * 7, Times: 1, Action: Hold{}})
		wg.Go(func() {
			b.hit(a)
			leave := enter()
			leave()
			a.Release()
		})
		wg.Go(func() {
			if err := b.Gate("m1").Lock(ctx); err != nil {
				t.Error(err)
				return
			}
			defer b.Gate("m1").Unlock()
			enter()()
		})
	}
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				b.post(b.url, body(fmt.Sprintf("m-%d", w*50+i+1)))
			}
		})
	}
	wg.Wait()
	if b.Effects("m1") != 200 {
		t.Errorf("%d effects", b.Effects("m1"))
	}
}

// What waits at the gate when the member dies has not started.
func TestEndAtTheGate(t *testing.T) {
	b := newBench(t)
	b.add(3)
	if err := b.Gate("m1").Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold := b.Add(Rule{Times: 1, Action: Hold{}})
	waiting := b.background(b.url, body("m-1"))
	inc := b.incarnation("m1", 1)
	waitFor(t, func() bool { inc.gate.mu.Lock(); defer inc.gate.mu.Unlock(); return inc.gate.waiters == 1 })
	b.End("m1", 1)
	b.Gate("m1").Unlock()
	if r := <-waiting; r.err == nil {
		t.Errorf("answered %d", r.code)
	}
	b.expectEvents(0, "dropped m-1")
	if e := b.log.Events(0)[0]; e.Ref != 0 || e.Note != "at the gate" || wasHit(hold) {
		t.Errorf("event %+v", e)
	}
	// The rule has not been used up: it holds the next life.
	held := b.background(b.Open("m1", 2), body("m-2"))
	b.hit(hold)
	hold.Release()
	b.expect(<-held, 200, "applied")
}

// No effect of a dead member is done after End has returned, however many are on their way.
func TestEndIsABarrier(t *testing.T) {
	b := newBench(t)
	b.add(400)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				b.post(b.url, body(fmt.Sprintf("m-%d", w*100+i+1)))
			}
		})
	}
	b.await(history.EffectDone, 50)
	b.End("m1", 1)
	end := b.log.Last()
	done := b.Effects("m1")
	wg.Wait()
	for _, e := range b.log.Events(end) {
		if e.Kind != history.EffectDropped || e.Ref != 0 {
			t.Fatalf("after the end: %+v", e)
		}
	}
	if b.Effects("m1") != done || done == 400 {
		t.Errorf("%d effects, then %d", done, b.Effects("m1"))
	}
}

func TestCloseDropsWhatIsHeld(t *testing.T) {
	b := newBench(t)
	b.add(2)
	a := b.Add(Rule{Action: Hold{}})
	held, behind := b.background(b.url, body("m-1")), b.background(b.url, body("m-2"))
	b.hit(a)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
	for _, c := range []<-chan reply1{held, behind} {
		if r := <-c; r.err == nil {
			t.Errorf("answered %d", r.code)
		}
	}
	b.await(history.EffectDropped, 1)
	b.End("m1", 1)
}

// waitFor polls for a state that has no event, within a bound.
func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the state never came")
		}
	}
}
