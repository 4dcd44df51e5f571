package load

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/ksim-dev/ksim/harness/history"
)

// told is the history of a load run in one partition: fetched and committed up to offsets, at times.
func told(events ...history.Event) history.History {
	h := history.History{Header: history.Header{Topic: "t", Partitions: 1}}
	for i, e := range events {
		e.Seq, e.Topic = int64(i)+1, "t"
		h.Events = append(h.Events, e)
	}
	return h
}

func fetched(offset int64, answered, asked time.Duration) history.Event {
	return history.Event{Kind: history.Fetched, Offset: offset, Time: answered, At: asked}
}

func committed(offset int64, at time.Duration, how history.Outcome) history.Event {
	return history.Event{Kind: history.Committed, Offset: offset, At: at, Outcome: how}
}

// One message goes through every stage, and each stage is what it took.
func TestStages(t *testing.T) {
	const ms = time.Millisecond
	r := NewRecords(1, func(int) time.Duration { return 10 * ms })
	r.Sent(0, 0, 11*ms)
	r.Acked(0, 0, 13*ms)
	r.Done(0, 1, 30*ms, 50*ms)
	const start = time.Second // of the schedule, in the history's time
	h := told(
		fetched(1, start+20*ms, start+40*ms),
		committed(1, start+60*ms, history.Refused), committed(1, start+80*ms, history.Accepted), committed(1, start+90*ms, history.Accepted),
	)
	way := newWalk(r, See(h, start), false).next(0)
	want := map[Stage]time.Duration{Schedule: 1 * ms, Produce: 2 * ms, Queue: 7 * ms, Wait: 10 * ms, Handling: 20 * ms, Commit: 30 * ms, Total: 40 * ms}
	for _, s := range Stages() {
		got, ok := way.Stage(s)
		if !ok || (got-want[s]).Abs() > want[s]/1000 {
			t.Errorf("%s took %s, %v: want %s", s, got, ok, want[s])
		}
	}
}

// What was not seen is not known, and not 0.
func TestUnknownStages(t *testing.T) {
	r := NewRecords(1, every(time.Millisecond))
	r.Sent(0, 0, 0)
	r.Sent(1, 0, time.Millisecond)
	r.Failed(0)
	r.Acked(1, 0, 2*time.Millisecond)
	w := newWalk(r, See(told(), 0), false)
	failed, acked := w.next(0), w.next(1)
	if !failed.Failed || acked.Failed {
		t.Error("the wrong one failed")
	}
	for _, s := range []Stage{Produce, Queue, Wait, Handling, Commit, Total} {
		if _, ok := failed.Stage(s); ok {
			t.Errorf("%s is known of one that failed", s)
		}
		if _, ok := acked.Stage(s); ok != (s == Produce) {
			t.Errorf("%s of one that was acknowledged: known is %v", s, ok)
		}
	}
	byCommit := newWalk(r, See(told(committed(1, 9*time.Millisecond, history.Accepted)), 0), true)
	byCommit.next(0)
	if d, ok := byCommit.next(1).Stage(Total); !ok || d != 8*time.Millisecond {
		t.Errorf("by its commit it took %s, %v", d, ok)
	}
}

