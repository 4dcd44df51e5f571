package reports

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
)

// timeline is a history made ready to be drawn: who owned which partition
// when, what went wrong meanwhile, and what was done and repeated.
type timeline struct {
	From, To time.Duration // of the first and the last event
	Lanes    []lane        // by partition
	Faults   []span
	Phases   []mark
	Members  []string // every life, in order of appearance: m1, m2, m1#2
	Events   int
}

// lane is one partition.
type lane struct {
	Partition int32
	Bars      []bar
	Effects   []time.Duration // effects done for the first time
	Repeats   []time.Duration // effects done again
	Commits   []time.Duration // accepted
	Refused   []time.Duration // commits refused
	Dead      []time.Duration // records dead-lettered
	Wrong     []mark          // violations whose record lies here
}

// bar is one member's ownership of a partition.
type bar struct {
	Who, Member string
	From, To    time.Duration
	End         string // assigned (to another), revoked, lost, stopped, killed, exited; "" if still owned at the end
	Frozen      []span
}

// span is something with a beginning and an end.
type span struct {
	Name, Member string
	From, To     time.Duration
	Outcome      string // happened, missed; "" if it never ended
	Note         string
}

// mark is something at one moment.
type mark struct {
	At   time.Duration
	Note string
}

// timelineOf reads h and the evidence against it. It judges nothing.
func timelineOf(h history.History, checks []check.Result) timeline {
	b := builder{
		topic: h.Header.Topic, events: h.Events, lanes: map[int32]*lane{}, open: map[int32]*bar{},
		partition: map[string]int32{}, frozen: map[string][]span{}, faults: map[int64]int{},
	}
	for p := range min(h.Header.Partitions, 4096) {
		b.lane(p)
	}
	b.t.Events = len(h.Events)
	for i, e := range h.Events {
		if i == 0 || e.At < b.t.From {
			b.t.From = e.At
		}
		b.t.To = max(b.t.To, e.At)
		b.add(e)
	}
	b.evidence(checks)
	return b.finish()
}

type builder struct {
	t         timeline
	topic     string
	events    []history.Event
	lanes     map[int32]*lane
	open      map[int32]*bar    // the bar that grows, by partition
	partition map[string]int32  // of a message
	frozen    map[string][]span // by life of a member
	faults    map[int64]int     // index into t.Faults by Seq of FaultBegan
}

func (b *builder) lane(p int32) *lane {
	if b.lanes[p] == nil {
		b.lanes[p] = &lane{Partition: p}
	}
	return b.lanes[p]
}

// of returns the lane of an event, nil if it is of another topic. An event
// that answers another and does not repeat its fields takes them from there.
func (b *builder) of(e history.Event) *lane {
	if e.Topic == "" && e.Ref > 0 && e.Ref <= int64(len(b.events)) {
		e = b.events[e.Ref-1]
	}
	if e.Topic != b.topic || e.Partition < 0 {
		return nil
	}
	return b.lane(e.Partition)
}

func (b *builder) add(e history.Event) {
	switch e.Kind {
	case history.Produced, history.Logged:
		if e.Message != "" && e.Topic == b.topic && e.Partition >= 0 {
			b.partition[e.Message] = e.Partition
		}
	case history.EffectDone:
		if l := b.of(e); l != nil && e.Repeat > 0 {
			l.Repeats = append(l.Repeats, e.At)
		} else if l != nil {
			l.Effects = append(l.Effects, e.At)
		}
	case history.Committed:
		if l := b.of(e); l != nil && e.Outcome == history.Accepted {
			l.Commits = append(l.Commits, e.At)
		} else if l != nil {
			l.Refused = append(l.Refused, e.At)
		}
	case history.DeadLettered:
		if p, ok := b.partition[e.Message]; ok {
			b.lane(p).Dead = append(b.lane(p).Dead, e.At)
		}
	case history.Phase:
		b.t.Phases = append(b.t.Phases, mark{e.At, e.Note})
	default:
		b.member(e)
		b.fault(e)
	}
}

