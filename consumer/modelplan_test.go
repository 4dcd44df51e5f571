package consumer

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// drawLog adds records to the end of a log: with gaps, as compaction and aborted
// transactions leave them, control records, and records without a key.
func (p *modelPart) drawLog(t *rapid.T, n int) {
	next := int64(3)
	if len(p.log) > 0 {
		next = p.log[len(p.log)-1].offset + 1
	}
	for range n {
		next += int64(rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "gap"))
		r := modelRecord{offset: next}
		switch k := rapid.SampledFrom([]string{"a", "a", "b", "c", "", "", "control"}).Draw(t, "key"); k {
		case "control":
			r.control = true
		case "":
		default:
			r.key = []byte(k)
		}
		p.log = append(p.log, r)
		next++
	}
}

// fetch is what a broker would send next.
func (ep *modelEpoch) fetch(n int) []*kgo.Record {
	var recs []*kgo.Record
	for ; n > 0 && ep.at < len(ep.of.log); n-- {
		l := ep.of.log[ep.at]
		r := &kgo.Record{Topic: ep.of.tp.topic, Partition: ep.of.tp.partition, Offset: l.offset, Key: l.key}
		if l.control {
			r.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Transactional: true, Control: true})
		}
		recs = append(recs, r)
		ep.at++
	}
	return recs
}

// drawError draws why one record, or a batch as a whole, failed.
func drawError(t *rapid.T) (of told, after time.Duration, err error) {
	switch rapid.SampledFrom([]string{"plain", "plain", "permanent", "unavailable", "after", "permanent, noted", "unavailable, after"}).Draw(t, "error") {
	case "permanent":
		return toldPoison, 0, Permanent(errModel)
	case "permanent, noted":
		return toldPoison, 0, fmt.Errorf("wrapped: %w", Annotate(Permanent(errModel), HeaderStage, "decode"))
	case "unavailable":
		return toldUnavailable, 0, Unavailable(errModel)
	case "after":
		return toldFailed, 700 * time.Millisecond, RetryAfter(errModel, 700*time.Millisecond)
	case "unavailable, after":
		return toldUnavailable, 300 * time.Millisecond, RetryAfter(Unavailable(errModel), 300*time.Millisecond)
	}
	return toldFailed, 0, errModel
}

// drawPlan draws how a handler call of n records ends.
func drawPlan(t *rapid.T, n int) plan {
	kind := rapid.SampledFrom([]string{
		"done", "done", "done", "at", "at", "at", "stopped", "some", "some", "whole", "tried", "tried", "garbage", "garbage map", "panic", "ends",
	}).Draw(t, "end")
	return drawPlanOf(t, kind, n)
}

func drawPlanOf(t *rapid.T, kind string, n int) plan {
	p := plan{of: make([]told, n)}
	from := func(i int, of told) {
		for ; i < n; i++ {
			p.of[i] = of
		}
	}
	switch kind {
	case "at":
		i := rapid.IntRange(0, n-1).Draw(t, "index")
		of, after, err := drawError(t)
		p.err, p.after = FailedAt(i, err), after
		from(i, toldUntried)
		p.of[i] = of
	case "stopped":
		i := rapid.IntRange(0, n-1).Draw(t, "index")
		p.err = FailedAt(i, ErrStopped)
		from(i, toldUntried)
	case "some":
		errs := make(map[int]error)
		for i := range n {
			if rapid.Bool().Draw(t, "fails") {
				of, after, err := drawError(t)
				errs[i], p.of[i], p.after = err, of, max(p.after, after)
			}
		}
		p.err = Failed(errs)
	case "whole", "garbage", "garbage map":
		of, after, err := drawError(t)
		p.err, p.after = err, after
		switch kind {
		case "garbage":
			p.err = FailedAt(rapid.SampledFrom([]int{-1, n, n + 7}).Draw(t, "index"), err)
		case "garbage map":
			p.err = Failed(map[int]error{rapid.SampledFrom([]int{-1, n, n + 7}).Draw(t, "index"): err})
		}
		from(0, of)
		if of == toldPoison && n > 1 {
			p.isolate = n
		}
	case "tried":
		k := rapid.IntRange(1, n).Draw(t, "tried")
		inner := drawPlanOf(t, rapid.SampledFrom([]string{"done", "at", "stopped", "some", "whole"}).Draw(t, "of them"), k)
		p.err, p.after, p.isolate = Tried(k, inner.err), inner.after, inner.isolate
		from(k, toldUntried)
		copy(p.of, inner.of)
	case "panic":
		p.panics = true
		from(0, toldFailed)
	case "ends":
		p.ends = true
		end := Fenced
		if p.fatal = rapid.Bool().Draw(t, "fatal"); p.fatal {
			end = Fatal
		}
		p.err = rapid.SampledFrom([]error{end(errModel), FailedAt(n-1, end(errModel)), Failed(map[int]error{0: end(errModel)})}).Draw(t, "by")
	}
	return p
}

// fetchAt is the record at an index of the log, as a broker would send it again.
func (ep *modelEpoch) fetchAt(i int) []*kgo.Record {
	at := ep.at
	defer func() { ep.at = at }()
	ep.at = i
	return ep.fetch(1)
}
