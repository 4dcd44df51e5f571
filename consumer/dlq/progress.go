package dlq

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// progress is which letters of one partition have been sent: those before next, and
// those in spans. It is kept as the committed offset of the group, next, and the
// metadata of that offset, spans.
type progress struct {
	// stored: the group has an offset, so it has not been forgotten.
	stored bool
	next   int64
	spans  []span // sorted, apart from each other, and all after next
}

// span is a range of offsets, to not included.
type span struct{ from, to int64 }

const (
	// maxMetadata is less than the default of the broker's
	// offset.metadata.max.bytes, 4096.
	maxMetadata = 4000

	metaSpans  = "ksim1:"  // uvarints in base64: for each span its distance from what was before, and its length
	metaBitmap = "ksim1b:" // a bit for each offset from next on, in base64
)

var (
	errFull = errors.New("dlq: the letters that were sent and those that were not are too mixed to note which were sent. " +
		"Send back first those that come first in the dead-letter topic, to another topic if need be, or narrow the filter")
	errForeign = errors.New("its metadata was written by another program: choose another group")
)

func (p *progress) sent(offset int64) bool {
	if offset < p.next {
		return true
	}
	i, found := slices.BinarySearchFunc(p.spans, offset, func(s span, o int64) int { return cmp.Compare(s.from, o) })
	return found || i > 0 && offset < p.spans[i-1].to
}

// mark notes that everything from from to to, not included, was sent or never was
// a letter.
func (p *progress) mark(from, to int64) {
	if to <= from {
		return
	}
	i, _ := slices.BinarySearchFunc(p.spans, from, func(s span, o int64) int { return cmp.Compare(s.to, o) })
	j := i
	for ; j < len(p.spans) && p.spans[j].from <= to; j++ {
		from, to = min(from, p.spans[j].from), max(to, p.spans[j].to)
	}
	p.spans = slices.Replace(p.spans, i, j, span{from, to})
	p.advance(p.next)
}

// advance moves next to what it is at least, and over the spans that it meets.
func (p *progress) advance(next int64) {
	p.next = max(p.next, next)
	n := 0
	for ; n < len(p.spans) && p.spans[n].from <= p.next; n++ {
		p.next = max(p.next, p.spans[n].to)
	}
	p.spans = slices.Delete(p.spans, 0, n)
}

func (p *progress) clone() *progress {
	return &progress{p.stored, p.next, slices.Clone(p.spans)}
}

// metadata writes spans in the shorter of two forms.
func (p *progress) metadata() (string, error) {
	var raw []byte
	at := p.next
	for _, s := range p.spans {
		raw = binary.AppendUvarint(raw, uint64(s.from-at))
		raw = binary.AppendUvarint(raw, uint64(s.to-s.from))
		at = s.to
	}
	prefix := metaSpans
	if bits := at - p.next; bits/8 < int64(len(raw)) {
		prefix, raw = metaBitmap, make([]byte, (bits+7)/8)
		for _, s := range p.spans {
			for o := s.from - p.next; o < s.to-p.next; o++ {
				raw[o/8] |= 1 << (o % 8)
			}
		}
	}
	text := prefix + base64.RawURLEncoding.EncodeToString(raw)
	if len(text) > maxMetadata {
		return "", errFull
	}
	return text, nil
}

// readProgress reads what the group has committed. Without metadata, as after its
// offset was set by hand, nothing after the offset was sent.
func readProgress(next int64, metadata string) (*progress, error) {
	p := &progress{stored: true, next: next}
	if metadata == "" {
		return p, nil
	}
	prefix, text, ok := strings.Cut(metadata, ":")
	prefix += ":"
	if !ok || prefix != metaSpans && prefix != metaBitmap {
		return nil, errForeign
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("its metadata is damaged: %w", err)
	}
	if prefix == metaBitmap {
		for i := range int64(len(raw)) * 8 {
			if raw[i/8]&(1<<(i%8)) != 0 {
				p.mark(next+i, next+i+1)
			}
		}
		return p, nil
	}
	for at := next; len(raw) > 0; {
		gap, n := binary.Uvarint(raw)
		length, m := binary.Uvarint(raw[max(n, 0):])
		if n <= 0 || m <= 0 || gap > math.MaxInt64/4 || length > math.MaxInt64/4 || at > math.MaxInt64/2 {
			return nil, errors.New("its metadata is damaged")
		}
		raw = raw[n+m:]
		from := at + int64(gap)
		at = from + int64(length)
		p.mark(from, at)
	}
	return p, nil
}
