package check

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
)

var exactlyOnce = Check{
	Name: "exactly-once",
	Doc: `The output of every record can be seen exactly once, by whoever reads what is committed.

    effect-done   m1 orders/0@7 m-8
    member-ended  m1 killed
    effect-done   m2 orders/0@7 m-8
    output        orders.out/0@9 m-8
    output        orders.out/0@15 m-8

The work was done twice, which may be, and both outputs were committed, which may not: the transaction of m1 should have
been aborted.

An output is a record of the output topic, read as read_committed, or a row that a query returns. It belongs to the record
that its header Ksim-Record names (topic/partition/offset), or whose bytes, id or JSON field "id" it has. Effects at the sink are outside of any transaction: that they come
again is for reprocessing to judge.

*Violated*, where it is promised, by each record with more than one output, by each poison record with one (it has a dead
letter instead), and by each record without one that was committed past, or that has none although the run has drained.
A tombstone may have one or none. *Unknown* when the outputs were not read to their end (a transaction that is still open hides what is
behind it), when some belong to no record that can be told, when records have none and the run did not drain, and when no record was seen.
Not promised: counted. Dead letters beyond the first are a figure.`,
	Judge: judgeExactlyOnce,
}

func judgeExactlyOnce(f *Facts) Result {
	r := held(f.Header.Promises.Delivery == history.ExactlyOnce)
	stray := 0
	for i := range f.outputs {
		if f.outputs[i].rec == none {
			stray++
		}
	}
	_, read := f.phases[history.PhaseOutputs]
	open := 0
	for i := range f.records {
		open += f.judgeOutputs(&r, int32(i), read && stray == 0)
	}
	r.Figures["outputs"], r.Figures["unmatched"], r.Figures["without"] = float64(len(f.outputs)), float64(stray), float64(open)
	r.Figures["dead_letters_twice"] = float64(f.lettersTwice)
	switch {
	case f.known == 0:
		r.unknown("no record is known to have been produced")
	case !r.Promised:
	case f.recreated > 0:
		r.unknown("the topic was made anew, and outputs name their source by a place that two records have had")
	case !read:
		r.unknown("the outputs were not read to their end")
	case stray > 0:
		r.unknown("%s to no record that can be told: give each the header Ksim-Record: topic/partition/offset of its source",
			num(stray, "output belongs", "outputs belong"))
	case open > 0:
		r.unknown("the run did not drain: %s no output when the history ends", num(open, "record had", "records had"))
	}
	return r.conclude("not_exactly_once", noun{"record whose output is not visible exactly once", "records whose outputs are not visible exactly once"},
		"%s, each made from a record of its own", num(len(f.outputs), "output", "outputs"))
}

// judgeOutputs judges one record; 1 if it has no output and may still get one.
// Only if all outputs were read and told apart is a missing one missing.
func (f *Facts) judgeOutputs(r *Result, ri int32, complete bool) int {
	rec := &f.records[ri]
	switch {
	case rec.outputs > 1:
		r.violate(func() Evidence {
			return f.of(ri, "%d outputs of it can be seen", rec.outputs).with(f, f.outputsOf(ri)...)
		})
	case rec.outputs == 1 && rec.isPoison():
		r.violate(func() Evidence {
			return f.of(ri, "%s, and yet an output of it can be seen", rec.poison).with(f, f.outputsOf(ri)...)
		})
	case rec.outputs == 1, rec.isPoison(), rec.isTombstone(), !rec.known, f.removed(rec):
	case !complete, f.vanished(rec): // no-loss tells
	case f.parts[rec.part].committed > rec.offset:
		r.violate(func() Evidence {
			return f.of(ri, "committed past, and no output of it can be seen").with(f, f.requestOf(rec))
		})
	case f.drained():
		r.violate(func() Evidence { return f.of(ri, "no output of it can be seen, although the run has drained") })
	default:
		return 1
	}
	return 0
}

func (f *Facts) outputsOf(ri int32) (positions []int32) {
	for i := range f.outputs {
		if f.outputs[i].rec == ri {
			positions = append(positions, f.outputs[i].pos)
		}
	}
	return positions
}

// kept tells whether what a record was to bring about lasts, whatever became of
// the member that did it: its output can be seen, so it need not come again.
func (f *Facts) kept(rec *record) bool {
	return f.Header.Promises.Delivery == history.ExactlyOnce && rec.outputs > 0
}

// tellOutputs says, for the recovery of a crash, how many effects were kept by their outputs.
func tellOutputs(kept int) string {
	if kept == 0 {
		return ""
	}
	return fmt.Sprintf("; %s before it", num(kept, "output was committed", "outputs were committed"))
}
