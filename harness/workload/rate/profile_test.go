package rate

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func must(t interface{ Fatal(...any) }, text string) Profile {
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What the kinds mean, by hand.
func TestProfiles(t *testing.T) {
	type due struct {
		i    int
		want time.Duration
	}
	const s, ms = time.Second, time.Millisecond
	for text, c := range map[string]struct {
		due    []due
		at     map[time.Duration]float64
		count  map[time.Duration]int
		length time.Duration
		peak   float64
	}{
		"5k/s": {
			due:   []due{{0, 0}, {1, 200 * time.Microsecond}, {5000, s}, {18_000_000_000, 1000 * time.Hour}},
			at:    map[time.Duration]float64{-1: 0, 0: 5000, time.Hour: 5000},
			count: map[time.Duration]int{-s: 0, 0: 0, 1: 1, s: 5000, s + 1: 5001}, peak: 5000,
		},
		"ramp:1000..8000@60s": { // 1000·t + 7000/120·t²
			due:    []due{{0, 0}, {82_500, 30 * s}, {270_000, 60 * s}, {278_000, 61 * s}},
			at:     map[time.Duration]float64{0: 1000, 30 * s: 4500, 60 * s: 8000, time.Hour: 8000},
			count:  map[time.Duration]int{30 * s: 82_500, 60 * s: 270_000},
			length: 60 * s, peak: 8000,
		},
		"ramp:100..0@2s": {
			due:    []due{{0, 0}, {75, s}, {99, 1800 * ms}, {100, Never}},
			at:     map[time.Duration]float64{s: 50, 3 * s: 0},
			count:  map[time.Duration]int{s: 75, 2 * s: 100, time.Hour: 100},
			length: 2 * s, peak: 100,
		},
		"steps:1000@10s,0@5s,2000@10s": {
			due:    []due{{9_999, 9_999 * ms}, {10_000, 15 * s}, {12_000, 16 * s}, {30_000, 25 * s}, {32_000, 26 * s}},
			at:     map[time.Duration]float64{10*s - 1: 1000, 10 * s: 0, 15 * s: 2000, time.Hour: 2000},
			count:  map[time.Duration]int{10 * s: 10_000, 15 * s: 10_000, 16 * s: 12_000},
			length: 25 * s, peak: 2000,
		},
		"steps:0.1@30s,0@5s,10@1s": { // 30·0.1 is a little more than 3
			due:    []due{{2, 20 * s}, {3, 35 * s}, {4, 35*s + 100*ms}},
			length: 36 * s, peak: 10,
		},
		"spike:10,100@20s+5s": {
			due:    []due{{199, 19_900 * ms}, {200, 20 * s}, {700, 25 * s}, {710, 26 * s}},
			at:     map[time.Duration]float64{20*s - 1: 10, 20 * s: 100, 25 * s: 10, 80 * s: 10},
			length: 25 * s, peak: 100,
		},
		"spike:10,100@20s+5s every 60s": { // 1050 a minute from 20 s on
			due:    []due{{200, 20 * s}, {1249, 79_900 * ms}, {1250, 80 * s}, {200 + 1050*100, 20*s + 100*time.Minute}},
			at:     map[time.Duration]float64{19 * s: 10, 20 * s: 100, 79 * s: 10, 80 * s: 100, 85 * s: 10, 140 * s: 100},
			count:  map[time.Duration]int{20 * s: 200, 25 * s: 700, 80 * s: 1250, 80*s + 10*ms: 1251},
			length: 80 * s, peak: 100,
		},
		"sine:0..200@10s": {
			due:    []due{{500, 5 * s}, {1000, 10 * s}, {100_000, 1000 * s}},
			at:     map[time.Duration]float64{5 * s: 200, 15 * s: 200},
			length: 10 * s, peak: 200,
		},
		"warmup:10s,ramp:1000/s..3000/s@10s": {
			due:    []due{{9_999, 9_999 * ms}, {10_000, 10 * s}, {30_000, 20 * s}},
			at:     map[time.Duration]float64{0: 1000, 10 * s: 1000, 15 * s: 2000, 30 * s: 3000},
			count:  map[time.Duration]int{10 * s: 10_000},
			length: 20 * s, peak: 3000,
		},
		"warmup:1s,spike:10,100@0s+5s every 10s": {
			due: []due{{99, 990 * ms}, {100, s}, {650, 11 * s}}, length: 11 * s, peak: 100,
		},
	} {
		p := must(t, text)
		for _, d := range c.due {
			if got := p.Due(d.i); got != d.want {
				t.Errorf("%s: message %d is due at %s, want %s", text, d.i, got, d.want)
			}
		}
		for at, want := range c.at {
			if got := p.At(at); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s: %v/s at %s, want %v/s", text, got, at, want)
			}
		}
		for d, want := range c.count {
			if got := p.Count(d); got != want {
				t.Errorf("%s: %d messages in %s, want %d", text, got, d, want)
			}
		}
		if p.Length() != c.length || math.Abs(p.Peak()-c.peak) > 1e-9 {
			t.Errorf("%s: length %s, peak %v", text, p.Length(), p.Peak())
		}
	}
}

