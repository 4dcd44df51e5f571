package consumer

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// control is the record that ends a transaction.
func control(offset int64) *kgo.Record {
	r := &kgo.Record{Topic: "t", Offset: offset}
	// Attrs has no setter: the client makes it from the attributes of the batch.
	attrs := reflect.ValueOf(&r.Attrs).Elem().Field(0)
	reflect.NewAt(attrs.Type(), attrs.Addr().UnsafePointer()).Elem().SetUint(1 << 5)
	return r
}

// Whatever comes in which order: the lag is end − committed, unknown if one of
// them is, and 0 if and only if all up to the end is committed.
func TestLagAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig()
		cfg.MaxInFlight = 1 << 20
		p, e, _ := testPartition(&cfg, func(context.Context, Batch) error { return nil })
		defer p.fence(errShutdown)
		offset := rapid.Int64Range(0, 50).Draw(rt, "start")
		committed, end, processed := Unknown, Unknown, Unknown
		if rapid.Bool().Draw(rt, "has a commit") {
			p.startsAt(offset, Unknown)
			committed, processed = offset, offset
		}
		look := func() PartitionStatus {
			<-e.pool.wait()
			s, ok := p.status(time.Now())
			if !ok {
				rt.Fatal("no status")
			}
			if s.Committed != committed || s.End != end || s.Processed != processed || s.InFlight != 0 {
				rt.Fatalf("%+v, want committed %d, end %d, processed %d", s, committed, end, processed)
			}
			switch known := committed != Unknown && end != Unknown; {
			case !known && s.Lag != Unknown:
				rt.Fatalf("lag %d of what is not known: %+v", s.Lag, s)
			case known && (s.Lag < 0 || s.Lag != max(0, end-committed) || (s.Lag == 0) != (committed >= end)):
				rt.Fatalf("lag %d: %+v", s.Lag, s)
			}
			return s
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0:
				var recs []*kgo.Record
				for range rapid.IntRange(1, 20).Draw(rt, "records") {
					offset += rapid.Int64Range(0, 3).Draw(rt, "gap")
					r := &kgo.Record{Topic: "t", Offset: offset}
					if rapid.IntRange(0, 4).Draw(rt, "control") == 0 {
						r = control(offset)
					}
					recs = append(recs, r)
					offset++
				}
				p.raiseEnd(offset)
				end = max(end, offset)
				if err := p.deliver(recs); err != nil {
					rt.Fatal(err)
				}
				processed = offset
			case 1, 2:
				if snap, ok := p.snapshot(); ok {
					taken := rapid.Bool().Draw(rt, "taken")
					p.answered(snap, taken)
					if taken {
						committed = snap.offset
					}
				}
			case 3:
				p.askingEnd()
				end = offset + rapid.Int64Range(0, 10).Draw(rt, "more")
				p.learnEnd(end, time.Now(), nil)
			case 4:
				p.learnEnd(0, time.Now(), errors.New("no answer"))
				if s := look(); s.EndErr == nil {
					rt.Fatal("an error was hidden")
				}
			}
			look()
		}
		if snap, ok := p.snapshot(); ok { // all is quiet now
			p.answered(snap, true)
			committed = snap.offset
		}
		if processed == Unknown || committed == Unknown {
			return
		}
		p.askingEnd()
		end = max(processed, committed)
		p.learnEnd(end, time.Now(), nil)
		if s := look(); s.Lag != 0 || s.EndErr != nil {
			rt.Fatalf("not at rest: %+v", s)
		}
	})
}

// An answer that was on its way while records came is not newer than they are;
// one that is less than before is believed: the log was truncated.
func TestEndOfLog(t *testing.T) {
	cfg := testConfig()
	p, _, _ := testPartition(&cfg, func(context.Context, Batch) error { return nil })
	end := func() int64 { s, _ := p.status(time.Now()); return s.End }
	p.raiseEnd(-1) // old brokers do not tell
	if end() != Unknown {
		t.Errorf("end %d", end())
	}
	p.askingEnd()
	p.raiseEnd(20)
	asked := time.Now()
	p.learnEnd(15, asked, nil)
	if s, _ := p.status(time.Now()); s.End != 20 || !s.EndAt.Equal(asked) {
		t.Errorf("%+v", s)
	}
	p.learnEnd(0, time.Now(), errNoEnd)
	if s, _ := p.status(time.Now()); s.End != 20 || !s.EndAt.Equal(asked) || !errors.Is(s.EndErr, errNoEnd) {
		t.Errorf("after a failure: %+v", s)
	}
	p.askingEnd()
	p.learnEnd(5, time.Now(), nil)
	if end() != 5 {
		t.Errorf("end %d after a truncation", end())
	}
	p.fence(errLost)
	if _, ok := p.status(time.Now()); ok {
		t.Error("a fenced partition has a status")
	}
}

// Control records hold nothing up, reach no handler, and make no drain go further.
func TestControlRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.BatchSize, cfg.MaxInFlight = 2, 4
		var handled []int64
		p, _, o := testPartition(&cfg, func(_ context.Context, b Batch) error {
			time.Sleep(time.Second)
			for _, r := range b.Records {
				handled = append(handled, r.Offset)
			}
			return nil
		})
		recs := records(0, 7, "")
		recs[1], recs[4], recs[6] = control(1), control(4), control(6)
		if err := p.deliver(recs); err != nil {
			t.Fatal(err)
		}
		if s, _ := p.status(time.Now()); s.InFlight != 4 || s.Paused || s.Processed != 0 {
			t.Errorf("%+v", s)
		}
		time.Sleep(1500 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		p.drain()
		time.Sleep(time.Second)
		synctest.Wait()
		if !drainAll(ctx, ctx, []*partition{p}, errRevoked) {
			t.Error("not drained")
		}
		if snap, _ := p.snapshot(); snap.offset != 7 || len(handled) != 4 || o.paused {
			t.Errorf("the watermark is %d, handled %v, paused %v", snap.offset, handled, o.paused)
		}
		p.fence(errRevoked)

		quiet, _, _ := testPartition(&cfg, func(context.Context, Batch) error { t.Error("a control record was handled"); return nil })
		if err := quiet.deliver([]*kgo.Record{control(3)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if snap, ok := quiet.snapshot(); !ok || snap.offset != 4 {
			t.Error("an aborted transaction alone is not passed")
		}
		quiet.fence(errRevoked)
	})
}

