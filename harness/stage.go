package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/observe"
	"github.com/ksim-dev/ksim/harness/schemas"
	"github.com/ksim-dev/ksim/harness/sink"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/harness/tap"
	"github.com/ksim-dev/ksim/harness/workload"
)

// stage is everything one scenario plays on.
type stage struct {
	cfg      Config
	scenario Scenario
	kafka    backend.Kafka
	client   *kgo.Client // the harness' own: produces, administers
	// transactional sends messages in transactions; nil where there are none.
	transactional *kgo.Client
	log           *history.Log
	ledger        *workload.Ledger
	sink          *sink.Sink
	tap           *tap.Tap
	members       *members
	feed          *feeder
	faults        *fault.Env
	dead          *observe.DeadLetters
	lag           *observe.Lag
	metrics       *observe.Metrics   // nil where none are promised
	cancel        context.CancelFunc // of all members
	names         names
	waived        map[string]string // see history.Header
	registry      *schemas.Proxy    // nil unless the scenario has schemas
	encoder       *schemas.Encoder  // likewise
}

// names are those of one scenario in Kafka. There is no output topic, "", where
// there are no outputs, or they are elsewhere.
type names struct{ topic, deadLetter, output, group string }

func newNames(cfg Config, sc Scenario) names {
	base := cfg.TopicPrefix + cfg.RunID + "-" + strings.ReplaceAll(sc.Name, "@", ".")
	n := names{topic: base, deadLetter: base + ".dlq", group: base}
	if (cfg.Promises.Delivery == history.ExactlyOnce || cfg.Evidence == history.EvidenceOutputs) && cfg.Outputs == nil {
		n.output = base + ".out"
	}
	return n
}

// transactionalID is a member's, over all its lives: the next one ends what the
// last one left open.
func transactionalID(group, member string) string { return group + "." + member }

