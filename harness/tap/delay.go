package tap

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Delay lets a call wait for a time before it goes on; how long is chosen evenly from For-Jitter to
// For+Jitter, by the Seed of the rule. It ends early when the rule is released
// or removed. Calls on one connection stay in order, so they wait one after the other.
type Delay struct {
	For, Jitter time.Duration
}

func (d Delay) act(f *flight) outcome {
	f.armed.announce(f.call)
	t := time.NewTimer(f.armed.shaken(d.For, d.Jitter))
	defer t.Stop()
	return f.wait(t.C)
}

// shaken chooses a time around another.
func (a *Armed) shaken(around, jitter time.Duration) time.Duration {
	if jitter <= 0 {
		return around
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return around - jitter + time.Duration(a.shake.Int64N(int64(2*jitter)+1))
}

func (d Delay) validate(_ Rule, bad func(bool, string, ...any)) {
	bad(d.For <= 0, "delay is %s: choose more than 0", d.For)
	bad(d.Jitter < 0 || d.Jitter > d.For, "jitter is %s: choose 0 to the delay, %s", d.Jitter, d.For)
}

// Throttle lets the bytes of a call through at a rate, as a slow link does. All calls that
// the rule acts on share it, over all connections. It ends when the rule is released or removed.
type Throttle struct {
	BytesPerSecond int
}

func (Throttle) act(f *flight) outcome {
	f.paces = append(f.paces, pacing{f.armed.pace, f.released})
	f.armed.announce(f.call)
	return forward
}

func (t Throttle) validate(_ Rule, bad func(bool, string, ...any)) {
	bad(t.BytesPerSecond < 1, "throttle is %d bytes/s: choose 1 or more", t.BytesPerSecond)
}

// pace is the clock of a slow link.
type pace struct {
	rate float64 // bytes/s
	mu   sync.Mutex
	free time.Time // when the link is next free
}

// book takes the link for n bytes and returns how long to wait until they have passed.
func (p *pace) book(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	return p.free.Sub(now)
}

// pacing is a call on a slow link.
type pacing struct {
	*pace
	released <-chan struct{}
}

// piece is how many bytes pass at a time: what takes a twentieth of a second.
func (p pacing) piece() int { return max(1, int(p.rate/20)) }

// pass waits until n bytes have had their time. It reports false if the connection has ended.
func (c *conn) pass(paces []pacing, n int) bool {
	for _, p := range paces {
		select {
		case <-p.released:
			continue
		default:
		}
		t := time.NewTimer(p.book(n))
		select {
		case <-t.C:
		case <-p.released:
		case <-c.closed:
		}
		t.Stop()
		select {
		case <-c.closed:
			return false
		default:
		}
	}
	return true
}

// slowest is the smallest piece of all paces, at most n.
func slowest(paces []pacing, n int) int {
	for _, p := range paces {
		n = min(n, p.piece())
	}
	return n
}

// Quota answers as a broker does whose quota the client has exceeded (KIP-219): at once, with
// throttle_time_ms set, and takes nothing more from the connection for that long.
// The time is rounded down to milliseconds. Versions without the field are answered as they are.
type Quota struct {
	ThrottleTime time.Duration
}

func (q Quota) act(f *flight) outcome {
	f.resp.(kmsg.SetThrottleResponse).SetThrottle(int32(q.ThrottleTime.Milliseconds()))
	f.changed, f.mute = true, max(f.mute, q.ThrottleTime)
	f.armed.announce(f.call)
	return forward
}

func (q Quota) applies(f *flight, _ selection) bool {
	if f.resp == nil {
		return false
	}
	_, ok := f.resp.(kmsg.SetThrottleResponse)
	return ok
}

func (q Quota) validate(r Rule, bad func(bool, string, ...any)) {
	bad(q.ThrottleTime < time.Millisecond, "throttle time is %s: choose 1ms or more", q.ThrottleTime)
	bad(r.Direction != Response, "a quota is told in responses: choose that direction")
	for _, key := range r.keys() {
		_, ok := kmsg.RequestForKey(key).ResponseKind().(kmsg.SetThrottleResponse)
		bad(!ok, "%s has no throttle time", APIName(key))
	}
}

func (d Delay) String() string {
	if d.Jitter == 0 {
		return fmt.Sprintf("%s %s", nameDelay, d.For)
	}
	return fmt.Sprintf("%s %s %s", nameDelay, d.For, d.Jitter)
}
func (t Throttle) String() string { return fmt.Sprintf("%s %d", nameThrottle, t.BytesPerSecond) }
func (q Quota) String() string    { return fmt.Sprintf("%s %s", nameQuota, q.ThrottleTime) }
