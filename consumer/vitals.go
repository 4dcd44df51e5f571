package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// vitals is what a consumer knows of its own state, for Status and Health. Its
// zero value is that of a consumer that has not run yet.
type vitals struct {
	calls calls

	mu    sync.Mutex
	state State
	since time.Time // when state began
	err   error
	live  live // the session at work; nil if there is none

	looping  bool      // the loops of the session are meant to turn
	polled   time.Time // when the poll loop last turned
	turned   time.Time // when the commit loop last turned; zero if there is none
	sending  time.Time // since when a commit waits for its answer; zero: none does
	failing  time.Time // since when commits fail; zero: they do not
	failure  error
	answered time.Time // when a broker last answered anything
	callback time.Time // since when a rebalance callback runs; zero: none does
	moving   time.Time // since when the group rebalances; zero: it does not

	// Of a share consumer.
	beat    time.Duration // between heartbeats, as the broker wants it; 0 if not known
	missing time.Time     // since when heartbeats are refused; zero: they are not
	missed  error
	refused map[topicPartition]spell // whose last acknowledgements failed
}

// live is what Status needs of a session.
type live interface {
	all() []*partition
	identity() (member string, generation int32)
}

// turn is how often a loop turns at least, to show that it can.
func turn(healthTimeout time.Duration) time.Duration { return min(time.Second, healthTimeout/4) }

// current returns the state; called under the mutex.
func (v *vitals) current() State {
	if v.state == "" {
		return StateNew
	}
	return v.state
}

// become changes the state; called under the mutex.
func (v *vitals) become(state State, err error) {
	v.err = err
	if v.state != state {
		v.state, v.since = state, time.Now()
	}
}

// begin: Run was called.
func (v *vitals) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.become(StateJoining, nil)
	v.answered = time.Now()
}

// end: Run returns.
func (v *vitals) end(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.live, v.looping = nil, false
	v.become(StateStopped, nil)
	if err != nil {
		v.become(StateFailed, err)
	}
}

// enter: a session starts its loops.
func (v *vitals) enter(s live) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.live, v.looping = s, true
	v.polled, v.turned = time.Now(), time.Time{}
	v.sending, v.callback, v.moving = time.Time{}, time.Time{}, time.Time{}
}

// leaving: the session ends by cause; another one follows if it is a rejoinError.
func (v *vitals) leaving(cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looping = false
	var again *rejoinError
	if errors.As(cause, &again) {
		v.become(StateJoining, cause)
		return
	}
	v.become(StateStopping, cause)
}

// exit: the session is over.
func (v *vitals) exit() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.live = nil
}

// joined: a generation has begun with this member in it. It tells how long the
// rebalance before it took.
func (v *vitals) joined() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state == StateJoining {
		v.become(StateRunning, nil)
	}
	took := time.Duration(0)
	if !v.moving.IsZero() {
		took = time.Since(v.moving)
	}
	v.moving, v.missing = time.Time{}, time.Time{}
	if errors.Is(v.failure, errHeldUp) { // that was the rebalance's fault
		v.failing, v.failure = time.Time{}, nil
	}
	return took
}

// lost: the group goes on without this member, which will join again.
func (v *vitals) lost(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state == StateRunning {
		v.become(StateJoining, err)
	}
}

// rebalancing: this member has asked to join, or gives partitions up.
func (v *vitals) rebalancing() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.moving.IsZero() {
		v.moving = time.Now()
	}
}

// callbacks notes that a rebalance callback runs; the poll loop stands still
// meanwhile. What it returns notes the end.
func (v *vitals) callbacks() (end func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.callback = time.Now()
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.callback = time.Time{}
		v.polled = time.Now() // from here on it can turn again
	}
}

func (v *vitals) pollTurned() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.polled = time.Now()
}

func (v *vitals) commitTurned() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.turned = time.Now()
}

// commitSent notes that a commit waits for its answer. What it returns notes the
// answer, and tells how long it took.
func (v *vitals) commitSent() (answered func() time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	began := time.Now()
	v.sending = began
	return func() time.Duration {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.sending = time.Time{}
		return time.Since(began)
	}
}

// commitEnded: all that was done is committed, or err tells why not.
func (v *vitals) commitEnded(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failure = err
	switch {
	case err == nil:
		v.failing = time.Time{}
	case v.failing.IsZero():
		v.failing = time.Now()
	}
}

// pulse watches the Kafka client of a session: whether brokers answer, and when
// it asks to join.
type pulse struct{ v *vitals }

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (p pulse) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	if e2e.Err() != nil {
		return
	}
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	p.v.answered = time.Now()
}

// OnBrokerWrite implements kgo.HookBrokerWrite. The client tells nobody that a
// rebalance has begun, but it asks to join then; with ProtocolConsumer it does
// not, and a rebalance begins with what has to be given up.
func (p pulse) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil && key == int16(kmsg.JoinGroup) {
		p.v.rebalancing()
	}
}

// interim tells whether a flush ended without a word about whether commits work:
// the partitions were lost, or the session ended.
func interim(err error) bool {
	return errors.Is(err, errOutdated) || errors.Is(err, context.Canceled) || errors.Is(err, errShutdown)
}
