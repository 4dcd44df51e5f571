package tune

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGrid(t *testing.T) {
	got := Grid([]int{10, 100, 10}, []time.Duration{0, 50 * time.Millisecond}, []int{1})
	want := []Setting{{10, 0, 1}, {10, 50 * time.Millisecond, 1}, {100, 0, 1}, {100, 50 * time.Millisecond, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Grid([]int{10}, nil, []int{1}); len(got) != 0 {
		t.Errorf("a grid without a wait: %v", got)
	}
}

func TestSettingInWords(t *testing.T) {
	s := Setting{100, 50 * time.Millisecond, 1}
	if s.String() != "batch 100, wait 50ms, concurrency 1" || s.Key() != "batch=100/wait=50ms/concurrency=1" {
		t.Errorf("%s, %s", s, s.Key())
	}
}

func TestSettingAndSLOInJSON(t *testing.T) {
	s := Setting{100, 1500 * time.Microsecond, 2}
	text, err := json.Marshal(s)
	if err != nil || string(text) != `{"batch_size":100,"batch_wait_ms":1.5,"concurrency":2}` {
		t.Errorf("%s, %v", text, err)
	}
	var back Setting
	if err := json.Unmarshal(text, &back); err != nil || back != s {
		t.Errorf("%v, %v", back, err)
	}
	slo := SLO{LatencyP99: 250 * time.Millisecond, MaxReprocessed: 7}
	text, err = json.Marshal(slo)
	if err != nil || string(text) != `{"p99_ms":250,"max_reprocessed":7}` {
		t.Errorf("%s, %v", text, err)
	}
	var slo2 SLO
	if err := json.Unmarshal(text, &slo2); err != nil || slo2 != slo {
		t.Errorf("%v, %v", slo2, err)
	}
	if json.Unmarshal([]byte(`{"batch_size":"x"}`), &back) == nil || json.Unmarshal([]byte(`{"p99_ms":"x"}`), &slo2) == nil {
		t.Error("nonsense was read")
	}
}

// Each round has every setting once, whatever is dropped and when; the same seed gives the same order; and a drop leaves the order of the others alone.
func TestPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := Grid([]int{1, 10, 100}[:rapid.IntRange(1, 3).Draw(t, "batches")], []time.Duration{0, time.Second}, []int{1, 4})
		trials, seed := rapid.IntRange(0, 5).Draw(t, "trials"), rapid.Uint64().Draw(t, "seed")
		whole := slices.Collect(func(yield func(Trial) bool) {
			for o := Plan(all, trials, seed); ; {
				if tr, ok := o.Next(); !ok || !yield(tr) {
					return
				}
			}
		})
		if len(whole) != trials*len(all) {
			t.Fatalf("%d trials of %d settings: %d", trials, len(all), len(whole))
		}
		o, dropped := Plan(append(all, all[0]), trials, seed), make(map[Setting]bool)
		for i, want := range whole {
			if rapid.IntRange(0, 9).Draw(t, "drop") == 0 {
				s := rapid.SampledFrom(all).Draw(t, "which")
				o.Drop(s)
				dropped[s] = true
			}
			if dropped[want.Setting] {
				continue
			}
			left := o.Left()
			got, ok := o.Next()
			if !ok || got != want {
				t.Fatalf("trial %d: %v, %v; want %v", i, got, ok, want)
			}
			if o.Left() != left-1 {
				t.Fatalf("trial %d: %d left, then %d", i, left, o.Left())
			}
			if want.Round != 1+i/len(all) {
				t.Fatalf("trial %d is in round %d", i, want.Round)
			}
		}
		if got, ok := o.Next(); ok || o.Left() != 0 {
			t.Fatalf("one too many: %v, %d left", got, o.Left())
		}
	})
}

func TestPlanIsShuffled(t *testing.T) {
	all := Grid([]int{1, 2, 3, 4, 5, 6, 7, 8}, []time.Duration{0}, []int{1})
	round := func(seed uint64, skip int) (out []int) {
		o := Plan(all, 2, seed)
		for i := range skip + len(all) {
			if tr, _ := o.Next(); i >= skip {
				out = append(out, tr.Setting.BatchSize)
			}
		}
		return out
	}
	if slices.Equal(round(1, 0), round(2, 0)) || slices.Equal(round(1, 0), round(1, len(all))) {
		t.Error("the order does not depend on seed and round")
	}
	o := Plan(all, 2, 1)
	o.Drop(Setting{BatchSize: 99})
	if o.Left() != 16 {
		t.Errorf("a setting of no plan was dropped: %d left", o.Left())
	}
}