func TestWhereAnEpochStarts(t *testing.T) {
	for name, c := range map[string]struct {
		broker, store        int64
		committed, processed int64
		follow               bool // Kafka's offset is to follow that of the store
	}{
		"nothing committed":       {Unknown, Unknown, Unknown, Unknown, false},
		"by the group":            {7, Unknown, 7, 7, false},
		"the store is ahead":      {7, 9, 9, 9, true},
		"only the store knows":    {Unknown, 9, 9, 9, true},
		"the store was put back":  {7, 3, 3, 3, false},
		"the store knows nothing": {7, Unknown, 7, 7, false},
	} {
		cfg := testConfig()
		p, _, _ := testPartition(&cfg, func(context.Context, Batch) error { return nil })
		p.startsAt(c.broker, c.store)
		s, _ := p.status(time.Now())
		snap, follow := p.snapshot()
		if s.Committed != c.committed || s.Processed != c.processed || follow != c.follow || follow && snap.offset != c.store {
			t.Errorf("%s: %+v, to commit %+v", name, s, snap)
		}
		next, _, _ := testPartition(&cfg, nil)
		p.learnEnd(50, time.Now(), nil)
		next.inherit(p)
		if s, _ := next.status(time.Now()); s.Committed != c.committed || s.End != 50 {
			t.Errorf("%s: the next epoch knows %+v", name, s)
		}
	}
	cfg := testConfig()
	p, e, _ := testPartition(&cfg, func(context.Context, Batch) error { return nil })
	if err := p.deliver(records(40, 2, "")); err != nil {
		t.Fatal(err)
	}
	<-e.pool.wait()
	p.startsAt(3, 9) // too late: offsets were fetched again
	if s, _ := p.status(time.Now()); s.Processed != 42 || s.Committed != Unknown {
		t.Errorf("%+v", s)
	}
}

func TestOldestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		release := make(chan struct{})
		p, _, _ := testPartition(&cfg, func(context.Context, Batch) error { <-release; return nil })
		recs := records(3, 2, "")
		recs[0].Timestamp = time.Now().Add(-time.Hour)
		if err := p.deliver(recs); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s, _ := p.status(time.Now())
		if s.InFlight != 2 || s.OldestInFlight != time.Minute || time.Since(s.OldestRecord) != time.Hour+time.Minute {
			t.Errorf("%+v", s)
		}
		close(release)
		synctest.Wait()
		if s, _ = p.status(time.Now()); s.InFlight != 0 || s.OldestInFlight != 0 || !s.OldestRecord.IsZero() {
			t.Errorf("%+v", s)
		}
		p.fence(errShutdown)
	})
}

// JoinHooks forgets no hook, and calls them in order.
func TestJoinHooks(t *testing.T) {
	t.Run("Hooks", func(t *testing.T) { joins(t, JoinHooks) })
	t.Run("ShareHooks", func(t *testing.T) { joins(t, JoinShareHooks) })
}

func joins[H any](t *testing.T, join func(...H) H) {
	var calls []int
	all := func(id int) H {
		var h H
		v := reflect.ValueOf(&h).Elem()
		for i := range v.NumField() {
			v.Field(i).Set(reflect.MakeFunc(v.Field(i).Type(), func([]reflect.Value) []reflect.Value {
				calls = append(calls, id)
				return nil
			}))
		}
		return h
	}
	var nothing H
	v := reflect.ValueOf(join(all(1), nothing, all(2)))
	for i := range v.NumField() {
		calls = nil
		args := make([]reflect.Value, v.Field(i).Type().NumIn())
		for k := range args {
			args[k] = reflect.Zero(v.Field(i).Type().In(k))
		}
		if v.Field(i).IsNil() {
			t.Errorf("%s is not joined", v.Type().Field(i).Name)
			continue
		}
		v.Field(i).Call(args)
		if !reflect.DeepEqual(calls, []int{1, 2}) {
			t.Errorf("%s: called %v", v.Type().Field(i).Name, calls)
		}
	}
	none := reflect.ValueOf(join(nothing, nothing))
	for i := range none.NumField() {
		if !none.Field(i).IsNil() {
			t.Errorf("%s of nothing", none.Type().Field(i).Name)
		}
	}
}

// An assignment that comes while the session ends is fenced at once. It must still
// make the next epoch wait for a handler call from before it.
func TestAssignedAtTheEndOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		_, e, _ := testPartition(&cfg, nil)
		tp := topicPartition{"t", 0}
		earlier := make(chan struct{})
		e.succeed(tp, earlier)
		s := newSession(e)
		s.endLife(errShutdown)
		p := s.assign(tp, "m")
		synctest.Wait()
		select {
		case <-p.idle:
			t.Fatal("the next epoch would not wait")
		default:
		}
		if _, ok := p.status(time.Now()); ok {
			t.Error("it is not fenced")
		}
		close(earlier)
		synctest.Wait()
		<-p.idle
	})
}
