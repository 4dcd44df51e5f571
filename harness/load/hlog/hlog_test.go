package hlog

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/ksim-dev/ksim/internal/golden"
)

func sample() (Header, []Interval) {
	return Header{StartTime: noon, Comments: []string{"[ksim load, stage total, microseconds]", ""}}, []Interval{
		{Start: noon, Length: time.Second, Histogram: histogram(1, 1500, 1500, 2_000_000)},
		{Start: noon.Add(time.Second), Length: time.Second, Histogram: histogram()},
		{Tag: "crash", Start: noon.Add(3 * time.Second), Length: 400*time.Millisecond + 1, Histogram: histogram(tenMinutes)},
	}
}

func check(t *testing.T, name string, got []byte) {
	t.Helper()
	golden.Check(t, filepath.Join("testdata", name), got)
}

func TestWriteGolden(t *testing.T) {
	head, intervals := sample()
	var b bytes.Buffer
	if err := Write(&b, head, intervals); err != nil {
		t.Fatal(err)
	}
	check(t, "sample.hlog", b.Bytes())
}

// The reader of hdrhistogram-go, which knows nothing of this package, finds the same.
func TestOtherReadersReadIt(t *testing.T) {
	head, intervals := sample()
	var b bytes.Buffer
	if err := Write(&b, head, intervals); err != nil {
		t.Fatal(err)
	}
	r := hdrhistogram.NewHistogramLogReader(&b)
	for i, want := range intervals {
		h, err := r.NextIntervalHistogram()
		if err != nil || h == nil {
			t.Fatalf("interval %d: %v, %v", i, h, err)
		}
		if !h.Equals(want.Histogram) || h.Tag() != want.Tag || h.StartTimeMs() != want.Start.UnixMilli() {
			t.Errorf("interval %d: tag %q, start %d, want %q, %d", i, h.Tag(), h.StartTimeMs(), want.Tag, want.Start.UnixMilli())
		}
	}
}

func TestPercentilesGolden(t *testing.T) {
	h := histogram()
	for i := range int64(10_000) {
		if err := h.RecordValue(1000 + i*i/1000); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := WritePercentiles(&b, h); err != nil {
		t.Fatal(err)
	}
	check(t, "sample.hgrm", b.Bytes())
	b.Reset()
	if err := WritePercentiles(&b, histogram()); err != nil || !strings.Contains(b.String(), "Total count    =            0") {
		t.Errorf("empty: %v\n%s", err, b.String())
	}
}

// What is written is what is read, to the nanosecond and the count.
func TestReadReturnsWhatWasWritten(t *testing.T) {
	tag, comment := rapid.StringMatching(`[A-Za-z0-9=#"_.é-]{0,5}`), rapid.StringMatching(`[ -~é]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		head := Header{StartTime: time.Unix(0, rapid.Int64Range(0, 4e18).Draw(t, "start")).UTC()}
		for range rapid.IntRange(0, 3).Draw(t, "comments") {
			head.Comments = append(head.Comments, comment.Draw(t, "comment"))
		}
		intervals := make([]Interval, rapid.IntRange(0, 5).Draw(t, "intervals"))
		for i := range intervals {
			intervals[i] = Interval{
				Tag: tag.Draw(t, "tag"), Start: head.StartTime.Add(time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "offset"))),
				Length: time.Duration(rapid.Int64Range(1, 1e15).Draw(t, "length")), Histogram: anyHistogram().Draw(t, "histogram"),
			}
		}
		var b bytes.Buffer
		if err := Write(&b, head, intervals); err != nil {
			t.Fatal(err)
		}
		got, gotHead, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		if !gotHead.StartTime.Equal(head.StartTime) || !slices.Equal(gotHead.Comments, head.Comments) || !same(got, intervals) {
			t.Fatalf("wrote %+v %+v\nread %+v %+v", head, intervals, gotHead, got)
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	fine := Interval{Start: noon, Length: time.Second, Histogram: histogram(5)}
	change := func(f func(*Interval)) []Interval { iv := fine; f(&iv); return []Interval{fine, iv} }
	for name, c := range map[string]struct {
		head      Header
		intervals []Interval
		want      string
	}{
		"no start":         {Header{}, nil, "no start"},
		"comment of lines": {Header{noon, []string{"a\nb"}}, nil, "line break"},
		"comment as start": {Header{noon, []string{"[StartTime: 3"}}, nil, "part of the header"},
		"no histogram":     {Header{StartTime: noon}, change(func(i *Interval) { i.Histogram = nil }), "interval 2: it has no histogram"},
		"no length":        {Header{StartTime: noon}, change(func(i *Interval) { i.Length = 0 }), "more than 0"},
		"before the log":   {Header{StartTime: noon}, change(func(i *Interval) { i.Start = noon.Add(-time.Second) }), "starts 1s before"},
		"far away":         {Header{StartTime: noon}, change(func(i *Interval) { i.Start = noon.AddDate(400, 0, 0) }), "centuries"},
		"tag with comma":   {Header{StartTime: noon}, change(func(i *Interval) { i.Tag = "a," }), "comma"},
		"tag with space":   {Header{StartTime: noon}, change(func(i *Interval) { i.Tag = "a b" }), "space"},
		"tag that is none": {Header{StartTime: noon}, change(func(i *Interval) { i.Tag = "\xff" }), "no text"},
	} {
		if err := Write(&bytes.Buffer{}, c.head, c.intervals); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
