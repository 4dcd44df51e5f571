package tune

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Recommendation is the outcome of a sweep.
type Recommendation struct {
	// Setting is what to run with; nil if it cannot be told.
	Setting *Setting `json:"setting,omitempty"`
	// CannotTell is true where a setting would be a guess. Reason says why, and Advice what to do.
	CannotTell bool   `json:"cannot_tell"`
	Reason     string `json:"reason,omitempty"`
	Advice     string `json:"advice,omitempty"`
	// Fallback keeps the SLO for sure, though it cannot be told whether another setting is to be preferred.
	Fallback *Setting `json:"fallback,omitempty"`
	Sentence string   `json:"sentence"` // all of it, for people

	Confidence float64 `json:"confidence"` // of each interval, 0 to 1
	Trials     int     `json:"trials"`     // valid ones of Setting
	// RunnersUp keep the SLO too, and cannot be told apart from Setting in throughput, p99 or records reprocessed.
	RunnersUp []Setting `json:"runners_up,omitempty"`
	Changes   []Change  `json:"changes,omitempty"`  // the next bounds that would make it another setting
	Excluded  []Ruling  `json:"excluded,omitempty"` // why each setting that does not keep the SLO for sure is out
}

// Ruling is a setting and what is said of it.
type Ruling struct {
	Setting Setting `json:"setting"`
	Why     string  `json:"why"`
}

// String is the ruling as a sentence.
func (r Ruling) String() string { return capital(r.Setting.String()) + ": " + r.Why }

// Recommend picks the setting to run with: of those that keep the SLO at 95 % confidence and that no other
// dominates, the one with the highest throughput. Those that cannot be told apart in that are ordered by
// their blast radius, then by batch size, wait and concurrency. If the trials do not decide it, it says so: also if the choice
// hangs on two settings whose intervals overlap though the test tells them apart, since a second sweep might choose the other.
func Recommend(points []Point, slo SLO) Recommendation {
	t := newTable(points)
	c := t.choose(slo)
	r := Recommendation{Confidence: Confidence, Excluded: t.excluded(c)}
	if !c.sure() {
		r.CannotTell = true
		r.Reason, r.Advice = t.unclear(c)
		r.Sentence = "Cannot tell: " + r.Reason + ". " + r.Advice
		if c.picked >= 0 {
			s := t.points[c.picked].Setting
			r.Fallback = &s
			r.Sentence += fmt.Sprintf(" Until then %s keeps the SLO.", t.name(c.picked))
		}
		return r
	}
	p := t.points[c.picked]
	r.Setting, r.Trials = &p.Setting, p.Throughput.N
	for _, i := range t.alike(c) {
		r.RunnersUp = append(r.RunnersUp, t.points[i].Setting)
	}
	r.Changes = t.changes(slo, c)
	r.Sentence = t.sentence(p, slo)
	return r
}

func (t *table) excluded(c choice) (out []Ruling) {
	for i, p := range t.points {
		switch {
		case p.Valid == 0 && c.judged[i].verdict != breaks:
			out = append(out, Ruling{p.Setting, p.unmeasured()})
		case c.judged[i].verdict != keeps:
			out = append(out, Ruling{p.Setting, c.judged[i].why})
		}
	}
	return out
}

// unclear says why nothing can be recommended, and what to do.
func (t *table) unclear(c choice) (reason, advice string) {
	switch {
	case len(t.points) == 0:
		return "no setting was measured", "Make a sweep first."
	case len(c.rivals) > 0:
		i := c.rivals[0]
		return fmt.Sprintf("%s might be preferred to %s, but whether it keeps the SLO is open: %s", t.name(i), t.name(c.picked), c.judged[i].why), t.more(c.rivals)
	case c.close >= 0:
		return t.tight(c.picked, c.close), "Make more trials."
	case len(c.open) > 0:
		i := c.open[0]
		return fmt.Sprintf("no setting keeps the SLO for sure. With %s it is open: %s", t.name(i), c.judged[i].why), t.more(c.open)
	}
	var broken []int
	for i := range t.points {
		if c.judged[i].verdict == breaks {
			broken = append(broken, i)
		}
	}
	if len(broken) == 0 {
		return "no setting has a valid trial. " + capital(t.name(0)) + ": " + t.points[0].unmeasured(), "Put right what made the trials invalid, and measure again."
	}
	i := slices.MinFunc(broken, func(i, j int) int { return cmp.Compare(c.judged[i].over, c.judged[j].over) })
	return fmt.Sprintf("no setting keeps the SLO. The closest is %s: %s", t.name(i), c.judged[i].why),
		"Allow more, offer a lower rate, or try other settings."
}

// tight says of two settings that both keep the SLO why it is open which is to be preferred.
func (t *table) tight(picked, other int) string {
	for _, m := range axes {
		if t.lenient.better[m][picked][other] != t.better[m][picked][other] || t.lenient.better[m][other][picked] != t.better[m][other][picked] {
			a, b := t.points[picked].Of(m), t.points[other].Of(m)
			return fmt.Sprintf("%s and %s are too close: %s and %s overlap, and yet they may differ (p=%.3f)", t.name(picked), t.name(other), spread(m, a), spread(m, b), test(a, b).P)
		}
	}
	return fmt.Sprintf("%s and %s are too close, compared with the others", t.name(picked), t.name(other))
}

// more is what to do where the trials do not decide.
func (t *table) more(open []int) string {
	few := slices.ContainsFunc(open, func(i int) bool { return t.points[i].Valid < NeedTrials })
	late := slices.ContainsFunc(open, func(i int) bool { return t.points[i].Behind > 0 })
	crashes := !slices.ContainsFunc(open, func(i int) bool { return t.points[i].Reprocessed.N > 0 })
	switch {
	case late:
		return "Make more trials, or offer a lower rate."
	case few:
		return fmt.Sprintf("Make more trials: at least %d valid ones of each setting.", NeedTrials)
	case crashes:
		return "Make more trials, with crashes if the records that one repeats are to be bounded."
	}
	return "Make more trials, or move the bound away from what was measured."
}

// sentence is the recommendation in one sentence.
func (t *table) sentence(p Point, slo SLO) string {
	var says []string
	for _, b := range slo.bounds(p) {
		switch {
		case b.metric == Throughput && slo.MinThroughput > 0, b.metric == P50, b.metric == P999:
			says = append(says, spread(b.metric, p.Of(b.metric))+" "+b.allowed())
		case b.metric == P99:
			says = append([]string{spread(P99, p.P99) + " " + b.allowed()}, says...)
		}
	}
	if slo.LatencyP99 == 0 {
		says = append([]string{spread(P99, p.P99)}, says...)
	}
	if p.Reprocessed.N > 0 {
		crash := "a crash repeats about " + records(p.Reprocessed.Median)
		if slo.MaxReprocessed > 0 {
			crash += fmt.Sprintf(" (%s to %s) of %d allowed", figure(p.Reprocessed.Low), figure(p.Reprocessed.High), slo.MaxReprocessed)
		}
		says = append(says, crash)
	}
	return fmt.Sprintf("Run with %s: %s; at %g %% confidence from %s.", t.long(p.Setting), strings.Join(says, ", "), 100*Confidence, count(p.Throughput.N, "trial"))
}