func TestTheZeroProfileIsSilent(t *testing.T) {
	var p Profile
	if p.Due(0) != Never || p.Count(time.Hour) != 0 || p.At(time.Second) != 0 || p.Mean(time.Second) != 0 || p.Peak() != 0 || p.Length() != 0 {
		t.Error("the zero profile has messages")
	}
}

func TestConstantTakesAnyRate(t *testing.T) {
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1), MaxRate * 2, MinRate / 2} {
		if p, err := Constant(bad); err == nil {
			t.Errorf("%v/s became %s", bad, p)
		}
	}
	p, err := Constant(1234.5)
	if err != nil || p.String() != "1234.5/s" || p.Mean(time.Minute) != 1234.5 {
		t.Errorf("%s, error %v", p, err)
	}
}

// some draws a profile of any kind, files included.
func some(t *rapid.T) Profile {
	number := func(name string) float64 {
		return rapid.OneOf(rapid.Float64Range(0.01, 50), rapid.Float64Range(1, 20_000), rapid.Just(0.0)).Draw(t, name)
	}
	above := func(name string) string { return rateText(rapid.Float64Range(0.01, 20_000).Draw(t, name)) }
	span := func(name string) time.Duration {
		return time.Duration(rapid.Int64Range(int64(MinSpan), int64(100*time.Second)).Draw(t, name))
	}
	text := ""
	switch rapid.SampledFrom([]string{"constant", "ramp", "steps", "spike", "sine", "file"}).Draw(t, "kind") {
	case "constant":
		text = above("rate")
	case "ramp":
		text = fmt.Sprintf("ramp:%s..%s@%s", rateText(number("from")), above("to"), span("time"))
	case "sine":
		text = fmt.Sprintf("sine:%s..%s@%s", above("from"), rateText(number("to")), span("period"))
	case "spike":
		long := span("long")
		text = fmt.Sprintf("spike:%s,%s@%s+%s", rateText(number("base")), above("height"), span("at"), long)
		if rapid.Bool().Draw(t, "repeats") {
			text += " every " + (long + span("pause")).String()
		}
	case "steps":
		steps := []string{above("first") + "@" + span("time").String()}
		for range rapid.IntRange(0, 5).Draw(t, "steps") {
			steps = append(steps, rateText(number("step"))+"@"+span("time").String())
		}
		text = "steps:" + strings.Join(steps, ",")
	case "file":
		lines, at := "0,"+above("first"), 0.0
		for range rapid.IntRange(0, 8).Draw(t, "lines") {
			at += span("time").Seconds()
			lines += fmt.Sprintf("\n%v,%v", at, rateText(number("line")))
		}
		cycle, err := readRates("rates.csv", strings.NewReader(lines))
		if err != nil {
			t.Skip(err) // a cycle of less than a millionth of a message
		}
		return Profile{text: "file:rates.csv", cycle: cycle}
	}
	return must(t, text)
}

func TestDueAndCountAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := some(t)
		if rapid.Bool().Draw(t, "warm-up") {
			p = WithWarmup(p, time.Duration(rapid.Int64Range(int64(MinSpan), int64(time.Minute)).Draw(t, "warm-up")))
		}
		i := rapid.OneOf(rapid.IntRange(0, 50), rapid.IntRange(0, 10_000_000)).Draw(t, "i")
		due, next := p.Due(i), p.Due(i+1)
		if due < 0 || next < due {
			t.Fatalf("%s: message %d is due at %s, the one after it at %s", p, i, due, next)
		}
		if due == Never {
			return
		}
		if n := p.Count(due); n != i {
			t.Errorf("%s: message %d is due at %s, and %d messages before", p, i, due, n)
		}
		d := time.Duration(rapid.Int64Range(0, int64(1000*time.Second)).Draw(t, "d"))
		n := p.Count(d)
		if p.Due(n) < d || n > 0 && p.Due(n-1) >= d {
			t.Errorf("%s: %d messages within %s, but they are due at %s and %s", p, n, d, p.Due(n-1), p.Due(n))
		}
	})
}

// The integral is taken by the midpoint rule, between the ends of all pieces: for
// straight lines it is exact.
func TestCountIsTheIntegralOfAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := some(t)
		p = WithWarmup(p, time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "warm-up")))
		d := time.Duration(rapid.Int64Range(1, int64(300*time.Second)).Draw(t, "d"))
		sum, at := 0.0, 0.0
		for steps := 0; at < d.Seconds(); steps++ {
			if steps == 100_000 {
				t.Skip("a cycle of next to no time")
			}
			end := min(p.nextEnd(at), d.Seconds())
			sum += (end - at) * p.At(time.Duration((at+end)/2*1e9))
			at = end
		}
		if want := p.Mean(d) * d.Seconds(); math.Abs(sum-want) > 1e-6*want+0.01 {
			t.Errorf("%s: the integral of At over %s is %v, and not %v", p, d, sum, want)
		}
		if n := float64(p.Count(d)); n < sum-0.1 || n > sum+1.1 {
			t.Errorf("%s: %v messages within %s, and the integral of At is %v", p, n, d, sum)
		}
	})
}

// nextEnd is where the piece that holds x s ends.
func (p Profile) nextEnd(x float64) float64 {
	pieces, base := p.head.pieces, 0.0
	if len(p.cycle.pieces) > 0 && x >= p.head.long-1e-9 {
		pieces = p.cycle.pieces
		base = p.head.long + math.Floor((x-p.head.long+1e-9)/p.cycle.long)*p.cycle.long
	}
	for _, piece := range pieces {
		if end := base + piece.from + piece.long; end > x+1e-9 {
			return end
		}
	}
	return x + 1e-6
}

// By far smaller steps than any piece, without knowing of pieces.
func TestNumericIntegration(t *testing.T) {
	for _, text := range []string{
		"ramp:1000..8000@60s", "ramp:0..500@30s", "steps:1000@10s,0@5s,400@10s", "spike:100,2000@20s+5s every 30s", "sine:100..900@40s",
		"warmup:10s,sine:100..900@40s",
	} {
		p, sum := must(t, text), 0.0
		const step = 10 * time.Millisecond
		for at := time.Duration(0); at < 100*time.Second; at += step {
			sum += p.At(at+step/2) * step.Seconds()
			if n := float64(p.Count(at + step)); math.Abs(n-sum) > 1.01 {
				t.Fatalf("%s: %v messages in %s, and by numeric integration %.2f", p, n, at+step, sum)
			}
		}
	}
}

// The wave is drawn in lines; this is how near they come to it.
func TestSineIsNearTheSine(t *testing.T) {
	p := must(t, "sine:1000/s..5000/s@10m")
	for at := time.Duration(0); at < 20*time.Minute; at += 700 * time.Millisecond {
		want := 3000 - 2000*math.Cos(2*math.Pi*at.Seconds()/600)
		if got := p.At(at); math.Abs(got-want) > 0.0004*4000 {
			t.Fatalf("%v/s at %s, want %v/s", got, at, want)
		}
	}
}

func BenchmarkDue(b *testing.B) {
	for _, text := range []string{"5000/s", "ramp:1000..8000@60s", "sine:1000/s..5000/s@10m"} {
		p := must(b, text)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				_ = p.Due(i)
			}
		})
	}
}
