package hlog

import (
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

// steps is a log of intervals of a second; each value makes an interval, 0 is a gap.
func steps(start time.Time, values ...int64) (log []Interval) {
	for i, v := range values {
		if v > 0 {
			log = append(log, Interval{Start: start.Add(time.Duration(i) * time.Second), Length: time.Second, Histogram: histogram(v)})
		}
	}
	return log
}

func TestMerge(t *testing.T) {
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	one := func(start time.Time, values ...int64) Interval {
		return Interval{Start: start, Length: time.Second, Histogram: histogram(values...)}
	}
	tagged := func(iv Interval, tag string) Interval { iv.Tag = tag; return iv }
	short := one(at(2*time.Second), 5)
	short.Length = 300 * ms
	for name, c := range map[string]struct {
		logs [][]Interval
		want []Interval
	}{
		"none":                {nil, nil},
		"empty":               {[][]Interval{{}, {}}, nil},
		"one":                 {[][]Interval{steps(noon, 1, 2)}, steps(noon, 1, 2)},
		"an empty one":        {[][]Interval{{}, steps(noon, 1, 2)}, steps(noon, 1, 2)},
		"a gap stays":         {[][]Interval{steps(noon, 1, 0, 0, 4), steps(noon, 1, 0, 3)}, []Interval{one(noon, 1, 1), one(at(2*time.Second), 3), one(at(3*time.Second), 4)}},
		"to the nearest":      {[][]Interval{steps(noon, 1, 2), steps(at(499*ms), 3), steps(at(501*ms), 4)}, []Interval{one(noon, 1, 3), one(at(time.Second), 2, 4)}},
		"half goes later":     {[][]Interval{steps(noon, 1), steps(at(500*ms), 3)}, []Interval{one(noon, 1), one(at(time.Second), 3)}},
		"before the first":    {[][]Interval{steps(noon, 1), steps(at(-2400*ms), 3)}, []Interval{one(at(-2*time.Second), 3), one(noon, 1)}},
		"the last is shorter": {[][]Interval{append(steps(noon, 1, 2), short), steps(noon, 1)}, append([]Interval{one(noon, 1, 1), one(at(time.Second), 2)}, short)},
		"short meets whole":   {[][]Interval{steps(noon, 1, 2, 3), {short}}, append(steps(noon, 1, 2), one(at(2*time.Second), 3, 5))},
		"by tag":              {[][]Interval{{tagged(one(noon, 1), "b"), tagged(one(noon, 2), "a")}, {tagged(one(noon, 3), "a"), tagged(one(noon, 4), "b")}}, []Interval{tagged(one(noon, 2, 3), "a"), tagged(one(noon, 1, 4), "b")}},
	} {
		got, err := Merge(c.logs...)
		if err != nil || !same(got, c.want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, c.want)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	longer := steps(noon, 1, 2)
	for i := range longer {
		longer[i].Length = 2 * time.Second
	}
	uneven := steps(noon, 1, 2, 3)
	uneven[1].Length = 900 * ms
	tagged := steps(noon, 1)
	tagged[0].Tag = "crash"
	coarse := steps(noon, 1)
	coarse[0].Histogram = hdrhistogram.New(1, tenMinutes, 2)
	full := func() []Interval {
		log := steps(noon, 1)
		log[0].Histogram = histogram()
		if err := log[0].Histogram.RecordValues(5, 1<<62); err != nil {
			t.Fatal(err)
		}
		return log
	}
	none := steps(noon, 1)
	none[0].Length = 0
	for name, c := range map[string]struct {
		logs [][]Interval
		want string
	}{
		"another length": {[][]Interval{steps(noon, 1, 2), longer}, "log 1 has intervals of 1s, log 2 of 2s"},
		"uneven":         {[][]Interval{steps(noon, 1), uneven}, "log 2 has intervals of 900ms and of 1s"},
		"no length":      {[][]Interval{none}, "log 1 has intervals of 0s"},
		"another tag":    {[][]Interval{steps(noon, 1), tagged}, `log 2 has the tags "crash", log 1 ""`},
		"precision":      {[][]Interval{steps(noon, 1), coarse}, "the interval of log 2 at 2026-10-18T12:00:00.123456789Z does not fit"},
		"too many":       {[][]Interval{full(), full()}, "too many values"},
	} {
		if _, err := Merge(c.logs...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// No count is lost, what was given is left as it was, no interval moves by more than half a step, and one log alone
// stays as it is.
func TestMergeLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := make([][]Interval, rapid.IntRange(1, 4).Draw(t, "logs"))
		all := histogram()
		for n := range logs {
			start := noon.Add(time.Duration(rapid.Int64Range(-5e9, 5e9).Draw(t, "start")))
			for i := range rapid.IntRange(0, 4).Draw(t, "intervals") {
				iv := Interval{Start: start.Add(time.Duration(i) * time.Second), Length: time.Second, Histogram: anyHistogram().Draw(t, "histogram")}
				all.Merge(iv.Histogram)
				logs[n] = append(logs[n], iv)
			}
		}
		before := counts(logs...)
		merged, err := Merge(logs...)
		if err != nil {
			t.Fatal(err)
		}
		sum := histogram()
		for i, iv := range merged {
			if !Add(sum, iv.Histogram) {
				t.Fatal("the sum does not fit")
			}
			if i > 0 && iv.Start.Sub(merged[i-1].Start)%time.Second != 0 {
				t.Fatalf("off the grid: %v", iv.Start)
			}
		}
		if !sum.Equals(all) || counts(merged) != before || counts(logs...) != before {
			t.Fatalf("%d values became %d", before, counts(merged))
		}
		for _, log := range logs {
			alone, err := Merge(log)
			if err != nil || !same(alone, log) {
				t.Fatalf("%v: alone %+v, want %+v", err, alone, log)
			}
		}
	})
}

func TestSlot(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		0: 0, 499 * ms: 0, 500 * ms: 1, 1499 * ms: 1, -500 * ms: 0, -501 * ms: -1, -1500 * ms: -1, -1501 * ms: -2, 1<<63 - 1: 9223372037,
	} {
		if got := Slot(noon, noon.Add(d), time.Second); got != want {
			t.Errorf("%s: %d, want %d", d, got, want)
		}
	}
}
