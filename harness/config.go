package harness

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/observe"
	"github.com/ksim-dev/ksim/harness/subject"
)

// Config is what a run of scenarios has in common. Start from DefaultConfig.
type Config struct {
	RunID   string // in names of topics, groups and containers
	Dir     string // each scenario gets a directory below it
	Kafka   Provider
	Subject subject.Subject
	// Registry returns the base URL, in Confluent's API, of a Schema Registry for the scenarios that have
	// schemas; its error is why these are not run. Nil: there is none.
	Registry func() (url string, err error)

	Members    int
	Partitions int32
	Filled     int32 // partitions that get messages, the first ones; 0 is all
	BatchSize  int
	BatchWait  time.Duration // how long the subject waits for a batch to fill; 0 is not at all
	Messages   int
	Rate       float64 // messages/s, open loop
	Size       int     // bytes of a value
	Keys       int
	Zipf       float64 // exponent of the key distribution; 0 is uniform
	Template   string  // of a value, see workload.Spec; "" is JSON with id, key, seq and ts
	Seed       int64

	Protocol string // classic or consumer (KIP-848)
	// Assignor is given to the subject as KSIM_ASSIGNOR: cooperative-sticky or eager, in
	// classic groups; "" leaves the choice to the subject. With eager, IncrementalRebalance
	// is not promised: every rebalance takes everything.
	Assignor string
	// Static gives every member a group.instance.id (KSIM_INSTANCE_ID) that it keeps
	// over restarts: static membership, KIP-345.
	Static          bool
	SessionTimeout  time.Duration
	MaxPollInterval time.Duration
	MaxAttempts     int
	Promises        history.Promises
	// Evidence is what shows that a record was processed: history.EvidenceEffects, -Commits or -Outputs.
	Evidence string
	// Checks names the checks to judge by; none are all of them.
	Checks []string
	// Outputs reads at the end what can be seen in the store that the subject
	// writes its outputs to. Where exactly-once is promised, or outputs are the evidence, and this is nil, there is an
	// output topic (KSIM_OUTPUT_TOPIC), and that is read.
	Outputs observe.Outputs
	// LagTopicLabel and LagPartitionLabel are the labels of Promises.LagMetric; "" is topic and partition.
	LagTopicLabel     string
	LagPartitionLabel string

	Extra       map[string]string // more variables for the subject's environment
	TopicPrefix string            // of every topic that is created

	AutoCommit   time.Duration // longest auto-commit interval to outwait, see fault.Env
	ReadyBound   time.Duration // for members to form a group
	FaultBound   time.Duration // for one fault
	StallBound   time.Duration // without progress while draining
	DrainBound   time.Duration // for draining as a whole
	StopDeadline time.Duration // from SIGTERM to SIGKILL
	MaxRestarts  int           // of one member that exits on its own

	Parallel int // scenarios side by side
	// Progress is told when a scenario ends, from one goroutine at a time; may be nil.
	Progress func(Result)
}

// DefaultConfig is what ksim uses where nothing else is asked. Subject, Kafka,
// Dir and RunID have no default.
func DefaultConfig() Config {
	return Config{
		Members: 3, Partitions: 4, BatchSize: 20, Messages: 600, Rate: 300, Size: 256, Keys: 40, Seed: 1,
		Protocol: "classic", SessionTimeout: 6 * time.Second, MaxPollInterval: 30 * time.Second, MaxAttempts: 5,
		Promises: history.DefaultPromises(), TopicPrefix: "ksim-",
		AutoCommit: 5 * time.Second, ReadyBound: 45 * time.Second, FaultBound: 90 * time.Second,
		StallBound: 20 * time.Second, DrainBound: 3 * time.Minute, StopDeadline: 25 * time.Second, MaxRestarts: 5, Parallel: 6,
	}
}

// Validate returns everything that is wrong with c, joined.
func (c Config) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.RunID == "", "the run has no id")
	bad(c.Dir == "", "the run has no directory")
	bad(c.Kafka == nil, "the run has no Kafka")
	bad(c.Subject == nil, "the run has no subject")
	return errors.Join(append(errs, c.sizes()...)...)
}

