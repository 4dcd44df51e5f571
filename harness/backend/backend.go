// Package backend says where Kafka is: in this process (embedded), in
// containers (package backend/containers), or at addresses the user gives
// (external). A backend starts or reaches Kafka, creates topics, and opens
// connections for the tap; what happens on them is not its business.
package backend

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka is a cluster that runs can be made on. All methods may be called by
// several goroutines.
type Kafka interface {
	// Name is embedded, containers or external.
	Name() string
	// Version says for a reader which broker this is, for instance "Apache Kafka 4.4.0".
	Version() string
	// Brokers are bootstrap addresses, host:port. They stay the same as long as
	// the backend lives, over restarts of brokers too.
	Brokers() []string
	// Dial opens a connection to the broker at addr (one of Brokers, or one that
	// Metadata named) on which Kafka requests can be sent at once: TLS and SASL
	// are done. The tap offers members plain listeners in front of it.
	Dial(ctx context.Context, addr string) (net.Conn, error)
	// ClientOpts are the options of a client of the harness itself, past the tap.
	ClientOpts() []kgo.Opt
	// Capabilities says what this Kafka can do; scenarios name what they need.
	Capabilities() Capabilities
	// CreateTopic creates a topic with the broker's default replication and
	// returns when every broker serves it.
	CreateTopic(ctx context.Context, name string, partitions int32, configs map[string]*string) error
	// DeleteTopic deletes a topic. A topic that is not there is no error.
	DeleteTopic(ctx context.Context, name string) error
	// Close gives everything back that the backend started. It may be called twice.
	Close() error
}

// Capabilities is what a Kafka can do. A zero field means no, or not known.
type Capabilities struct {
	// GroupMinSession is the shortest session timeout a classic group may ask
	// for (group.min.session.timeout.ms). Zero: not known (external).
	GroupMinSession time.Duration
	// ConsumerSession and ConsumerHeartbeat are what the broker imposes on
	// KIP-848 groups, where the member has no say. Zero: not known.
	ConsumerSession, ConsumerHeartbeat time.Duration

	KIP848       bool // consumer groups with assignment by the broker (KIP-848)
	Transactions bool
	ShareGroups  bool // KIP-932

	// LogAppendTime: topics with message.timestamp.type=LogAppendTime carry the
	// broker's time. kfake stores the setting and ignores it.
	LogAppendTime bool
	// OffsetsTopic: __consumer_offsets can be read. Not so on kfake.
	OffsetsTopic bool
	// Throttling: quotas are enforced.
	Throttling bool
	// Replicas is the default number of copies of a partition; 0: not known.
	Replicas int

	PauseBroker   bool // implements Pauser
	RestartBroker bool // implements Restarter
	FillDisk      bool // implements Filler
	Move          bool // implements Mover, and there is more than one broker to move to
	RefuseErrors  bool // implements Refuser

	// Prefix is what names of topics must start with; "" for any name.
	Prefix string
}

// Restarter is a backend that can take brokers down and bring them back at the
// same address with the same data. Nodes are named by their broker id.
type Restarter interface {
	Nodes() []int32
	// StopBroker stops a broker in good order (SIGTERM) and returns when it is gone.
	StopBroker(ctx context.Context, node int32) error
	// KillBroker ends a broker at once (SIGKILL) and returns when it is gone.
	KillBroker(ctx context.Context, node int32) error
	// StartBroker starts a stopped or killed broker and returns when it serves requests.
	StartBroker(ctx context.Context, node int32) error
}

// Pauser is a backend that can freeze a broker: connections stay open and
// nothing answers.
type Pauser interface {
	PauseBroker(ctx context.Context, node int32) error
	UnpauseBroker(ctx context.Context, node int32) error
}

// Filler is a backend that can leave a broker without room for what it writes.
type Filler interface {
	// FillDisk fills the disk of a broker and returns when the broker has ended of it.
	FillDisk(ctx context.Context, node int32) error
	// EmptyDisk makes room again. The broker is not started.
	EmptyDisk(ctx context.Context, node int32) error
}

// Mover is a backend that can give what one broker does to another, with none taken down.
type Mover interface {
	// MoveLeader makes node the leader of a partition and returns when it is.
	MoveLeader(ctx context.Context, topic string, partition, node int32) error
	// MoveCoordinator makes another broker coordinate a group, and others with it, and returns when
	// it does.
	MoveCoordinator(ctx context.Context, group string) error
}

// Refusal says which requests a [Refuser] answers with an error.
type Refusal struct {
	Key   kmsg.Key
	Topic string // "": any
	Group string // "": any
	// Err is the error of Kafka's, kerr.NotEnoughReplicas. The request has no effect.
	Err *kerr.Error
	// Count is how many requests are refused; 0 is all until Remove.
	Count int
}

// Refused is a Refusal that is in force.
type Refused interface {
	Hits() int // requests that were refused so far
	Remove()   // ends it; may be called again
}

// Refuser is a backend that can answer requests with an error of Kafka's.
type Refuser interface {
	Refuse(r Refusal) Refused
}

const (
	// dialTimeout bounds one attempt to reach a broker, TLS and SASL included.
	dialTimeout = 10 * time.Second
	// topicTimeout bounds the wait until a new topic has its leaders.
	topicTimeout = 30 * time.Second
)

// Plain dials a broker that asks for neither TLS nor SASL.
func Plain(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial broker %s: %w", addr, err)
	}
	return conn, nil
}
