package harness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
)

// brokerAdmin does to brokers what faults ask for, as far as the backend can.
type brokerAdmin struct {
	kafka  backend.Kafka
	client *kgo.Client
	names  names

	mu   sync.Mutex
	down map[int32]string // how each broker that is down was taken down
}

var _ fault.Brokers = (*brokerAdmin)(nil)

func newBrokerAdmin(kafka backend.Kafka, client *kgo.Client, names names) *brokerAdmin {
	return &brokerAdmin{kafka: kafka, client: client, names: names, down: map[int32]string{}}
}

func (b *brokerAdmin) cannot(what string) error {
	return fmt.Errorf("%w: the %s backend cannot %s", fault.ErrCannot, b.kafka.Name(), what)
}

// Nodes implements fault.Brokers.
func (b *brokerAdmin) Nodes() []int32 {
	if r, ok := b.kafka.(backend.Restarter); ok {
		return r.Nodes()
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	meta, err := kadm.NewClient(b.client).BrokerMetadata(ctx)
	if err != nil {
		return nil
	}
	return meta.Brokers.NodeIDs()
}

// askTimeout bounds one question to one broker, which may be down.
const askTimeout = 2 * time.Second

// up asks the brokers that are up one after the other until one answers. A broker that is down would
// cost its client's patience.
func (b *brokerAdmin) up(ctx context.Context, ask func(context.Context, *kgo.Broker) error) error {
	errs := []error{errors.New("no broker is up")}
	for _, node := range b.Nodes() {
		b.mu.Lock()
		_, down := b.down[node]
		b.mu.Unlock()
		if down {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, askTimeout)
		err := ask(bounded, b.client.Broker(int(node)))
		cancel()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("broker %d: %w", node, err))
	}
	return errors.Join(errs[min(1, len(errs)-1):]...)
}

// Leader implements fault.Brokers.
func (b *brokerAdmin) Leader(ctx context.Context, topic string, partition int32) (leader int32, inSync []int32, err error) {
	err = b.up(ctx, func(ctx context.Context, broker *kgo.Broker) error {
		p, err := backend.DescribePartition(ctx, broker, topic, partition)
		leader, inSync = p.Leader, p.ISR
		return err
	})
	return leader, inSync, err
}

// Coordinator implements fault.Brokers. It asks the brokers anew each time; the client would answer
// from what it knows.
func (b *brokerAdmin) Coordinator(ctx context.Context, of fault.Coordinated, member string) (node int32, err error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey = b.names.group
	if of == fault.Transaction {
		if b.names.output == "" {
			return 0, fault.ErrNoTransactions
		}
		req.CoordinatorType, req.CoordinatorKey = 1, transactionalID(b.names.group, member)
	}
	req.CoordinatorKeys = []string{req.CoordinatorKey}
	err = b.up(ctx, func(ctx context.Context, broker *kgo.Broker) error {
		resp, err := req.RequestWith(ctx, broker)
		if err != nil {
			return err
		}
		for _, c := range resp.Coordinators {
			node = c.NodeID
			return kerr.ErrorForCode(c.ErrorCode)
		}
		node = resp.NodeID
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		return 0, fmt.Errorf("ask for the coordinator of %s: %w", req.CoordinatorKey, err)
	}
	return node, nil
}

// Answers implements fault.Brokers.
func (b *brokerAdmin) Answers(ctx context.Context, node int32) error {
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := kmsg.NewPtrMetadataRequest().RequestWith(bounded, b.client.Broker(int(node)))
	return err
}

// Controlled implements fault.Brokers: only a controller can say whether a topic could be made.
func (b *brokerAdmin) Controlled(ctx context.Context) error {
	return b.up(ctx, func(ctx context.Context, broker *kgo.Broker) error {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.ValidateOnly, req.TimeoutMillis = true, int32(askTimeout.Milliseconds())
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = b.names.topic+".never", 1, -1
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, broker)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
				return err
			}
		}
		return nil
	})
}

// AwaitInSync implements fault.Brokers.
func (b *brokerAdmin) AwaitInSync(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond) // brokers have no event for that
	defer tick.Stop()
	for {
		err := b.inSync(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("copies are not in sync: %w (%w)", err, ctx.Err())
		case <-tick.C:
		}
	}
}