// sizes returns what is wrong with what a scenario can change.
func (c Config) sizes() (errs []error) {
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Members < 1 || c.Members > 64, "members is %d: choose 1 to 64", c.Members)
	bad(c.Partitions < 1 || c.Partitions > 1024, "partitions is %d: choose 1 to 1024", c.Partitions)
	bad(c.BatchSize < 1, "batch size is %d: choose 1 or more", c.BatchSize)
	bad(c.Messages < 50, "messages is %d: with fewer than 50 there is too little to see", c.Messages)
	bad(c.Keys < 1, "keys is %d: choose 1 or more", c.Keys)
	bad(c.Size < 100 || c.Size > 1<<20-1<<12, "size is %d bytes: choose 100 to %d, what a broker takes by default", c.Size, 1<<20-1<<12)
	bad(c.MaxAttempts < 0, "max attempts is %d: choose 0 or more", c.MaxAttempts)
	bad(c.Rate <= 0, "rate is %g: choose more than 0 messages/s", c.Rate)
	bad(c.Parallel < 1, "parallel is %d: choose 1 or more", c.Parallel)
	bad(c.Protocol != "classic" && c.Protocol != "consumer", "protocol is %q: choose classic or consumer", c.Protocol)
	bad(c.SessionTimeout < time.Second, "session timeout is %s: choose 1s or more", c.SessionTimeout)
	bad(c.MaxPollInterval < c.SessionTimeout, "max poll interval %s is below the session timeout %s", c.MaxPollInterval, c.SessionTimeout)
	bad(!slices.Contains([]string{history.EvidenceEffects, history.EvidenceCommits, history.EvidenceOutputs}, c.Evidence),
		"evidence is %q: choose effects, commits or outputs", c.Evidence)
	for _, name := range c.Checks {
		bad(!check.Known(name), "there is no check %q; the checks are %s", name, strings.Join(check.Names(), ", "))
	}
	return errs
}

// Check returns everything that is wrong with a scenario under this configuration, joined.
func (c Config) Check(s Scenario) error {
	c = c.with(s)
	errs := c.sizes()
	mix := c.workload("m", c.Messages)
	mix.Mix = s.Mix
	errs = append(errs, mix.Validate())
	inPhases := 0
	for _, p := range s.Phases {
		inPhases += p.Messages
		if slices.Contains(history.Phases(), p.Name) || p.Name == "" {
			errs = append(errs, fmt.Errorf("phase %q: give it a name of its own; a run has the phases %s", p.Name, strings.Join(history.Phases(), ", ")))
		}
		if p.Messages < 0 || p.Rate < 0 {
			errs = append(errs, fmt.Errorf("phase %s: neither messages nor rate can be negative", p.Name))
		}
	}
	if inPhases > c.Messages {
		errs = append(errs, fmt.Errorf("the phases send %d messages, and there are %d", inPhases, c.Messages))
	}
	if len(s.Phases) > 0 && len(s.Faults) > 0 {
		errs = append(errs, errors.New("faults stand beside phases: put them into a phase"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	return nil
}

// with lays what the scenario sets over what the run says.
func (c Config) with(s Scenario) Config {
	set := func(dst *int, v int) {
		if v > 0 {
			*dst = v
		}
	}
	set(&c.Messages, s.Messages)
	set(&c.Keys, s.Keys)
	if s.Zipf > 0 {
		c.Zipf = s.Zipf
	}
	set(&c.Members, s.Members)
	set(&c.Size, s.Size)
	c.Rate, c.Template, c.Protocol = cmp.Or(s.Rate, c.Rate), cmp.Or(s.Template, c.Template), cmp.Or(s.Protocol, c.Protocol)
	c.Assignor = cmp.Or(s.Assignor, c.Assignor)
	c.Static = c.Static || s.Static
	if c.Assignor == "eager" {
		c.Promises.IncrementalRebalance = false // by its nature
	}
	if s.Promise != nil {
		s.Promise(&c.Promises)
	}
	if s.Partitions > 0 {
		c.Partitions = s.Partitions
	}
	if s.Filled > 0 {
		c.Filled = min(s.Filled, c.Partitions)
	}
	for _, u := range s.Unkeepable {
		_ = c.Promises.Waive(u.Promise) // a name that is wrong fails the test of the catalogue
	}
	if s.SessionTimeout > 0 {
		c.SessionTimeout = s.SessionTimeout
	}
	if s.MaxPollInterval > 0 {
		c.MaxPollInterval = s.MaxPollInterval
	}
	c.Promises.Drain = c.Promises.Drain && !s.Undrained
	if len(s.Extra) > 0 {
		extra := maps.Clone(s.Extra)
		for name, value := range c.Extra {
			if _, set := extra[name]; !set {
				extra[name] = value
			}
		}
		c.Extra = extra
	}
	return c
}
