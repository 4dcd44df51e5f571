package check

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
)

var deadLetter = Check{
	Name: "dead-letter",
	Doc: `Every poison record ends in the dead-letter topic, byte for byte, before its offset is committed, and nothing else does.

    produced          orders/0@7 m-8 undecodable, acked
    commit-requested  m1 orders/0 8
    committed         m1 orders/0 8 accepted
    dead-lettered     m-8, appended after that
    phase             drained

A crash between the commit and the dead letter would have lost m-8.

Poison is what is undecodable, permanently refused or oversized. *Violated*, where dead-lettering is promised, by a poison
record without a dead letter (once the run has drained, or a commit lies above it), by a dead letter of a healthy
record, a tombstone or a passing failure, by one that matches no record or differs from it in key or value, by one appended after
the first commit above its record (5 ms of tolerance), by a second one that no crash, rebalance, refused commit or
retry explains, and, where headers are promised, by a wrong origin or no reason. *Unknown* when a dead letter is missing and the run did not drain or has no end, and
when no record was seen. Not promised: counted. Duplicates that a cause explains are a figure.`,
	Judge: judgeDeadLetter,
}

// reasonHeaders are the headers that say why, by convention; one is enough.
// Sources: KIP-1191, KIP-298, Spring for Apache Kafka's DeadLetterPublishingRecoverer.
var reasonHeaders = map[string][]string{
	"kip-1191": {"__dlq.errors.message"},
	"connect":  {"__connect.errors.exception.message", "__connect.errors.exception.class.name"},
	"spring":   {"kafka_dlt-exception-message", "kafka_dlt-exception-fqcn"},
}

func judgeDeadLetter(f *Facts) Result {
	r := held(f.Header.Promises.Poison == history.PoisonDeadLetter)
	copies := map[int32]int{}
	for i := range f.letters {
		l := &f.letters[i]
		f.judgeLetter(&r, l)
		if l.rec == none {
			continue
		}
		if copies[l.rec]++; copies[l.rec] > 1 {
			if rec := &f.records[l.rec]; !f.explainsLetter(rec, l) {
				r.violate(func() Evidence { return f.of(l.rec, "dead-lettered again without a cause").by(f, l.pos) })
			}
		}
	}
	poison, missing := 0, 0
	for i := range f.records {
		rec := &f.records[i]
		if !rec.known || !rec.isPoison() {
			continue
		}
		poison++
		if rec.letter == none && rec.done == none && !f.removed(rec) {
			missing += f.missingLetter(&r, int32(i))
		}
		if rec.letter != none && rec.passed != none && !f.letterBefore(&f.letters[rec.letter], &f.commits[rec.passed]) {
			c := &f.commits[rec.passed]
			r.violate(func() Evidence {
				return f.of(int32(i), "dead-lettered %s after %s had committed %d past it",
					(f.letters[rec.letter].time-c.at).Round(1e5), f.lives[c.life].who(), c.offset).by(f, c.request).with(f, f.letters[rec.letter].pos)
			})
		}
	}
	r.Figures["poison"], r.Figures["dead_letters"], r.Figures["duplicates"] = float64(poison), float64(len(f.letters)), float64(f.lettersTwice)
	switch {
	case f.known == 0:
		r.unknown("no record is known to have been produced")
	case missing > 0:
		r.unknown("%s not dead-lettered when the history ends, and it did not come to its end",
			num(missing, "poison record was", "poison records were"))
	}
	return r.conclude("wrong", noun{"dead letter missing, late or wrong", "dead letters missing, late or wrong"},
		"%s, each dead-lettered as it was, and nothing else", num(poison, "poison record", "poison records"))
}

// missingLetter judges a poison record without a dead letter; 1 if it cannot be told.
func (f *Facts) missingLetter(r *Result, ri int32) int {
	rec := &f.records[ri]
	past := rec.part != none && f.parts[rec.part].committed > rec.offset
	if !f.complete() || !past && !f.drained() || f.vanished(rec) {
		return 1
	}
	r.violate(func() Evidence {
		return f.of(ri, "%s, and never dead-lettered", rec.poison).with(f, rec.started, f.requestOf(rec))
	})
	return 0
}

func (f *Facts) requestOf(rec *record) int32 {
	if rec.passed == none {
		return none
	}
	return f.commits[rec.passed].request
}

// judgeLetter judges one dead letter by itself.
func (f *Facts) judgeLetter(r *Result, l *letter) {
	ev := &f.events[l.pos]
	if l.rec == none {
		r.violate(func() Evidence {
			return Evidence{What: "a dead letter that matches no record", Where: ev.Where(), Key: ev.Key}.by(f, l.pos)
		})
		return
	}
	rec := &f.records[l.rec]
	wrong := func(what string, args ...any) {
		r.violate(func() Evidence { return f.of(l.rec, what, args...).by(f, l.pos) })
	}
	switch {
	case rec.event == none:
		wrong("a dead letter of a record that was never produced")
		return
	case !rec.isPoison():
		kind := "a healthy record"
		if rec.poison != "" {
			kind = "a record of kind " + rec.poison
		}
		wrong("dead-lettered, though it is %s", kind)
	}
	if ev.Hash != rec.hash {
		wrong("the value of the dead letter differs from the record's")
	}
	if ev.Key != rec.key {
		wrong("the key of the dead letter is %q, the record's is %q", bounded(ev.Key), bounded(rec.key))
	}
	convention := f.Header.Promises.DeadLetterHeaders
	if convention == "" {
		return
	}
	if rec.part != none {
		if want := fmt.Sprintf("%s@%d", f.topicPart(rec.part), rec.offset); ev.Origin != want {
			wrong("the dead letter names the origin %q instead of %s", bounded(ev.Origin), want)
		}
	}
	reasons := reasonHeaders[convention]
	for _, name := range reasons {
		if ev.Headers[name] != "" {
			return
		}
	}
	if len(reasons) > 0 {
		wrong("the dead letter gives no reason: the convention %s has it in %s", convention, reasons[0])
	}
}

// bounded cuts what a subject wrote to a length that fits a line.
func bounded(s string) string {
	const limit = 80
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
