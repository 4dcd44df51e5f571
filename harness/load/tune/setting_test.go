package tune

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSetting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Setting{
			BatchSize: rapid.IntRange(1, 1e6).Draw(t, "batch"), BatchWait: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "wait")),
			Concurrency: rapid.IntRange(0, 1000).Draw(t, "concurrency"),
		}
		if got, err := ParseSetting(s.Key()); err != nil || got != s {
			t.Fatalf("%s became %v, %v", s.Key(), got, err)
		}
	})
	if s, err := ParseSetting("batch=7"); err != nil || s != (Setting{BatchSize: 7}) {
		t.Errorf("%v, %v", s, err)
	}
	for text, want := range map[string]string{
		"": "batch, wait or concurrency", "100": "batch, wait or concurrency", "batch=0": "a batch size of 1 or more", "wait=50ms": "it has no batch size",
		"batch=1/wait=fast": "a wait such as 50ms", "batch=1/concurrency=0": "a number of 1 or more", "batch=1/size=3": `"size=3"`,
	} {
		if _, err := ParseSetting(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Two settings of which nothing could be measured leave open what was asked, and so does a sweep that cannot tell.
func TestUnclear(t *testing.T) {
	unknown, known := Difference{}, Difference{A: Summary{Known: true}, B: Summary{Known: true}}
	for _, c := range []struct {
		r    Report
		want bool
	}{
		{Report{Recommendation: Recommendation{CannotTell: true}}, true},
		{Report{}, false},
		{Report{Recommendation: Recommendation{CannotTell: true}, Comparison: []Difference{unknown, known}}, false},
		{Report{Comparison: []Difference{unknown}}, true},
	} {
		if got := c.r.Unclear(); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
}
