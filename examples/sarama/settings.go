package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const (
	actionTimeout  = 20 * time.Second       // below what a pod is given to stop
	commitInterval = 200 * time.Millisecond // at the latest; and after each batch
	backoffFirst   = 200 * time.Millisecond // doubled for each attempt, ±20 %
)

// settings are what ksim tells each member in its environment.
type settings struct {
	brokers                                           []string
	topic, group, client, instance, sink, deadLetters string
	batchSize, maxAttempts                            int
	sessionTimeout, maxPollInterval                   time.Duration
}

func settingsFromEnv() (settings, error) {
	s := settings{
		brokers:     strings.Split(os.Getenv("KSIM_BOOTSTRAP_SERVERS"), ","),
		topic:       os.Getenv("KSIM_TOPIC"),
		group:       os.Getenv("KSIM_GROUP_ID"),
		client:      os.Getenv("KSIM_MEMBER"),
		instance:    os.Getenv("KSIM_INSTANCE_ID"),
		sink:        os.Getenv("KSIM_SINK_URL"),
		deadLetters: os.Getenv("KSIM_DLQ_TOPIC"), // may be absent
	}
	var errs [4]error
	var session, poll int
	s.batchSize, errs[0] = number("KSIM_BATCH_SIZE", 100)
	s.maxAttempts, errs[1] = number("KSIM_MAX_ATTEMPTS", 5)
	session, errs[2] = number("KSIM_SESSION_TIMEOUT_MS", 10_000)
	poll, errs[3] = number("KSIM_MAX_POLL_INTERVAL_MS", 300_000)
	s.sessionTimeout = time.Duration(session) * time.Millisecond
	s.maxPollInterval = time.Duration(max(poll, session)) * time.Millisecond
	if os.Getenv("KSIM_GROUP_PROTOCOL") == "consumer" {
		// Better no answer than one about something else.
		return s, errors.New("sarama has no KIP-848 groups: run without --protocol consumer")
	}
	return s, errors.Join(errs[:]...)
}

// backoffMax keeps all waits for one record together within half of what the group waits
// for a revoked claim: sarama gives a claim no context that would cut a wait short.
func (s settings) backoffMax() time.Duration {
	return min(10*time.Second, s.maxPollInterval/time.Duration(2*s.maxAttempts))
}

func number(name string, otherwise int) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

func (s settings) common() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = s.client
	c.Version = sarama.MaxVersion
	return c
}

func (s settings) consumer() *sarama.Config {
	c := s.common()
	c.Consumer.Return.Errors = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.MaxWaitTime = 100 * time.Millisecond // a commit may wait behind a fetch on the same connection
	// A revoked claim is told by the end of its channel, and what is buffered there comes first. So nothing is.
	c.ChannelBufferSize = 0
	c.Consumer.MaxProcessingTime = time.Second // without a buffer a record waits for the one before
	g := &c.Consumer.Group
	g.InstanceId = s.instance
	g.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	g.Rebalance.Timeout = s.maxPollInterval // how long the group waits for the record in hand
	g.Session.Timeout = s.sessionTimeout
	g.Heartbeat.Interval = max(time.Millisecond, min(500*time.Millisecond, s.sessionTimeout/6)) // its answer tells of a rebalance
	return c
}

func (s settings) producer() *sarama.Config {
	c := s.common()
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1               // idempotence asks for it
	c.Producer.MaxMessageBytes = 20_000_000 // the largest record must fit with its headers
	c.Producer.Timeout = 5 * time.Second    // of the brokers, for one attempt
	c.Producer.Retry.Backoff = 100 * time.Millisecond
	return c
}

func (s settings) backoff(attempt int, retryAfter time.Duration) time.Duration {
	d := min(s.backoffMax(), max(retryAfter, backoffFirst<<min(attempt-1, 10)))
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// pause waits for d and reports whether ctx lasted as long.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func where(r *sarama.ConsumerMessage) string {
	return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)
}