// A consumer stands still for a while and then does at once what has come up: the percentiles are those that follow from the
// schedule, and the closed loop sees one slow message.
func TestStallShows(t *testing.T) {
	const (
		rate  = 1000
		stall = 2 * time.Second
		n     = 10 * rate
	)
	due := every(time.Second / rate)
	from, to := 4*time.Second, 4*time.Second+stall
	r := NewRecords(1, due)
	var exact []time.Duration
	for i := range n {
		r.Sent(i, 0, due(i))
		r.Acked(i, int64(i), due(i)+time.Millisecond)
		done := due(i) + 2*time.Millisecond
		if done >= from && done < to {
			done = to
		}
		r.Done(i, 1, done, done)
		exact = append(exact, done-due(i))
	}
	m := measure(t, r, Window{0, 10 * time.Second}, 10*time.Second, time.Second)
	slices.Sort(exact)
	for _, p := range []float64{50, 90, 95, 99, 99.9, 99.99} {
		want := exact[int(math.Ceil(p/100*n))-1]
		got := time.Duration(m.All[Total].ValueAtPercentile(p)) * time.Microsecond
		if (got - want).Abs() > want/50 {
			t.Errorf("p%g is %s, by the schedule %s", p, got, want)
		}
	}
	if p99 := time.Duration(m.Closed.ValueAtPercentile(99)) * time.Microsecond; p99 > 10*time.Millisecond {
		t.Errorf("a closed loop is told to have seen %s at p99: it does not", p99)
	}
	if max := time.Duration(m.Closed.Max()) * time.Microsecond; max < stall*98/100 {
		t.Errorf("a closed loop saw %s at worst", max)
	}
	if m.PeakLag < rate*2*98/100 || m.PeakLag > rate*2*102/100+10 {
		t.Errorf("the peak lag is %d", m.PeakLag)
	}
}

func measure(t *testing.T, r *Records, w Window, until, step time.Duration) Measured {
	t.Helper()
	m, err := Measurement{Records: r, Window: w, Until: until, Step: step}.Run()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Whatever happened, intervals add up to the whole: their histograms to those of the window, their counts to its counts.
func TestIntervalsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 400).Draw(t, "messages")
		due := every(time.Millisecond)
		r := NewRecords(3, due)
		offsets := [3]int64{}
		for i := range n {
			p := rapid.Int32Range(0, 2).Draw(t, "partition")
			r.Sent(i, p, due(i)+time.Duration(rapid.IntRange(0, 3000).Draw(t, "late"))*time.Microsecond)
			if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
				r.Failed(i)
				continue
			}
			r.Acked(i, offsets[p], due(i)+4*time.Millisecond)
			offsets[p]++
			if rapid.IntRange(0, 9).Draw(t, "never") > 0 {
				done := due(i) + time.Duration(rapid.IntRange(1, 200).Draw(t, "took"))*time.Millisecond
				r.Done(i, 1, done, done)
			}
		}
		w := Window{From: time.Duration(rapid.IntRange(0, 100).Draw(t, "from")) * time.Millisecond}
		w.To = w.From + time.Duration(rapid.IntRange(1, 300).Draw(t, "length"))*time.Millisecond
		until := w.To + time.Duration(rapid.IntRange(0, 200).Draw(t, "after"))*time.Millisecond
		whole := NewHistograms()
		var ends time.Duration
		m, err := Measurement{
			Records: r, Window: w, Until: until, Step: time.Duration(rapid.IntRange(1, 120).Draw(t, "step")) * time.Millisecond,
			Each: func(from, to time.Duration, h Histograms) error {
				if from < ends || to > w.To {
					t.Fatalf("interval [%s, %s) after %s, in a window that ends at %s", from, to, ends, w.To)
				}
				ends = to
				for s := range h {
					whole[s].Merge(h[s])
				}
				return nil
			},
		}.Run()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range Stages() {
			if !same(whole[s], m.All[s]) {
				t.Fatalf("the intervals of %s do not add up", s)
			}
		}
		done, length := 0.0, 0.0
		for _, in := range m.Intervals {
			length += in.Seconds
			if in.From < w.To.Seconds()-w.From.Seconds()-1e-9 {
				done += in.Through * in.Seconds
			}
		}
		if math.Abs(done-float64(m.Done)) > 1e-6 || math.Abs(length-(until-w.From).Seconds()) > 1e-6 {
			t.Fatalf("%g done and %g s in intervals; %d done, %s", done, length, m.Done, until-w.From)
		}
		in := 0
		for i := range n {
			if due(i) >= w.From && due(i) < w.To {
				in++
			}
		}
		if m.Messages+m.Failed != in {
			t.Fatalf("%d and %d of %d messages", m.Messages, m.Failed, in)
		}
	})
}

func same(a, b *hdrhistogram.Histogram) bool {
	return slices.Equal(a.Export().Counts, b.Export().Counts)
}
