package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/tap"
)

// Wire disturbs calls on their way between members and brokers while messages flow: it arms a rule
// in the tap, makes sure that it has hit, keeps it in force for as long as asked, and removes it.
// The zero value of a field means: any, or none.
type Wire struct {
	Target string // the member; "" is any
	// API is a name of Kafka's (Fetch, OffsetCommit…) or says what is done, whatever the protocol of the group:
	// commit (OffsetCommit, TxnOffsetCommit), join (JoinGroup, the first heartbeat of KIP-848), assignment (SyncGroup, the
	// heartbeat that brings one), group-heartbeat. "any" is every API.
	//
	// A commit counts only if it covers work that no earlier commit covered.
	API       string
	Direction string // request, before the broker has it, or response, after it did its work; "" is request
	// Action is error, cut, cut-half-open, hold, delay, throttle, quota, freeze or corrupt: see
	// the actions of package tap.
	Action string

	Error        string        // of error: NOT_COORDINATOR
	Delay        time.Duration // of delay
	Jitter       time.Duration // of delay: chosen from Delay-Jitter to Delay+Jitter
	Bytes        int           // of throttle: bytes/s
	ThrottleTime time.Duration // of quota
	Checksum     bool          // of corrupt: the checksum is damaged, and not a record

	Topic      string // workload, dead-letter or output; "" is any
	Partitions []int

	After       int     // matching calls that pass first
	Every       int     // acts on each so-manieth call
	Probability float64 // acts with this chance, 0 to 1; 0 is always
	Seed        int     // of the chance, and of jitter
	Times       int     // acts so often at most

	// Provoke makes a member send such calls once the rule is in force: restart (the target is stopped
	// and started again), join (a new member is started, which is the target where none is named). "" waits for them.
	Provoke string
	// Count is how many hits there must be: 0 is Times where that is given, else 1.
	Count int
	// The rule stays in force after that until all of this is over.
	Lasts     time.Duration
	Effects   int  // more effects that any members have done
	UntilLost bool // the group has given the partitions of the member that was hit to others
}

// Name implements Fault.
func (f Wire) Name() string { return "wire-" + f.Action }

// Doc implements Fault.
func (f Wire) Doc() string {
	what := map[string]string{
		"error":         "Calls are answered with an error code: in direction request in the broker's place, which never sees them; in direction response after the broker did what it was asked.",
		"cut":           "The connection is closed instead of passing a call on: a request before the broker has it, a response after the broker has done the work.",
		"cut-half-open": "The connection is closed on the member's side only; the broker is not told, as when a firewall forgets a connection.",
		"hold":          "Calls are held, with all that follows on their connections, and then go on.",
		"delay":         "Calls reach the other side late.",
		"throttle":      "Calls pass slowly, so many bytes a second.",
		"quota":         "Members are told that they exceed a quota (throttle_time_ms, KIP-219), and are not served until that time is over.",
		"freeze":        "At a call, the member is cut off from all brokers without a word, and then reaches them again.",
		"corrupt":       "A record batch is damaged, so that its CRC is wrong: what a member fetches, or what it produces.",
	}[f.Action]
	return what + " Which calls, how often and for how long is up to the scenario."
}

// Member implements Fault.
func (f Wire) Member() string { return f.Target }

// The names of what Wire can choose from.
const (
	topicWorkload   = "workload"
	topicDeadLetter = "dead-letter"
	topicOutput     = "output"

	provokeRestart = "restart"
	provokeJoin    = "join"
)

// doing is what a member does, by whichever API its group has for that.
type doing struct {
	keys  []kmsg.Key
	match func(tap.Call) bool
}

func doings() map[string]doing {
	return map[string]doing{
		"commit":          {keys: []kmsg.Key{kmsg.OffsetCommit, kmsg.TxnOffsetCommit}},
		"join":            {keys: []kmsg.Key{kmsg.JoinGroup, kmsg.ConsumerGroupHeartbeat}, match: func(c tap.Call) bool { return c.Joins }},
		"group-heartbeat": {keys: []kmsg.Key{kmsg.Heartbeat, kmsg.ConsumerGroupHeartbeat}, match: func(c tap.Call) bool { return !c.Joins }},
		"assignment": {keys: []kmsg.Key{kmsg.SyncGroup, kmsg.ConsumerGroupHeartbeat}, match: func(c tap.Call) bool {
			return c.Assigns || c.Direction == tap.Request && c.Key == kmsg.SyncGroup.Int16()
		}},
	}
}

