package consumer

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// The watermark against a model: the set of delivered offsets that are not done.
func TestTrackerAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr tracker
		var open []*entry
		var delivered []int64
		next := rapid.Int64Range(0, 100).Draw(t, "first")
		high := int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(open) == 0 || rapid.Bool().Draw(t, "deliver") {
				next += rapid.Int64Range(0, 3).Draw(t, "gap") // control records, compaction
				if !tr.newer(next) {
					t.Fatalf("offset %d is taken for old", next)
				}
				entries := make([]entry, rapid.IntRange(1, 5).Draw(t, "records"))
				for i := range entries {
					entries[i].rec = &kgo.Record{Offset: next, LeaderEpoch: int32(next / 10)}
					open, delivered = append(open, &entries[i]), append(delivered, next)
					next += 1 + rapid.Int64Range(0, 1).Draw(t, "hole")
				}
				tr.deliver(delivery{entries: entries})
			} else {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "done")
				high = max(high, open[i].rec.Offset+1)
				tr.done(open[i])
				open = append(open[:i], open[i+1:]...)
			}
			want, passed := int64(0), false
			for _, o := range delivered {
				if len(open) > 0 && o >= open[0].rec.Offset {
					break
				}
				want, passed = o+1, true
			}
			if tr.passed != passed || tr.next != want || tr.high != high {
				t.Fatalf("watermark %d (%v), high %d; want %d (%v), %d", tr.next, tr.passed, tr.high, want, passed, high)
			}
			if passed && tr.epoch != int32((want-1)/10) {
				t.Fatalf("leader epoch %d at %d", tr.epoch, want)
			}
			if oldest, ok := tr.oldest(); ok != (len(open) > 0) || ok && oldest != open[0].rec.Offset {
				t.Fatalf("oldest %d (%v)", oldest, ok)
			}
			n := 0
			tr.pending(func(e *entry) {
				if e != open[n] {
					t.Fatalf("pending out of order")
				}
				n++
			})
			if n != len(open) {
				t.Fatalf("%d pending, want %d", n, len(open))
			}
			if tr.newer(delivered[len(delivered)-1]) {
				t.Fatal("a delivered offset is taken for new")
			}
		}
	})
}

func TestFifoAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fifo
		var model []*entry
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				e := &entry{}
				q.push(e)
				model = append(model, e)
			case 1:
				e := &entry{}
				q.pushFront(e)
				model = append([]*entry{e}, model...)
			case 2:
				if len(model) == 0 {
					continue
				}
				if q.pop() != model[0] {
					t.Fatal("popped another one")
				}
				model = model[1:]
			}
			if q.len() != len(model) {
				t.Fatalf("length %d, want %d", q.len(), len(model))
			}
			for i, e := range model {
				if q.at(i) != e {
					t.Fatalf("another entry at %d", i)
				}
			}
		}
	})
}

func TestRetryWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "initial"))
		r := Retry{
			Initial: initial, Max: initial * time.Duration(rapid.IntRange(1, 100).Draw(t, "max")),
			Multiplier: rapid.Float64Range(1, 10).Draw(t, "multiplier"), Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		n := rapid.IntRange(1, 1000).Draw(t, "n")
		floor := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "floor"))
		got := r.wait(n, floor, rapid.Float64Range(0, 0.999).Draw(t, "random"))
		if got < floor {
			t.Fatalf("%v is less than the floor %v", got, floor)
		}
		if most := max(floor, time.Duration(float64(r.Max)*(1+r.Jitter))+1); got > most {
			t.Fatalf("%v is more than %v", got, most)
		}
		least := time.Duration(float64(r.Initial) * (1 - r.Jitter) * 0.999)
		if got < least {
			t.Fatalf("%v is less than %v", got, least)
		}
		if a, b := (Retry{Initial: r.Initial, Max: r.Max, Multiplier: r.Multiplier}).wait(n, 0, 0.5), (Retry{Initial: r.Initial, Max: r.Max, Multiplier: r.Multiplier}).wait(n+1, 0, 0.5); b < a {
			t.Fatalf("the wait shrinks from %v to %v", a, b)
		}
	})
}

func TestAttemptsSurviveALoss(t *testing.T) {
	var log attemptLog
	tp := topicPartition{"t", 0}
	var tr tracker
	for o := range int64(4) {
		entries := []entry{{rec: &kgo.Record{Offset: o}, trial: &trial{attempts: int(o)}}}
		tr.deliver(delivery{entries: entries})
		if o == 3 {
			tr.done(&entries[0])
		}
	}
	log.save(tp, &tr, nil, false)
	got := log.take(tp)
	if len(got) != 2 || got[1].attempts != 1 || got[2].attempts != 2 {
		t.Fatalf("kept %v, want the attempts of 1 and 2", got)
	}
	log.save(tp, &tracker{}, got, false) // assigned and lost again before anything came
	if got = log.take(tp); len(got) != 2 {
		t.Fatalf("kept %v over a second loss", got)
	}
	if log.take(tp) != nil {
		t.Fatal("handed out twice")
	}
}
