package check

import (
	"fmt"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

var truthfulLag = Check{
	Name: "truthful-lag",
	Doc: `What a member says of its own lag is true: end of the log minus committed offset, for the partitions that it owns and no others.

    committed     m1 orders/0 40 accepted, at 10.0 s
    lag           orders/0 committed 40, end 90, at 10.1 s
    revoked       m1 orders/0, at 10.2 s
    assigned      m2 orders/0, at 10.4 s
    lag-reported  m1 orders/0 50, at 18.0 s

The partition is not m1's any more, and whoever adds the lags up counts it twice, for ever: once moving and once not.

The metric (lag-metric) is read from each live member about every 500 ms, at the address that it was told (KSIM_METRICS_ADDR). What it shows may be
as old as lag-window (5 s where nothing else is promised): it is true if it lies between the least and the greatest lag that end and commits of that time allow, each
taken by itself, up to 1 s into the future for records whose produce was not answered yet. While a fault of this member, or of none
in particular, lasts, and until lag-window after it, what it shows may be as old as that fault: it may be cut off from the brokers. Not judged are values of a member
that was frozen within the time, and NaN, which says that it does not know.

*Violated*, where a lag metric is promised, by a series of a partition that the member gave up, or learned the loss of (it was told, or joined anew), longer ago than
lag-window; by a lag of 0 while there was something to do all the time; and by any other value that was true at no moment of that time. What is
wrong is told once, until it is right again. *Unknown* when the metrics of no member could be read, when there was no such series, and when none was there to be judged.`,
	Judge: judgeTruthfulLag,
}

// produceSlack is how much later than the broker the harness may learn that a record is in the log.
const produceSlack = time.Second

func judgeTruthfulLag(f *Facts) Result {
	r := held(f.Header.Promises.LagMetric != "")
	l := newLagJudge(f)
	if r.Promised || f.has(history.LagReported) {
		l.learnEnds()
		for i := range f.events {
			l.look(int32(i), &r)
		}
	}
	r.Figures["reports"], r.Figures["judged"], r.Figures["stale"], r.Figures["wrong"] = float64(l.reports), float64(l.judged), float64(l.stale), float64(l.wrong)
	switch {
	case !r.Promised:
	case l.reports == 0 && l.read > 0:
		r.unknown("the metrics of the members show no series %s for the topic: is it named otherwise (lag-metric), or its labels?", f.Header.Promises.LagMetric)
	case l.reports == 0:
		r.unknown("the metrics of no member could be read%s: does the subject serve them at KSIM_METRICS_ADDR?", l.failure)
	case l.judged == 0:
		r.unknown("no lag was reported at a time when it could be judged")
	}
	return r.conclude("untruthful", noun{"untrue report of lag", "untrue reports of lag"},
		"%s of lag, each true within %s", num(l.judged, "report", "reports"), l.window)
}

// sample is a value that was true from a time on.
type sample struct {
	at    time.Duration
	value int64
}

// lagSeat is what a life has, and knows to have, of a partition.
type lagSeat struct {
	owned    bool
	lost     int32         // position of the loss, none if it was never lost
	told     bool          // it knows of the loss
	knewAt   time.Duration // since when
	complain string        // what was wrong with its last report
}

// trouble is a fault, of one member or of none in particular.
type trouble struct {
	seq          int64
	member       string
	began, ended time.Duration
	over         bool
}

// lagJudge goes through the history and keeps what is true of each partition.
type lagJudge struct {
	*Facts
	window        time.Duration
	ends, commits map[int32][]sample
	seats         map[string]map[int32]*lagSeat // by life and partition
	thawed        map[string]time.Duration
	frozen        map[string]bool
	faults        []trouble
	failure       string

	reports, judged, stale, wrong, read int
}

func newLagJudge(f *Facts) *lagJudge {
	l := &lagJudge{
		Facts: f, window: f.Header.Promises.LagWindow, ends: map[int32][]sample{}, commits: map[int32][]sample{},
		seats: map[string]map[int32]*lagSeat{}, thawed: map[string]time.Duration{}, frozen: map[string]bool{},
	}
	if l.window <= 0 {
		l.window = history.DefaultLagWindow
	}
	return l
}

// learnEnds notes where partitions ended and when. Ends are looked up into the future too, so they are
// known beforehand.
func (l *lagJudge) learnEnds() {
	f := l.Facts
	for i := range f.events {
		e := &f.events[i]
		switch {
		case !f.mine(e.Topic):
		case (e.Kind == history.Produced && e.Outcome == history.Acked || e.Kind == history.Logged) && e.Offset >= 0:
			l.grow(e.Partition, e.At, e.Offset+1)
		case e.Kind == history.Lag:
			l.grow(e.Partition, e.At, e.End)
		}
	}
}

// has tells whether the history has an event of a kind.
func (f *Facts) has(kind history.Kind) bool {
	for i := range f.events { // not by value: an event is large
		if f.events[i].Kind == kind {
			return true
		}
	}
	return false
}

func (l *lagJudge) grow(part int32, at time.Duration, end int64) {
	have := l.ends[part]
	if n := len(have); n == 0 || have[n-1].value < end {
		l.ends[part] = append(have, sample{at, end})
	}
}

func (l *lagJudge) seat(e *history.Event) *lagSeat {
	of := l.seats[e.Who()]
	if of == nil {
		of = map[int32]*lagSeat{}
		l.seats[e.Who()] = of
	}
	if of[e.Partition] == nil {
		of[e.Partition] = &lagSeat{lost: none}
	}
	return of[e.Partition]
}

// look takes one event in.
func (l *lagJudge) look(pos int32, r *Result) {
	e := &l.events[pos]
	switch e.Kind {
	case history.Committed:
		if e.Outcome == history.Accepted && l.mine(e.Topic) {
			l.commits[e.Partition] = append(l.commits[e.Partition], sample{e.At, e.Offset})
		}
	case history.Lag:
		if e.Offset >= 0 && l.mine(e.Topic) {
			l.commits[e.Partition] = append(l.commits[e.Partition], sample{e.At, e.Offset})
		}
	case history.Assigned, history.Revoked, history.Lost:
		if l.mine(e.Topic) {
			s := l.seat(e)
			s.owned = e.Kind == history.Assigned
			if !s.owned {
				s.lost, s.told, s.knewAt = pos, e.Kind == history.Revoked, e.At
			}
		}
	case history.Told, history.Joining:
		for _, s := range l.seats[e.Who()] {
			if !s.owned && !s.told {
				s.told, s.knewAt = true, e.At
			}
		}
	case history.MemberFrozen:
		l.frozen[e.Who()] = true
	case history.MemberThawed:
		l.frozen[e.Who()], l.thawed[e.Who()] = false, e.At
	case history.FaultBegan:
		l.faults = append(l.faults, trouble{seq: e.Seq, member: e.Member, began: e.At})
	case history.FaultEnded:
		for i := range l.faults {
			if l.faults[i].seq == e.Ref {
				l.faults[i].ended, l.faults[i].over = e.At, true
			}
		}
	case history.Scraped:
		if e.Error == "" {
			l.read++
		} else {
			l.failure = " (" + bounded(e.Error) + ")"
		}
	case history.LagReported:
		if l.mine(e.Topic) {
			l.report(pos, e, r)
		}
	}
}

// report judges one report.
func (l *lagJudge) report(pos int32, e *history.Event, r *Result) {
	l.reports++
	if e.Offset < 0 {
		return // no number: it says that it does not know
	}
	s := l.seat(e)
	what, at := "", none
	since := l.since(e)
	thawed, wasFrozen := l.thawed[e.Who()]
	switch {
	case !s.owned && s.lost != none && s.told && s.knewAt < since:
		l.judged++
		what, at = fmt.Sprintf("%s reports a lag of %d for a partition that it knows to be no longer its own", e.Who(), e.Offset), s.lost
		if s.complain == "" {
			l.stale++
		}
	case !s.owned, l.frozen[e.Who()], wasFrozen && thawed >= since:
		return // not to be judged
	default:
		l.judged++
		low, high := l.possible(e)
		if e.Offset >= low && e.Offset <= high {
			break
		}
		what = fmt.Sprintf("%s reports a lag of %d, which was at no time of the last %s less than %d or more than %d", e.Who(), e.Offset, l.window, low, high)
		if e.Offset == 0 {
			what = fmt.Sprintf("%s reports a lag of 0, though it was at least %d all of the last %s", e.Who(), low, l.window)
		}
		if s.complain == "" {
			l.wrong++
		}
	}
	if what != "" && s.complain == "" {
		r.violate(func() Evidence {
			return Evidence{What: what, Where: fmt.Sprintf("%s/%d", l.Header.Topic, e.Partition)}.by(l.Facts, pos).with(l.Facts, at)
		})
	}
	s.complain = what
}

// oldest is how old the value of a report may be, in view of faults.
func (l *lagJudge) oldest(e *history.Event) time.Duration {
	base := l.since(e)
	since := base
	for _, t := range l.faults {
		if (t.member == "" || t.member == e.Member) && (!t.over || t.ended >= base) {
			since = min(since, t.began-l.window)
		}
	}
	return since
}

// since is from when on what a report shows may be where all is well.
func (l *lagJudge) since(e *history.Event) time.Duration {
	asked := e.At
	if e.Due > 0 {
		asked = min(asked, e.Due)
	}
	return asked - l.window
}

// possible returns the least and the greatest lag that end and commits of the time of a
// report allow, each taken by itself.
func (l *lagJudge) possible(e *history.Event) (low, high int64) {
	since := l.oldest(e)
	leastEnd, mostEnd := during(l.ends[e.Partition], since, e.At+produceSlack)
	leastCommit, mostCommit := during(l.commits[e.Partition], since, e.At)
	return max(leastEnd-mostCommit, 0), max(mostEnd-leastCommit, 0)
}

// during returns the least and the greatest value that was true between two times; 0 before the first sample.
func during(samples []sample, from, to time.Duration) (least, most int64) {
	first := true
	take := func(v int64) {
		if first {
			least, most, first = v, v, false
		}
		least, most = min(least, v), max(most, v)
	}
	for i := len(samples) - 1; i >= 0; i-- {
		switch s := samples[i]; {
		case s.at > to:
		case s.at > from:
			take(s.value)
		default:
			take(s.value)
			return least, most
		}
	}
	take(0)
	return least, most
}
