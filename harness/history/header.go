package history

import "time"

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

	Promises Promises `json:"promises"`
	// Faults names the faults that the scenario means to inject, so that a
	// checker knows a missing one from one that was never meant.
	Faults []string `json:"faults,omitempty"`
}

// What a subject can promise about delivery, order and poison.
const (
	AtLeastOnce = "at-least-once"
	AtMostOnce  = "at-most-once"
	ExactlyOnce = "exactly-once"

	OrderNone      = "none"
	OrderPartition = "partition"
	OrderKey       = "key"

	PoisonDeadLetter = "dead-letter"
	PoisonSkip       = "skip"
	PoisonStop       = "stop"
)

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
}

// DefaultPromises are those of a command that states none: what a sound
// consumer of thirty lines in any language keeps.
func DefaultPromises() Promises {
	return Promises{
		Delivery: AtLeastOnce, Order: OrderPartition, Poison: PoisonDeadLetter, GracefulStop: true,
	}
}