func newStage(ctx context.Context, run Config, sc Scenario, kafka backend.Kafka, dir, registry string) (_ *stage, err error) {
	cfg := run.with(sc)
	s := &stage{cfg: cfg, scenario: sc, kafka: kafka, names: newNames(cfg, sc), ledger: workload.NewLedger(), waived: sc.waived(run.Promises)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.log, err = history.Create(filepath.Join(dir, "history.jsonl"), s.header()); err != nil {
		return nil, err
	}
	if err := s.createTopics(ctx); err != nil {
		return nil, err
	}
	opts := append(kafka.ClientOpts(), workload.ClientOpts("none")...)
	if s.client, err = kgo.NewClient(append(opts, kgo.ClientID("ksim"))...); err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	if s.sink, err = sink.Start(s.sinkConfig()); err != nil {
		return nil, err
	}
	s.tap = tap.New(tap.Config{Log: s.log, Dial: kafka.Dial, Seeds: kafka.Brokers(), Group: s.names.group, Fetches: true})
	if err := s.observe(); err != nil {
		return nil, err
	}
	if err := s.openRegistry(ctx, registry); err != nil {
		return nil, err
	}
	if err := s.prepareFeed(); err != nil {
		return nil, err
	}
	s.enlist(dir)
	if err := s.observeMetrics(); err != nil {
		return nil, err
	}
	if sc.SlowEvery > 0 {
		s.sink.Add(sink.Rule{Action: sink.Delay{For: sc.SlowEvery}})
	}
	return s, nil
}

func (s *stage) sinkConfig() sink.Config {
	c := sink.Config{Log: s.log, Ledger: s.ledger, Topic: s.names.topic, Idempotent: s.scenario.IdempotentSink}
	if load := s.scenario.load; load != nil {
		c.Ledger, c.Quiet, c.Count = load, true, load.count
	}
	return c
}

// prepareFeed makes the workload; a load run has a generator of its own.
func (s *stage) prepareFeed() (err error) {
	if s.scenario.load != nil {
		return nil
	}
	producer := &workload.Producer{Client: s.client, Log: s.log, Ledger: s.ledger, Topic: s.names.topic}
	if s.scenario.Mix.Transactional() {
		opts := append(s.kafka.ClientOpts(), workload.ClientOpts("none")...)
		s.transactional, err = kgo.NewClient(append(opts, workload.TransactionOpts(s.names.group+".workload")...)...)
		if err != nil {
			return fmt.Errorf("connect to Kafka for transactions: %w", err)
		}
		producer.Transactional = s.transactional
	}
	if s.feed, err = newFeeder(producer, s.cfg, s.scenario); err == nil && s.encoder != nil {
		s.feed.encode = s.encoder.Encode
	}
	return err
}

func (s *stage) header() history.Header {
	return history.Header{
		Run: s.cfg.RunID, Scenario: s.scenario.Name, Kafka: s.kafka.Name() + " (" + s.kafka.Version() + ")", Seed: s.cfg.Seed,
		Topic: s.names.topic, Group: s.names.group, DeadLetterTopic: s.names.deadLetter, OutputTopic: s.names.output,
		Partitions: s.cfg.Partitions, Members: s.cfg.Members, BatchSize: s.cfg.BatchSize,
		SessionTimeout: s.session(), MaxPollInterval: s.cfg.MaxPollInterval, Protocol: s.cfg.Protocol,
		Load: s.scenario.load != nil, Evidence: s.cfg.Evidence, Checks: s.cfg.Checks, Promises: s.cfg.Promises, Waived: s.waived, Faults: s.scenario.faultNames(),
	}
}

// session is the session timeout that counts: with KIP-848 the broker decides.
func (s *stage) session() time.Duration {
	if owned := s.kafka.Capabilities().ConsumerSession; s.cfg.Protocol == "consumer" && owned > 0 {
		return owned
	}
	return s.cfg.SessionTimeout
}

func (s *stage) createTopics(ctx context.Context) error {
	if err := s.createTopic(ctx); err != nil {
		return err
	}
	stamp, size := "LogAppendTime", maxDeadLetterBytes
	if s.names.output != "" {
		err := s.kafka.CreateTopic(ctx, s.names.output, s.cfg.Partitions, map[string]*string{
			"message.timestamp.type": &stamp, "max.message.bytes": &size,
		})
		if err != nil {
			return err
		}
	}
	if s.scenario.NoDeadLetters {
		return nil
	}
	if s.scenario.DeadLetterBytes > 0 {
		size = strconv.Itoa(s.scenario.DeadLetterBytes)
	}
	return s.deadLetters().create(ctx, size)
}

// createTopic makes the topic under test, with what the scenario wants of it.
func (s *stage) createTopic(ctx context.Context) error {
	config := map[string]*string{}
	for name, value := range s.scenario.TopicConfig {
		config[name] = &value
	}
	return s.kafka.CreateTopic(ctx, s.names.topic, s.cfg.Partitions, config)
}

func (s *stage) enlist(dir string) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.members = &members{
		cfg: s.cfg, log: s.log, tap: s.tap, sink: s.sink, admin: evictor{client: s.client}, dir: filepath.Join(dir, "logs"),
		ctx: ctx, all: map[string]*member{}, starting: map[string]bool{},
		env: subject.Env{
			Topic: s.names.topic, GroupID: s.names.group, RunID: s.cfg.RunID + "-" + s.scenario.Name, GroupProtocol: s.cfg.Protocol,
			SessionTimeout: s.cfg.SessionTimeout, MaxPollInterval: s.cfg.MaxPollInterval, MetadataMaxAge: s.scenario.MetadataMaxAge,
			BatchSize: s.cfg.BatchSize, BatchWait: s.cfg.BatchWait, MaxAttempts: s.cfg.MaxAttempts, Order: s.cfg.Promises.Order, Assignor: s.cfg.Assignor, DLQTopic: s.names.deadLetter,
			OutputTopic: s.names.output,
		},
	}
	s.faults = &fault.Env{
		Log: s.log, Members: s.members, Sink: s.sink, Tap: s.tap, BatchSize: s.cfg.BatchSize,
		Blind:          s.cfg.Evidence != history.EvidenceEffects,
		SessionTimeout: s.session(), AutoCommit: s.cfg.AutoCommit, Bound: s.cfg.FaultBound,
	}
	if s.registry != nil {
		s.members.env.SchemaRegistryURL = s.registry.URL()
	}
	s.faults.DeadLetters, s.faults.Registry, s.faults.Schemas = s.deadLetters(), s.registry, s.encoder
	s.faults.Brokers, s.faults.Topics = newBrokerAdmin(s.kafka, s.client, s.names), topicAdmin{s}
}

// close ends what runs, in the order in which it hangs together, and returns
// the first thing that went wrong, a history that could not be written above all.
func (s *stage) close() error {
	var errs []error
	if s.members != nil {
		errs = append(errs, s.members.killAll())
		s.cancel()
		errs = append(errs, s.members.await())
	}
	if s.tap != nil {
		s.tap.Close()
	}
	if s.registry != nil {
		s.registry.Close()
	}
	if s.sink != nil {
		bounded, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		errs = append(errs, s.sink.Close(bounded))
	}
	if s.feed != nil {
		s.feed.close()
	}
	s.stopObserving()
	bounded, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, topic := range []string{s.names.topic, s.names.deadLetter, s.names.output} {
		if topic == "" {
			continue
		}
		// A topic that could not be made, or a broker that is gone, is no
		// reason to call the run a failure.
		_ = s.kafka.DeleteTopic(bounded, topic)
	}
	if s.transactional != nil {
		s.transactional.Close()
	}
	if s.client != nil {
		_, _ = kadm.NewClient(s.client).DeleteGroups(bounded, s.names.group) // it has no members any more, and its offsets expire anyway
		s.client.Close()
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(errs...)
}
