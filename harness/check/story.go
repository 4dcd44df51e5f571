package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ksim-dev/ksim/harness/history"
)

// maxStory is how many events a story has at most: what a person reads at one glance.
const maxStory = 8

// storyteller finds the events that led to a violation. Most of a history is
// records that have nothing to do with it, so the few events that change who may do what are
// indexed once, and the attempts at those records that evidence is about.
type storyteller struct {
	*Facts
	turns    []int32            // positions of all but produces, effects and what observers read back
	attempts map[string][]int32 // by message: positions of its effects
}

// tellStories adds to each piece of evidence the events that led to it.
func (f *Facts) tellStories(results []Result) {
	t := storyteller{Facts: f, attempts: map[string][]int32{}}
	found := false
	for _, r := range results {
		for _, e := range r.Evidence {
			found = true
			if e.Message != "" {
				t.attempts[e.Message] = nil
			}
		}
	}
	if !found {
		return
	}
	t.index()
	for _, r := range results {
		for i := range r.Evidence {
			r.Evidence[i].Story = t.tell(&r.Evidence[i])
		}
	}
}

func (t *storyteller) index() {
	for i := range t.events {
		switch e := &t.events[i]; e.Kind {
		case history.EffectStarted, history.EffectDone, history.EffectRefused, history.EffectDropped:
			message := e.Message
			if ref := t.at(e.Ref); ref != none && message == "" {
				message = t.events[ref].Message
			}
			if list, wanted := t.attempts[message]; wanted {
				t.attempts[message] = append(list, int32(i))
			}
		case history.Produced, history.Logged, history.Fetched, history.EffectUnmatched, history.Output, history.Lag, history.LagReported, history.Scraped:
		default:
			t.turns = append(t.turns, int32(i))
		}
	}
}

// plot is what one story is about.
type plot struct {
	until  int32 // position of the event that it leads to
	parts  []int32
	lives  []string // as history.Event.Who
	chosen []int32  // what matters most first
}

func (p *plot) about(who string) {
	if who != "" && !slices.Contains(p.lives, who) {
		p.lives = append(p.lives, who)
	}
}

// choose takes an event in; false if it was in already.
func (p *plot) choose(pos int32) bool {
	if slices.Contains(p.chosen, pos) {
		return false
	}
	p.chosen = append(p.chosen, pos)
	return true
}

// tell chooses, in this order until there are enough: the events that show the
// violation, the last attempts at the record, who was given and who lost the partition, how the
// members fared, the last commits, and the fault that was under way. What only
// happened at the time is left out.
func (t *storyteller) tell(e *Evidence) []string {
	p := t.plotOf(e)
	if p == nil {
		return nil
	}
	tries := t.attempts[e.Message]
	for i := len(tries) - 1; i >= 0 && len(tries)-i <= 3; i-- {
		if tries[i] <= p.until {
			p.about(t.events[tries[i]].Who())
			p.choose(tries[i])
		}
	}
	t.last(p, 2, func(e *history.Event) bool {
		own := e.Kind == history.Assigned || e.Kind == history.Revoked || e.Kind == history.Lost
		return own && t.concerns(p, e)
	})
	for _, pos := range p.chosen {
		if e := &t.events[pos]; e.Member != "" {
			p.about(e.Who())
		}
	}
	t.last(p, 2, func(e *history.Event) bool {
		switch e.Kind {
		case history.MemberEnded, history.MemberFrozen, history.MemberThawed, history.MemberStopping, history.Told, history.Left, history.Aborted:
			return slices.Contains(p.lives, e.Who())
		}
		return false
	})
	t.last(p, 2, func(e *history.Event) bool { return e.Kind == history.Committed && t.concerns(p, e) })
	t.last(p, 1, func(e *history.Event) bool { return e.Kind == history.FaultBegan })
	for {
		inOrder := slices.Sorted(slices.Values(p.chosen))
		if told := t.sentences(inOrder); len(told) <= maxStory {
			return told
		}
		p.chosen = p.chosen[:len(p.chosen)-1]
	}
}

