package history

import (
	"fmt"
	"time"
)

// Format is the version of the file format that this package writes. A reader
// accepts this version and no other.
const Format = 1

// Header is the first line of a history: what ran, and what was promised.
type Header struct {
	Format   int       `json:"ksim_history"`
	Run      string    `json:"run"`      // id of the run
	Scenario string    `json:"scenario"` // name in the catalogue
	Kafka    string    `json:"kafka"`    // backend and version: "embedded (kfake …)", "containers 4.4.0"
	Seed     int64     `json:"seed"`
	Start    time.Time `json:"start"` // wall clock; Event.At counts from here

	Topic           string `json:"topic"`
	Group           string `json:"group"`
	DeadLetterTopic string `json:"dead_letter_topic,omitempty"`
	OutputTopic     string `json:"output_topic,omitempty"` // with exactly-once by transactions
	Partitions      int32  `json:"partitions"`
	Members         int    `json:"members"` // at the start
	BatchSize       int    `json:"batch_size"`

	SessionTimeout  time.Duration `json:"session_timeout"`   // nanoseconds
	MaxPollInterval time.Duration `json:"max_poll_interval"` // nanoseconds; the rebalance timeout
	// Protocol is the group protocol that was asked for: classic or consumer (KIP-848);
	// "" in histories that do not tell.
	Protocol string `json:"protocol,omitempty"`

	// Load is set for a load run: its messages and their effects are counted and not written down, so that there is nothing to judge.
	Load bool `json:"load,omitempty"`
	// Evidence is what shows that a record was processed: "" is effects at the sink.
	Evidence string `json:"evidence,omitempty"`
	// Checks names the checks that were asked for; none are all of them.
	Checks []string `json:"checks,omitempty"`

	Promises Promises `json:"promises"`
	// Waived says of promises that the subject makes, and that are not among Promises because no
	// consumer could keep them in this scenario, why that is so. By name, as in ksim.yaml.
	Waived map[string]string `json:"waived,omitempty"`
	// Faults names the faults that the scenario means to inject, so that a
	// checker knows a missing one from one that was never meant.
	Faults []string `json:"faults,omitempty"`
}

// What shows that a record was processed, where the subject does not post its effects to the sink.
const (
	EvidenceEffects = ""        // an effect at the sink
	EvidenceCommits = "commits" // a commit above it that was accepted: that it is over, not when or how
	EvidenceOutputs = "outputs" // an output of it that can be seen
)

// What a subject can promise about delivery, order and poison.
const (
	AtLeastOnce = "at-least-once"
	AtMostOnce  = "at-most-once"
	ExactlyOnce = "exactly-once"

	OrderNone      = "none"
	OrderPartition = "partition"
	OrderKey       = "key"

	IndependentPartitions = "partitions"
	IndependentKeys       = "keys"

	PoisonDeadLetter = "dead-letter"
	PoisonSkip       = "skip"
	PoisonStop       = "stop"

	ReadCommitted   = "read_committed"
	ReadUncommitted = "read_uncommitted"
)

// DefaultLagWindow is how old the lag that a member reports may be where nothing else is
// promised: a scrape interval of today, 15 s, is longer.
const DefaultLagWindow = 5 * time.Second

// Promises select the checks: what is not promised is counted and reported,
// never held against the subject. The zero value of a bound means: not promised.
type Promises struct {
	Delivery string `json:"delivery" values:"at-least-once|at-most-once|exactly-once"`
	Order    string `json:"order" values:"partition|key|none"`
	Poison   string `json:"poison" values:"dead-letter|skip|stop"`
	// GracefulStop: after SIGTERM the member drains, commits and leaves, and
	// nothing is processed again.
	GracefulStop bool `json:"graceful_stop"`
	// Drain: a revoked partition is finished and committed before it is given
	// up, so a voluntary rebalance repeats nothing.
	Drain bool `json:"drain,omitempty"`
	// FencedEffects: no effect at all after a loss, a zombie's included.
	FencedEffects bool `json:"fenced_effects,omitempty"`
	// MaxAttempts bounds the attempts at a record by one incarnation.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// MinBackoff is the least wait between two attempts, in nanoseconds.
	MinBackoff time.Duration `json:"min_backoff,omitempty"`
	// MaxReprocessed bounds the records repeated by one cause.
	MaxReprocessed int `json:"max_reprocessed,omitempty"`
	// DeadLetterHeaders names the convention for origin and reason that dead
	// letters carry: kip-1191, connect, spring; "" promises none.
	DeadLetterHeaders string `json:"dead_letter_headers,omitempty" values:"kip-1191|connect|spring"`
	// Recovery bounds the time from the last fault to lag zero, in nanoseconds.
	Recovery time.Duration `json:"recovery,omitempty"`
	// MaxAttemptsAcross bounds the attempts at a record by all members together, over
	// rebalances and restarts. An attempt that its member did not live to see the end of does not count.
	MaxAttemptsAcross int `json:"max_attempts_across,omitempty"`
	// MaxInFlight bounds the records that a member has asked for and not done, over all its partitions.
	MaxInFlight int `json:"max_in_flight,omitempty"`
	// IncrementalRebalance: what a member keeps over a rebalance it does not give up
	// for it, and goes on with (KIP-429, KIP-848).
	IncrementalRebalance bool `json:"incremental_rebalance,omitempty"`
	// RebalanceStall bounds the time in which nothing of a partition is done because it
	// changes hands, in nanoseconds.
	RebalanceStall time.Duration `json:"rebalance_stall,omitempty"`
	// Independent is what a slow or stuck record does not hold up: IndependentPartitions are the other
	// partitions of its member, IndependentKeys all other keys too.
	Independent string `json:"independent,omitempty" values:"partitions|keys"`
	// LagMetric is the Prometheus metric by which a member tells how far it is behind; "" for none.
	LagMetric string `json:"lag_metric,omitempty"`
	// LagWindow is how old what it tells may be, in nanoseconds; 0 is DefaultLagWindow.
	LagWindow time.Duration `json:"lag_window,omitempty"`
	// Isolation of reads, as Kafka calls it: with read_committed nothing is done of a
	// transaction that was aborted. read_uncommitted, or "", promises nothing; exactly-once
	// implies read_committed.
	Isolation string `json:"isolation,omitempty" values:"read_committed|read_uncommitted"`
}

// CommittedOnly tells whether the promise is to do nothing of aborted transactions.
func (p Promises) CommittedOnly() bool {
	return p.Isolation == ReadCommitted || p.Delivery == ExactlyOnce
}

// Waive takes one promise back, by its name in ksim.yaml: drain, recovery, max-reprocessed, graceful-stop.
func (p *Promises) Waive(name string) error {
	switch name {
	case "drain":
		p.Drain = false
	case "recovery":
		p.Recovery = 0
	case "max-reprocessed":
		p.MaxReprocessed = 0
	case "graceful-stop":
		p.GracefulStop = false
	case "incremental-rebalance":
		p.IncrementalRebalance = false
	case "lag-metric":
		p.LagMetric = ""
	default:
		return fmt.Errorf("the promise %q cannot be waived: drain, recovery, max-reprocessed, graceful-stop, incremental-rebalance and lag-metric can", name)
	}
	return nil
}

// DefaultPromises are those of a command that states none: what a sound
// consumer of thirty lines in any language keeps.
func DefaultPromises() Promises {
	return Promises{
		Delivery: AtLeastOnce, Order: OrderPartition, Poison: PoisonDeadLetter, GracefulStop: true,
	}
}