func (b *brokerAdmin) inSync(ctx context.Context) error {
	return b.up(ctx, func(ctx context.Context, broker *kgo.Broker) error {
		all, err := backend.Partitions(ctx, broker)
		for _, p := range all {
			if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s/%d: broker %d leads, brokers %v of %v have all of it", p.Topic, p.ID, p.Leader, p.ISR, p.Replicas)
			}
		}
		return err
	})
}

// TakeDown implements fault.Brokers.
func (b *brokerAdmin) TakeDown(ctx context.Context, node int32, how string) error {
	take := map[string]func(context.Context, int32) error{}
	if r, ok := b.kafka.(backend.Restarter); ok && b.kafka.Capabilities().RestartBroker {
		take[fault.Stop], take[fault.Kill] = r.StopBroker, r.KillBroker
	}
	if p, ok := b.kafka.(backend.Pauser); ok && b.kafka.Capabilities().PauseBroker {
		take[fault.Pause] = p.PauseBroker
	}
	if f, ok := b.kafka.(backend.Filler); ok && b.kafka.Capabilities().FillDisk {
		take[fault.Fill] = f.FillDisk
	}
	do := take[how]
	if do == nil {
		return b.cannot(how + " a broker")
	}
	b.mu.Lock()
	b.down[node] = how // before it is done: half done, it is to be brought back too
	b.mu.Unlock()
	return do(ctx, node)
}

// BringBack implements fault.Brokers.
func (b *brokerAdmin) BringBack(ctx context.Context, node int32) error {
	b.mu.Lock()
	how := b.down[node]
	b.mu.Unlock()
	var err error
	switch how {
	case "":
		return nil
	case fault.Pause:
		err = b.kafka.(backend.Pauser).UnpauseBroker(ctx, node)
	case fault.Fill:
		if err = b.kafka.(backend.Filler).EmptyDisk(ctx, node); err == nil {
			err = b.kafka.(backend.Restarter).StartBroker(ctx, node)
		}
	default:
		err = b.kafka.(backend.Restarter).StartBroker(ctx, node)
	}
	if err == nil {
		b.mu.Lock()
		delete(b.down, node)
		b.mu.Unlock()
	}
	return err
}

// MoveLeader implements fault.Brokers.
func (b *brokerAdmin) MoveLeader(ctx context.Context, topic string, partition, node int32) error {
	m, ok := b.kafka.(backend.Mover)
	if !ok || !b.kafka.Capabilities().Move {
		return b.cannot("move a leader")
	}
	return m.MoveLeader(ctx, topic, partition, node)
}

// MoveCoordinator implements fault.Brokers.
func (b *brokerAdmin) MoveCoordinator(ctx context.Context) error {
	m, ok := b.kafka.(backend.Mover)
	if !ok || !b.kafka.Capabilities().Move {
		return b.cannot("move a coordinator")
	}
	return m.MoveCoordinator(ctx, b.names.group)
}

// Refuse implements fault.Brokers.
func (b *brokerAdmin) Refuse(request, topic, kafkaError string) (hits func() int, end func(), err error) {
	r, ok := b.kafka.(backend.Refuser)
	if !ok || !b.kafka.Capabilities().RefuseErrors {
		return nil, nil, b.cannot("answer requests with errors")
	}
	refusal := backend.Refusal{Key: kmsg.Key(-1), Topic: topic, Err: errorNamed(kafkaError)}
	for key := range kmsg.MaxKey + 1 {
		if kmsg.NameForKey(int16(key)) == request {
			refusal.Key = kmsg.Key(key)
		}
	}
	if refusal.Key < 0 || refusal.Err == nil {
		return nil, nil, fmt.Errorf("refuse %s with %s: Kafka has no request or no error of that name", request, kafkaError)
	}
	if topic == "" {
		refusal.Group = b.names.group
	}
	refused := r.Refuse(refusal)
	return refused.Hits, refused.Remove, nil
}

// maxErrorCode is above every error code of Kafka's.
const maxErrorCode = 200

// errorNamed finds an error of Kafka's by its name, NOT_COORDINATOR; nil if there is none.
func errorNamed(name string) *kerr.Error {
	for code := range int16(maxErrorCode) {
		if e := kerr.TypedErrorForCode(code); e != nil && e.Message == name {
			return e
		}
	}
	return nil
}