// plotOf reads from the evidence what its story is about; nil if no event shows it.
func (t *storyteller) plotOf(e *Evidence) *plot {
	p := &plot{until: none}
	p.about(e.Member)
	for i := len(e.Events) - 1; i >= 0; i-- {
		pos := t.at(e.Events[i])
		if pos == none {
			continue
		}
		ev := &t.events[pos]
		p.until = max(p.until, pos)
		p.choose(pos)
		if ev.Member != "" {
			p.about(ev.Who())
		}
		if t.mine(ev.Topic) && ev.Topic != "" && ev.Partition >= 0 && !slices.Contains(p.parts, ev.Partition) {
			p.parts = append(p.parts, ev.Partition)
		}
	}
	if p.until == none {
		return nil
	}
	if e.At == 0 { // what is wrong is that nothing more came
		p.until = t.lastOfRun()
	}
	return p
}

// concerns tells whether an event is about the partition of a story or, where it is
// about none, about one of its members.
func (t *storyteller) concerns(p *plot, e *history.Event) bool {
	if len(p.parts) > 0 {
		return t.mine(e.Topic) && slices.Contains(p.parts, e.Partition)
	}
	return slices.Contains(p.lives, e.Who())
}

// last chooses the last n turns before the end of the story that match.
func (t *storyteller) last(p *plot, n int, match func(*history.Event) bool) {
	i, found := slices.BinarySearch(t.turns, p.until)
	if !found {
		i--
	}
	for ; i >= 0 && n > 0; i-- {
		if match(&t.events[t.turns[i]]) && p.choose(t.turns[i]) {
			n--
		}
	}
}

// sentences tells the events at the given positions. A request that is followed at once by
// its answer is told by that.
func (t *storyteller) sentences(positions []int32) []string {
	var out []string
	for i, pos := range positions {
		e := &t.events[pos]
		if i+1 < len(positions) {
			if next := &t.events[positions[i+1]]; next.Ref == e.Seq && e.Kind != history.FaultBegan {
				continue
			}
		}
		out = append(out, t.wall(e.At)+" "+t.sentence(pos, e))
	}
	return out
}

// sentence tells one event, without the time.
func (t *storyteller) sentence(pos int32, e *history.Event) string {
	switch e.Kind {
	case history.EffectStarted, history.EffectDone, history.EffectRefused, history.EffectDropped:
		return t.attempt(pos, e)
	case history.CommitRequested, history.CommitSealed, history.Committed, history.Aborted:
		return commitSentence(e)
	case history.Joining, history.Assigned, history.Revoked, history.Lost, history.Told, history.Left:
		return groupSentence(e)
	case history.MemberStarted, history.MemberReady, history.MemberStopping, history.MemberFrozen, history.MemberThawed, history.MemberEnded:
		return lifeSentence(e)
	case history.FaultBegan, history.FaultEnded, history.Phase:
		return runSentence(e)
	}
	return seenSentence(e)
}

func (t *storyteller) attempt(pos int32, e *history.Event) string {
	message, who := e.Message, e.Who()
	if ref := t.at(e.Ref); ref != none && message == "" {
		message, who = t.events[ref].Message, t.events[ref].Who()
	}
	switch e.Kind {
	case history.EffectStarted:
		return fmt.Sprintf("%s began %s", who, message)
	case history.EffectRefused:
		return fmt.Sprintf("%s was refused %s: %s", who, message, cmp.Or(e.Error, "no reason given"))
	case history.EffectDropped:
		return fmt.Sprintf("what %s began on %s came to nothing", who, message)
	}
	if e.Repeat > 0 || t.doneBefore(message, pos) {
		return fmt.Sprintf("%s did %s again", who, message)
	}
	return fmt.Sprintf("%s did %s", who, message)
}

// doneBefore tells whether an earlier attempt at the message was done.
func (t *storyteller) doneBefore(message string, pos int32) bool {
	return slices.ContainsFunc(t.attempts[message], func(p int32) bool { return p < pos && t.events[p].Kind == history.EffectDone })
}

