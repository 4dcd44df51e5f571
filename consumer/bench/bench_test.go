package main

import (
	"testing"
	"time"
)

func TestReadTool(t *testing.T) {
	const line = "2026-11-24 07:30:01:000, 2026-11-24 07:30:05:891, 381.4697, 97.9, 4000000, 1026957.6, 1003, 3888, 98.1, 1028806.6\n"
	got, err := readTool("WARNING: something\n" + line)
	if err != nil || got.Records != 4_000_000 || got.Took != 3888*time.Millisecond {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "a, b", "a, b, c, d, many, f, g, 1, i, j", "a, b, c, d, 1, f, g, 0, i, j"} {
		if got, err := readTool(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func TestSpread(t *testing.T) {
	if got := spreadOf([]float64{3, 1, 2}); got != (spread{2, 1, 3}) {
		t.Errorf("odd: %+v", got)
	}
	if got := spreadOf([]float64{4, 1, 2, 3}); got != (spread{2.5, 1, 4}) {
		t.Errorf("even: %+v", got)
	}
	if got := spreadOf(nil); got != (spread{}) {
		t.Errorf("none: %+v", got)
	}
}

// A ratio is taken within each round: a round in which everything was slow says
// nothing else than the others.
func TestRatio(t *testing.T) {
	rate := func(n int) result { return result{Records: n, Took: time.Second} }
	b := &bench{results: map[string][]result{ours: {rate(90), rate(9), rate(95)}, raw: {rate(100), rate(10), rate(100)}}}
	if got, ok := b.ratio(ours, raw); !ok || got != (spread{0.9, 0.9, 0.95}) {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := b.ratio(ours, "sarama"); ok {
		t.Error("a ratio to what was not measured")
	}
}

func TestThousands(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 3013287.4: "3,013,287"} {
		if got := thousands(f); got != want {
			t.Errorf("%v: %q, want %q", f, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	opt, err := parse([]string{"-only", "ksim,franz-go", "-rounds", "2"})
	if err != nil || len(opt.only) != 2 || opt.rounds != 2 {
		t.Errorf("%+v, %v", opt, err)
	}
	for _, bad := range [][]string{{"-only", "kafka"}, {"-rounds", "0"}, {"-records", "1"}, {"more"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}