func (b *builder) member(e history.Event) {
	switch e.Kind {
	case history.Assigned:
		if b.of(e) != nil {
			b.assign(e)
		}
	case history.Revoked, history.Lost:
		if open := b.open[e.Partition]; e.Topic == b.topic && open != nil && open.Who == e.Who() {
			b.end(e.Partition, e.At, string(e.Kind))
		}
	case history.MemberEnded:
		for p, open := range b.open {
			if open.Who == e.Who() {
				b.end(p, e.At, string(e.Outcome))
			}
		}
		b.thaw(e)
	case history.MemberStarted:
		b.appeared(e.Who())
	case history.MemberFrozen:
		b.frozen[e.Who()] = append(b.frozen[e.Who()], span{From: e.At, To: -1})
	case history.MemberThawed:
		b.thaw(e)
	}
}

func (b *builder) appeared(who string) {
	if !slices.Contains(b.t.Members, who) {
		b.t.Members = append(b.t.Members, who)
	}
}

// assign opens a bar, unless the same member is only told again what it has.
func (b *builder) assign(e history.Event) {
	if open := b.open[e.Partition]; open != nil {
		if open.Who == e.Who() {
			return
		}
		b.end(e.Partition, e.At, string(history.Assigned))
	}
	b.appeared(e.Who())
	b.open[e.Partition] = &bar{Who: e.Who(), Member: e.Member, From: e.At}
}

func (b *builder) end(p int32, at time.Duration, how string) {
	open := b.open[p]
	open.To, open.End = at, how
	b.lane(p).Bars = append(b.lane(p).Bars, *open)
	delete(b.open, p)
}

func (b *builder) thaw(e history.Event) {
	if s := b.frozen[e.Who()]; len(s) > 0 && s[len(s)-1].To < 0 {
		s[len(s)-1].To = e.At
	}
}

func (b *builder) fault(e history.Event) {
	switch e.Kind {
	case history.FaultBegan:
		b.faults[e.Seq] = len(b.t.Faults)
		b.t.Faults = append(b.t.Faults, span{Name: e.Fault, Member: e.Member, From: e.At, To: -1})
	case history.FaultEnded:
		if i, ok := b.faults[e.Ref]; ok {
			f := &b.t.Faults[i]
			f.To, f.Outcome, f.Note = e.At, string(e.Outcome), e.Note
			f.Member = cmp.Or(f.Member, e.Member)
		}
	}
}

// evidence puts every violation that names a record onto the lane of it.
func (b *builder) evidence(checks []check.Result) {
	for _, c := range checks {
		if c.Verdict != check.Violated {
			continue
		}
		for _, e := range c.Evidence {
			p, ok := partitionOf(e.Where, b.topic)
			if !ok {
				p, ok = b.partition[e.Message]
			}
			if ok {
				b.lane(p).Wrong = append(b.lane(p).Wrong, mark{e.At, c.Check + " " + e.Where})
			}
		}
	}
}

// partitionOf reads the partition out of "topic/partition@offset".
func partitionOf(where, topic string) (int32, bool) {
	rest, ok := strings.CutPrefix(where, topic+"/")
	if !ok || topic == "" {
		return 0, false
	}
	text, _, _ := strings.Cut(rest, "@")
	p, err := strconv.ParseInt(text, 10, 32)
	return int32(p), err == nil && p >= 0
}

func (b *builder) finish() timeline {
	for p := range b.open {
		b.end(p, b.t.To, "")
	}
	for i := range b.t.Faults {
		if b.t.Faults[i].To < 0 {
			b.t.Faults[i].To = b.t.To
		}
	}
	for _, l := range b.lanes {
		for i := range l.Bars {
			l.Bars[i].Frozen = within(b.frozen[l.Bars[i].Who], l.Bars[i].From, l.Bars[i].To)
		}
		b.t.Lanes = append(b.t.Lanes, *l)
	}
	slices.SortFunc(b.t.Lanes, func(x, y lane) int { return cmp.Compare(x.Partition, y.Partition) })
	return b.t
}

// within cuts spans to [from, to); a span that never ended ends there.
func within(spans []span, from, to time.Duration) []span {
	var out []span
	for _, s := range spans {
		if s.To < 0 {
			s.To = to
		}
		s.From, s.To = max(s.From, from), min(s.To, to)
		if s.From < s.To {
			out = append(out, s)
		}
	}
	return out
}
