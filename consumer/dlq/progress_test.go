package dlq

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// Whatever is sent in whatever order, progress knows exactly that, also after it was
// written and read.
func TestProgressIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		p := &progress{next: start}
		model := make(map[int64]bool)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			from := start + rapid.Int64Range(0, 300).Draw(t, "from")
			to := from + rapid.Int64Range(0, 20).Draw(t, "length")
			p.mark(from, to)
			for o := from; o < to; o++ {
				model[o] = true
			}
			if rapid.IntRange(0, 9).Draw(t, "retention") == 0 {
				to = start + rapid.Int64Range(0, 100).Draw(t, "log start")
				p.advance(to)
				for o := start; o < to; o++ {
					model[o] = true
				}
			}
		}
		text, err := p.metadata()
		if err != nil {
			t.Fatal(err)
		}
		q, err := readProgress(p.next, text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for o := start; o < start+400; o++ {
			if p.sent(o) != model[o] || q.sent(o) != model[o] {
				t.Fatalf("%d: sent %v, read %v, want %v; %+v %q", o, p.sent(o), q.sent(o), model[o], p, text)
			}
		}
		last := p.next
		for _, s := range p.spans {
			if s.from <= last || s.to <= s.from {
				t.Fatalf("spans %+v after %d", p.spans, p.next)
			}
			last = s.to
		}
	})
}

func TestProgressFull(t *testing.T) {
	// Every other letter: a bitmap of 23,000 letters still fits.
	p := &progress{}
	for o := int64(1); o < 23_000; o += 2 {
		p.mark(o, o+1)
	}
	if text, err := p.metadata(); err != nil || !strings.HasPrefix(text, metaBitmap) {
		t.Errorf("%.20s, %v", text, err)
	}
	// Far apart, spans are shorter.
	p = &progress{}
	for o := int64(1); o < 900; o++ {
		p.mark(o*10_000, o*10_000+1)
	}
	if text, err := p.metadata(); err != nil || !strings.HasPrefix(text, metaSpans) {
		t.Errorf("%.20s, %v", text, err)
	}
	for o := int64(1); o < 9999; o++ {
		p.mark(o*10_000, o*10_000+1)
	}
	if _, err := p.metadata(); !errors.Is(err, errFull) {
		t.Errorf("no error: %v", err)
	}
}

func FuzzReadProgress(f *testing.F) {
	f.Add(int64(3), "ksim1:AQE")
	f.Add(int64(3), "ksim1b:Ag")
	f.Add(int64(0), "ksim1:_____________w")
	f.Add(int64(1), "member-1-deadbeef")
	f.Fuzz(func(t *testing.T, next int64, metadata string) {
		if next < 0 || len(metadata) > maxMetadata {
			return
		}
		p, err := readProgress(next, metadata)
		if err == nil && p.next < next {
			t.Fatalf("it went back: %+v", p)
		}
		if _, _, ok := strings.Cut(metadata, ":"); metadata != "" && !ok && err == nil {
			t.Fatal("another program's metadata is taken for ours")
		}
	})
}

// However letters lie in the partitions of a dead-letter topic, merging keeps the
// order of each of these. If each has the letters of an original partition in order,
// so has the whole, whatever the clocks of those who wrote them said.
func TestMergeKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lanes := make([]*lane, rapid.IntRange(1, 4).Draw(t, "partitions"))
		for i := range lanes {
			lanes[i] = &lane{partition: int32(i)}
		}
		total := rapid.IntRange(0, 60).Draw(t, "letters")
		nextOffset := make(map[int32]int64)
		for range total {
			l := lanes[rapid.IntRange(0, len(lanes)-1).Draw(t, "lane")]
			from := rapid.Int32Range(0, 2).Draw(t, "origin")
			nextOffset[from]++
			l.push(&Letter{
				Origin: Origin{"t", from, nextOffset[from]},
				Record: &kgo.Record{Partition: l.partition, Offset: l.end, Timestamp: time.UnixMilli(rapid.Int64Range(0, 50).Draw(t, "clock"))},
			})
			l.end++
		}
		// They were made in an order that keeps both, so there is one.
		origins, places := make(map[int32]int64), make(map[int32]int64)
		for range total {
			l := choose(lanes)
			letter := l.take()
			if o := letter.Origin; o.Offset != origins[o.Partition]+1 {
				t.Fatalf("%v after %d", o, origins[o.Partition])
			}
			origins[letter.Origin.Partition]++
			if letter.Record.Offset != places[letter.Record.Partition] {
				t.Fatalf("letter %s after %d", letter.Place(), places[letter.Record.Partition])
			}
			places[letter.Record.Partition]++
		}
		if choose(lanes) != nil {
			t.Fatal("letters out of nothing")
		}
	})
}
