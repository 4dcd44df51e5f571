package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ksim-dev/ksim/harness/history"
)

var commitProgress = Check{
	Name: "commit-progress",
	Doc: `The committed offset of a partition never goes back, and while there is something to read and a healthy member to
read it, it goes on to the end.

    committed         m1 orders/0 20 accepted
    commit-requested  m2 orders/0 12
    committed         m2 orders/0 12 accepted
    phase             drained
    phase             end

The second commit sent the partition back by eight records.

*Violated* when an accepted commit lies below one that had been accepted before it was sent (an equal one is
fine); and when the run left its drain without having drained, and a partition was not committed to its end though
a healthy member (alive, not frozen) owned it, or healthy members lived and nobody owned it. *Unknown* when no
commit was accepted, when the drain failed and no healthy member was left, when the history is cut off in the
drain, when nobody has found a partition that was added while the run went on, and, on the embedded broker, when a partition without an owner is all there is: that broker is known to strand
groups, so confirm on real Kafka. With the promise to stop at poison, or with none about it, a partition may wait at a
poison record.`,
	Judge: judgeCommitProgress,
}

func judgeCommitProgress(f *Facts) Result {
	r := held(true)
	accepted := 0
	for i := range f.parts {
		accepted += len(f.parts[i].answers)
		f.backward(&r, &f.parts[i])
	}
	back := r.Count
	r.Figures["went_back"] = float64(back)
	if f.drain != nil && !f.drained() {
		f.stuck(&r)
	}
	_, entered := f.phases[history.PhaseDrain]
	switch {
	case r.Verdict == Unknown:
	case f.thinCommits(accepted) != "":
		r.unknown("%s", f.thinCommits(accepted))
	case !f.drained() && f.drain == nil:
		where := "before its drain"
		if entered {
			where = "in its drain"
		}
		r.unknown("the history is cut off %s; no commit went back until then", where)
	}
	var what []string
	if back > 0 {
		what = append(what, num(back, "commit went back", "commits went back"))
	}
	if still := r.Count - back; still > 0 {
		what = append(what, num(still, "partition stood still", "partitions stood still"))
	}
	told := strings.Join(what, ", ")
	return r.conclude("", noun{"violation: " + told, "violations: " + told},
		"%s, none went back, and every partition was committed to its end", num(accepted, "commit", "commits"))
}

func (f *Facts) thinCommits(accepted int) string {
	switch {
	case f.known == 0:
		return "no record is known to have been produced"
	case accepted == 0:
		return "no accepted commit was seen"
	}
	return ""
}

// backward finds commits below one that had been answered before they were
// sent. Of two that were under way at once the broker's order is not known.
func (f *Facts) backward(r *Result, p *partition) {
	top, next := none, 0
	for _, ci := range p.commits {
		c := &f.commits[ci]
		if !c.accepted {
			continue
		}
		for ; next < len(p.answers) && f.commits[p.answers[next]].answer < c.request; next++ {
			if a := p.answers[next]; top == none || f.commits[a].offset >= f.commits[top].offset {
				top = a
			}
		}
		if top == none || f.commits[top].offset <= c.offset {
			continue
		}
		before := f.commits[top]
		r.violate(func() Evidence {
			return Evidence{
				What:  fmt.Sprintf("%s committed %d after %s had committed %d", f.lives[c.life].who(), c.offset, f.lives[before.life].who(), before.offset),
				Where: fmt.Sprintf("%s@%d", f.topicPart(c.part), c.offset),
			}.by(f, c.request).with(f, before.answer, c.answer)
		})
		top = ci // told once: what follows is measured against where it went back to
	}
}

// stuck judges the partitions that were not committed to their end when the drain ended.
func (f *Facts) stuck(r *Result) {
	ended := f.events[f.drain.ended].At
	healthy := map[int32]bool{}
	for _, l := range f.drain.healthy {
		healthy[l] = true
	}
	for _, d := range f.drain.parts {
		p := &f.parts[d.part]
		behind := slices.DeleteFunc(slices.Clone(f.between(d.part, d.committed, p.end)), func(ri int32) bool { return f.records[ri].gone != none })
		if len(behind) == 0 || f.mayWait(&f.records[behind[0]]) {
			continue
		}
		since := f.events[f.drain.began].At
		if d.progress != none {
			since = max(since, f.events[d.progress].At)
		}
		what := fmt.Sprintf("committed %d of %d, no progress for %s", d.committed, p.end, (ended - since).Round(1e6))
		ownerless := d.owner == none
		switch {
		case !ownerless && healthy[d.owner]:
			what += fmt.Sprintf(", owned by %s, which was healthy", f.lives[d.owner].who())
		case len(healthy) == 0:
			r.unknown("%s: %s, and no healthy member was left", f.topicPart(d.part), what)
			continue
		case ownerless && p.id >= f.Header.Partitions && !f.everOwned(d.part):
			r.unknown("%s: %s, and nobody has found it since it was added: clients ask for metadata every 5 minutes unless told otherwise (KSIM_METADATA_MAX_AGE_MS)", f.topicPart(d.part), what)
			continue
		case ownerless && strings.HasPrefix(f.Header.Kafka, "embedded"):
			r.unknown("%s: %s, and nobody owned it though members lived: the embedded broker is known to strand groups; confirm on real Kafka", f.topicPart(d.part), what)
			continue
		case ownerless:
			what += fmt.Sprintf(", nobody owned it though %s lived", num(len(healthy), "healthy member", "healthy members"))
		default:
			what += fmt.Sprintf(", owned by %s, which was frozen, though %s lived", f.lives[d.owner].who(), num(len(healthy), "healthy member", "healthy members"))
		}
		r.violate(func() Evidence {
			e := f.of(behind[0], "%s", what).with(f, d.progress, f.drain.ended)
			e.At = ended
			if !ownerless {
				e.Member = f.lives[d.owner].who()
			}
			return e
		})
	}
}

// everOwned tells whether a partition was given to anybody.
func (f *Facts) everOwned(part int32) bool {
	for i := range f.lives {
		if s := f.lives[i].seats; int(part) < len(s) && s[part] != nil && s[part].since != none {
			return true
		}
	}
	return false
}

// mayWait tells whether a partition may stand still at this record.
func (f *Facts) mayWait(rec *record) bool {
	p := f.Header.Promises.Poison
	return rec.isPoison() && !f.ended(rec) && p != history.PoisonDeadLetter && p != history.PoisonSkip
}