// Validate returns everything that is wrong with the fault, joined.
func (f Wire) Validate() error {
	rule, err := f.rule()
	errs := []error{err}
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if err == nil {
		errs = append(errs, rule.Validate())
	}
	bad(!slices.Contains([]string{"", topicWorkload, topicDeadLetter, topicOutput}, f.Topic),
		"topic is %q: choose %s, %s or %s", f.Topic, topicWorkload, topicDeadLetter, topicOutput)
	bad(!slices.Contains([]string{"", provokeRestart, provokeJoin}, f.Provoke), "provoke is %q: choose %s or %s", f.Provoke, provokeRestart, provokeJoin)
	bad(f.Provoke == provokeRestart && f.Target == "", "a restart needs a target")
	bad(f.Count < 0, "count is %d: choose 0 or more", f.Count)
	bad(f.Times > 0 && f.Count > f.Times, "count is %d, and the rule acts %d times at most", f.Count, f.Times)
	bad(f.Lasts < 0, "lasts is %s: choose 0 or more", f.Lasts)
	bad(f.Effects < 0, "effects is %d: choose 0 or more", f.Effects)
	for _, x := range []struct {
		action, field string
		set           bool
	}{
		{"error", "error", f.Error != ""}, {"delay", "delay", f.Delay != 0}, {"delay", "jitter", f.Jitter != 0},
		{"throttle", "bytes", f.Bytes != 0}, {"quota", "throttle time", f.ThrottleTime != 0}, {"corrupt", "checksum", f.Checksum},
	} {
		bad(x.set && f.Action != x.action, "%s belongs to the action %s, and the action is %q", x.field, x.action, f.Action)
	}
	return errors.Join(errs...)
}

// rule is what the tap is asked to do; the topic has still the name that it has here.
func (f Wire) rule() (tap.Rule, error) {
	r := tap.Rule{
		Member: f.Target, Topic: f.Topic, After: f.After, Every: f.Every, Probability: f.Probability, Seed: int64(f.Seed), Times: f.Times,
	}
	for _, p := range f.Partitions {
		r.Partitions = append(r.Partitions, int32(p))
	}
	var errs []error
	var err error
	if d, ok := doings()[strings.ToLower(f.API)]; ok {
		r.Key, r.Match = d.keys[0].Int16(), d.match
		for _, k := range d.keys[1:] {
			r.Also = append(r.Also, k.Int16())
		}
	} else if r.Key, err = tap.ParseAPI(f.API); err != nil {
		errs = append(errs, err)
	}
	if f.Direction != "" {
		r.Direction, err = tap.ParseDirection(f.Direction)
		errs = append(errs, err)
	}
	r.Action, err = f.action()
	return r, errors.Join(append(errs, err)...)
}

func (f Wire) action() (tap.Action, error) {
	switch strings.ToLower(f.Action) {
	case "error":
		code, err := tap.ParseErrorCode(f.Error)
		return tap.Error{Code: code}, err
	case "delay":
		return tap.Delay{For: f.Delay, Jitter: f.Jitter}, nil
	case "throttle":
		return tap.Throttle{BytesPerSecond: f.Bytes}, nil
	case "quota":
		return tap.Quota{ThrottleTime: f.ThrottleTime}, nil
	case "corrupt":
		return tap.Corrupt{Checksum: f.Checksum}, nil
	}
	return tap.ParseAction(f.Action)
}

// topic is the name that a topic has in Kafka, "" if the scenario has none such.
func (f Wire) topic(h history.Header) string {
	return map[string]string{topicWorkload: h.Topic, topicDeadLetter: h.DeadLetterTopic, topicOutput: h.OutputTopic}[f.Topic]
}