func commitSentence(e *history.Event) string {
	switch {
	case e.Kind == history.CommitRequested:
		return fmt.Sprintf("%s sent its commit of %d", e.Who(), e.Offset)
	case e.Kind == history.CommitSealed:
		return fmt.Sprintf("%s asked to commit its transaction with %d", e.Who(), e.Offset)
	case e.Kind == history.Aborted:
		return fmt.Sprintf("a transaction of %s was aborted", e.Who())
	case e.Outcome == history.Refused:
		return fmt.Sprintf("%s committed %d, refused: %s", e.Who(), e.Offset, e.Error)
	}
	return fmt.Sprintf("%s committed %d", e.Who(), e.Offset)
}

func groupSentence(e *history.Event) string {
	switch e.Kind {
	case history.Assigned:
		return fmt.Sprintf("%s was given partition %d", e.Who(), e.Partition)
	case history.Revoked:
		return fmt.Sprintf("%s gave partition %d up", e.Who(), e.Partition)
	case history.Lost:
		return fmt.Sprintf("%s lost partition %d", e.Who(), e.Partition)
	case history.Told:
		return fmt.Sprintf("%s was told %s", e.Who(), e.Error)
	case history.Joining:
		return e.Who() + " asked to join the group"
	}
	if e.Note == "evicted" {
		return e.Who() + " was put out of the group"
	}
	return e.Who() + " left the group"
}

func lifeSentence(e *history.Event) string {
	switch e.Kind {
	case history.MemberStarted:
		return e.Who() + " was started"
	case history.MemberReady:
		return e.Who() + " was ready"
	case history.MemberStopping:
		return e.Who() + " was asked to stop"
	case history.MemberFrozen:
		return e.Who() + " was frozen"
	case history.MemberThawed:
		return e.Who() + " was thawed"
	}
	switch {
	case e.Note == "deadline":
		return e.Who() + " was killed, since it had not stopped in time"
	case e.Outcome == history.Killed:
		return e.Who() + " was killed"
	case e.Outcome == history.Stopped:
		return fmt.Sprintf("%s stopped, %s", e.Who(), cmp.Or(bounded(e.Error), "exit status 0"))
	}
	return fmt.Sprintf("%s exited on its own, %s", e.Who(), cmp.Or(bounded(e.Error), "exit status 0"))
}

func runSentence(e *history.Event) string {
	on := ""
	if e.Member != "" {
		on = " on " + e.Member
	}
	switch {
	case e.Kind == history.Phase && e.Note == history.PhaseDrained:
		return "everything was committed"
	case e.Kind == history.Phase:
		return "the phase " + bounded(e.Note) + " began"
	case e.Kind == history.FaultBegan:
		return "the fault " + e.Fault + on + " began"
	}
	return fmt.Sprintf("the fault %s%s %s: %s", e.Fault, on, e.Outcome, bounded(e.Note))
}

// seenSentence tells what was produced and what observers read.
func seenSentence(e *history.Event) string {
	switch e.Kind {
	case history.Produced:
		if e.Outcome != history.Acked {
			return fmt.Sprintf("%s was sent, its produce ended as %s", e.Message, e.Outcome)
		}
		return fmt.Sprintf("%s was produced at offset %d of partition %d", e.Message, e.Offset, e.Partition)
	case history.Logged:
		return fmt.Sprintf("%s was found at offset %d of partition %d", e.Message, e.Offset, e.Partition)
	case history.DeadLettered:
		return fmt.Sprintf("a dead letter of %s was seen", cmp.Or(e.Message, "no known record"))
	case history.Output:
		return fmt.Sprintf("an output of %s was seen", cmp.Or(e.Message, "no known record"))
	case history.EffectUnmatched:
		return "an effect that belongs to no record: " + bounded(e.Note)
	case history.Fetched:
		return fmt.Sprintf("%s asked for partition %d from %d on", e.Who(), e.Partition, e.Offset)
	case history.Lag:
		return fmt.Sprintf("partition %d was committed up to %d of %d", e.Partition, e.Offset, e.End)
	case history.LagReported:
		return fmt.Sprintf("%s reported a lag of %d for partition %d", e.Who(), e.Offset, e.Partition)
	case history.Scraped:
		return fmt.Sprintf("the metrics of %s were read", e.Who())
	}
	return string(e.Kind)
}
