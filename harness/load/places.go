package load

import (
	"context"
	"sync"
	"time"
)

// places is which message is where in one partition.
type places struct {
	mu     sync.RWMutex
	chunks []*[chunkSize]uint32 // by offset: number of the message, plus 1
	end    int64                // above the highest offset that is known
	news   chan struct{}        // closed when a place becomes known; nil if nobody waits
}

func (p *places) put(offset int64, i int) {
	if offset < 0 || offset >= MaxMessages {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for int64(len(p.chunks))*chunkSize <= offset {
		p.chunks = append(p.chunks, new([chunkSize]uint32))
	}
	p.chunks[offset/chunkSize][offset%chunkSize] = uint32(i) + 1
	p.end = max(p.end, offset+1)
	if p.news != nil {
		close(p.news)
		p.news = nil
	}
}

func (p *places) get(offset int64) (int, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.at(offset)
}

// at is get, for who holds mu.
func (p *places) at(offset int64) (int, bool) {
	if offset < 0 || offset >= p.end {
		return 0, false
	}
	n := p.chunks[offset/chunkSize][offset%chunkSize]
	return int(n) - 1, n > 0
}

// At is the message at an offset of a partition; ok is false for what has not been acknowledged.
func (r *Records) At(partition int32, offset int64) (i int, ok bool) {
	if partition < 0 || int(partition) >= len(r.places) {
		return 0, false
	}
	return r.places[partition].get(offset)
}

// AwaitAt is At for a record that a consumer may have met before the producer had its answer: it waits for that
// until ctx ends.
func (r *Records) AwaitAt(ctx context.Context, partition int32, offset int64) (i int, ok bool) {
	if partition < 0 || int(partition) >= len(r.places) {
		return 0, false
	}
	p := &r.places[partition]
	for {
		p.mu.Lock()
		i, ok := p.at(offset)
		if ok {
			p.mu.Unlock()
			return i, true
		}
		if p.news == nil {
			p.news = make(chan struct{})
		}
		news := p.news
		p.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return 0, false
		}
	}
}

// Span is when the first message was done, and when the last one was done for the first time.
func (r *Records) Span() (first, last time.Duration) {
	sent, _, _, _ := r.Count()
	first = -1
	for i := range sent {
		if effect := r.record(i).effect.Load(); effect != 0 {
			at := r.due(i) + doneOf(effect)
			last = max(last, at)
			if first < 0 || at < first {
				first = at
			}
		}
	}
	return max(0, first), last
}
