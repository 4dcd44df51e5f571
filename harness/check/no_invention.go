package check

var noInvention = Check{
	Name: "no-invention",
	Doc: `Every effect is of a record that was produced, with its bytes.

    produced          orders/0@7 m-8 acked
    effect-started    m1 m-8
    effect-done       m1 m-8
    effect-unmatched  m1 {"id":"m-8x"…
    phase             end

The last effect belongs to nothing that was produced.

An effect of a record whose transaction was aborted is one too: who reads what is committed never sees it.

*Violated* by an effect that matches no record, by one of a record that nobody produced, and by one whose bytes differ
where the effect carries the hash of the value; and, where read_committed is promised (exactly-once implies it), by an effect, a dead
letter or an output of a record whose transaction was aborted. Where it is not promised those are a figure. A produce that failed or was never answered is no
invention: a member that has the record has read it. *Unknown* when no effect was seen, or the history is cut off before
the produce of an effect ended.`,
	Judge: judgeNoInvention,
	Sight: NeedsEffects,
}

func judgeNoInvention(f *Facts) Result {
	r := held(true)
	f.uncommitted(&r)
	if len(f.effects)+len(f.unmatched) == 0 {
		r.unknown("no effect was seen: does the subject post its effects to the sink?")
		return r.conclude("invented", inventions, "")
	}
	for _, pos := range f.unmatched {
		r.violate(func() Evidence {
			return Evidence{What: "an effect that matches no produced record: " + f.events[pos].Note}.by(f, pos)
		})
	}
	unanswered := 0
	for i := range f.records {
		rec := &f.records[i]
		switch {
		case rec.started == none && rec.done == none, rec.event != none:
		case !f.complete():
			unanswered++
		default:
			r.violate(func() Evidence {
				return f.of(int32(i), "an effect of a record that was never produced").by(f, max(rec.started, rec.done))
			})
		}
	}
	n := 0
	for i := range f.effects {
		e := &f.effects[i]
		if e.kind != started {
			continue
		}
		n++
		if h := f.events[e.pos].Hash; h != "" && f.records[e.rec].event != none && h != f.records[e.rec].hash {
			r.violate(func() Evidence {
				return f.of(e.rec, "an effect with other bytes than were produced: SHA-256 %s", h).by(f, e.pos)
			})
		}
	}
	if unanswered > 0 {
		r.unknown("the history is cut off: the produce of %s with effects is not in it", num(unanswered, "record", "records"))
	}
	return r.conclude("invented", inventions,
		"%s that %s produced", num(n, "attempt at a record", "attempts at records"), noun{"was", "were"}.of(n))
}

var inventions = noun{"effect of nothing that was produced", "effects of nothing that was produced"}

// uncommitted counts what was made of records whose transactions were aborted.
func (f *Facts) uncommitted(r *Result) {
	voided, read := 0, 0
	for i := range f.records {
		rec := &f.records[i]
		if !rec.voided {
			continue
		}
		voided++
		if rec.started == none && rec.done == none && rec.letter == none && rec.outputs == 0 {
			continue
		}
		if read++; f.Header.Promises.CommittedOnly() {
			r.violate(func() Evidence {
				e := f.of(int32(i), "its transaction was aborted, and it was read all the same")
				if rec.letter != none {
					e = e.by(f, f.letters[rec.letter].pos)
				}
				return e.by(f, rec.started).with(f, rec.done).with(f, f.outputsOf(int32(i))...)
			})
		}
	}
	if voided > 0 {
		r.Figures["aborted"], r.Figures["aborted_read"] = float64(voided), float64(read)
	}
}
