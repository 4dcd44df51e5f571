package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

// All returns every check, in the order in which results are reported.
func All() []Check {
	return []Check{
		noLoss, noInvention, commitSafety, commitProgress, reprocessing, redelivered,
		partitionOrder, keyOrder, deadLetter, retryBound, fencing, rebalance, gracefulStop, truthfulLag, boundedFlight, headOfLine, exactlyOnce, recovery, faultsHappened,
	}
}

// Names are those of all checks, in the same order.
func Names() []string {
	var names []string
	for _, c := range All() {
		names = append(names, c.Name)
	}
	return names
}

// Known tells whether there is a check of that name.
func Known(name string) bool { return slices.Contains(Names(), name) }

func judge(h history.History, checks []Check) Report {
	f := NewFacts(h)
	rep := Report{Verdict: Held, Counts: f.counts()}
	for _, c := range checks {
		r := f.ask(c)
		r.Check = c.Name
		rep.Verdict = Worse(rep.Verdict, r.Verdict)
		rep.Checks = append(rep.Checks, r)
	}
	for i := range f.causes {
		if f.causes[i].count > 0 {
			rep.Causes = append(rep.Causes, f.cause(&f.causes[i]))
		}
	}
	if len(f.repeats) > 0 {
		rep.Attribution = f.attribution()
	}
	f.tellStories(rep.Checks)
	return rep
}

// ask has a check judge, unless nobody asked for it, or it would judge what cannot be seen.
func (f *Facts) ask(c Check) Result {
	asked := f.Header.Checks
	if len(asked) > 0 && !slices.Contains(asked, c.Name) && c.Name != faultsHappened.Name {
		return Result{Verdict: Held, Reason: "not asked for"}
	}
	r := c.Judge(f)
	if why := f.unseen(c.Sight); why != "" && r.Promised { // whatever it made of what it could not see
		return Result{Verdict: Unknown, Promised: true, Reason: why}
	}
	return r
}

func (f *Facts) counts() Counts {
	c := Counts{Produced: f.known, Reprocessed: len(f.repeats)}
	for i := range f.effects {
		switch f.effects[i].kind {
		case done:
			c.Effects++
		case refused:
			c.Refused++
		}
	}
	for i := range f.repeats {
		if f.repeats[i].cause == none && f.placed(f.repeats[i].rec) {
			c.Unexplained++
		}
	}
	for i := range f.records {
		if f.records[i].letter != none {
			c.DeadLettered++
		}
	}
	for i := range f.commits {
		if f.commits[i].accepted {
			c.Commits++
		}
	}
	return c
}

// placed tells whether it is known where the record lies. What a producer got no
// answer for, and no observer found, cannot be held against a window.
func (f *Facts) placed(rec int32) bool { return f.records[rec].offset >= 0 }

func (f *Facts) cause(c *cause) Cause {
	out := Cause{Kind: c.kind, Member: f.lives[c.life].who(), At: c.at, Count: c.count}
	for _, wi := range c.windows {
		if w := &f.windows[wi]; w.count > 0 {
			out.Windows = append(out.Windows, Window{
				Topic: f.Header.Topic, Partition: f.parts[w.part].id, From: w.from, To: w.reach(),
			})
		}
	}
	return out
}

// reach is where a window ends in a report: what was done when it opened, and
// beyond that as far as repeats were attributed to it.
func (w *window) reach() int64 { return max(w.from, w.high, w.upTo) }

// held starts a result that nothing speaks against so far.
func held(promised bool) Result {
	return Result{Verdict: Held, Promised: promised, Figures: map[string]float64{}}
}

// unknown makes r unknown for a reason, unless it is violated already.
func (r *Result) unknown(format string, args ...any) {
	if r.Verdict == Violated {
		return
	}
	r.Verdict, r.Reason = Unknown, fmt.Sprintf(format, args...)
}

// violate counts one violation and keeps the evidence of the first ones. What
// was not promised stays held; its evidence is told all the same.
func (r *Result) violate(tell func() Evidence) {
	r.Count++
	if r.Promised {
		r.Verdict = Violated
	}
	if len(r.Evidence) < MaxEvidence {
		r.Evidence = append(r.Evidence, tell())
	}
}

// conclude puts a reason to a result. Count is kept for violations; what was not
// promised is counted in the figure instead.
func (r *Result) conclude(figure string, violated noun, fine string, args ...any) Result {
	switch {
	case r.Verdict == Violated:
		r.Reason = violated.num(r.Count)
	case !r.Promised:
		r.Verdict, r.Reason = Held, "not promised"
		if figure != "" {
			r.Figures[figure] = float64(r.Count)
			r.Reason = "not promised; " + violated.num(r.Count)
		}
		r.Count = 0
	case r.Verdict == Held:
		r.Reason = fmt.Sprintf(fine, args...)
	}
	return *r
}

// of starts the evidence about a record with the event that told of it.
func (f *Facts) of(rec int32, what string, args ...any) Evidence {
	r := &f.records[rec]
	e := Evidence{What: fmt.Sprintf(what, args...), Message: r.message, Key: r.key}
	if r.part != none {
		e.Where = fmt.Sprintf("%s/%d@%d", f.Header.Topic, f.parts[r.part].id, r.offset)
	}
	return e.with(f, r.event)
}

// by adds the event at pos as the moment of the evidence, and its member.
func (e Evidence) by(f *Facts, pos int32) Evidence {
	if pos == none {
		return e
	}
	ev := &f.events[pos]
	if ev.Member != "" {
		e.Member = ev.Who()
	}
	e.At = ev.At
	return e.with(f, pos)
}

// with adds the events at the given positions, in order and each once.
func (e Evidence) with(f *Facts, positions ...int32) Evidence {
	for _, pos := range positions {
		if pos == none {
			continue
		}
		seq, i := f.events[pos].Seq, len(e.Events)
		for i > 0 && e.Events[i-1] > seq {
			i--
		}
		if i > 0 && e.Events[i-1] == seq {
			continue
		}
		e.Events = append(e.Events, 0)
		copy(e.Events[i+1:], e.Events[i:])
		e.Events[i] = seq
	}
	return e
}

// wall tells a moment of the run by the clock on the wall, in UTC.
func (f *Facts) wall(at time.Duration) string {
	return f.Header.Start.Add(at).UTC().Format("15:04:05.000")
}

// topicPart names a partition: "orders/3".
func (f *Facts) topicPart(part int32) string {
	return fmt.Sprintf("%s/%d", f.Header.Topic, f.parts[part].id)
}
