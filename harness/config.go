package harness

import (
	"errors"
	"fmt"
	"maps"
	"time"

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
	// Static gives every member a group.instance.id (KSIM_INSTANCE_ID) that it keeps
	// over restarts: static membership, KIP-345.
	Static          bool
	SessionTimeout  time.Duration
	MaxPollInterval time.Duration
	MaxAttempts     int
	Promises        history.Promises
	// Outputs reads at the end what can be seen in the store that the subject
	// writes its outputs to. Where exactly-once is promised and this is nil, there is an
	// output topic (KSIM_OUTPUT_TOPIC), and that is read.
	Outputs     observe.Outputs
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
	return errors.Join(errs...)
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
	if s.Partitions > 0 {
		c.Partitions = s.Partitions
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
