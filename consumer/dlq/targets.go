package dlq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// offsetsRetention is for how long brokers keep offsets if nobody may ask them.
const offsetsRetention = 7 * 24 * time.Hour

// target is a topic to send letters to.
type target struct {
	partitions int
	retention  time.Duration // of records, by their timestamp; 0: for ever, or not known
	byKey      kgo.TopicPartitioner
}

// targets looks topics up as they are met.
type targets struct {
	adm     *kadm.Client
	timeout time.Duration
	known   map[string]*target
}

func newTargets(adm *kadm.Client, timeout time.Duration) *targets {
	return &targets{adm, timeout, make(map[string]*target)}
}

func (t *targets) get(ctx context.Context, topic string) (*target, error) {
	if found := t.known[topic]; found != nil {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	details, err := t.adm.ListTopics(ctx, topic)
	if err == nil {
		err = details[topic].Err
	}
	if err != nil {
		return nil, fmt.Errorf("dlq: topic %s, which letters came from: %w", topic, plain(err))
	}
	found := &target{partitions: len(details[topic].Partitions), byKey: kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
	if found.partitions == 0 {
		return nil, fmt.Errorf("dlq: topic %s, which letters came from, has no partitions", topic)
	}
	if configs, err := t.adm.DescribeTopicConfigs(ctx, topic); err == nil { // who may not ask does without
		found.retention = retention(configs)
	}
	t.known[topic] = found
	return found, nil
}

// retention is after what time the topic deletes records by their own timestamp.
func retention(configs kadm.ResourceConfigs) time.Duration {
	values := settings(configs)
	ms, err := strconv.ParseInt(values["retention.ms"], 10, 64)
	if err != nil || ms <= 0 || values["message.timestamp.type"] == "LogAppendTime" || !strings.Contains(values["cleanup.policy"], "delete") {
		return 0
	}
	return min(time.Duration(ms), 1<<62/time.Millisecond) * time.Millisecond
}

func settings(configs kadm.ResourceConfigs) map[string]string {
	values := make(map[string]string)
	for _, resource := range configs {
		for _, c := range resource.Configs {
			values[c.Key] = c.MaybeValue()
		}
	}
	return values
}

// forgotten is after what time brokers forget offsets of a group without members:
// the least of all brokers.
func (t *targets) forgotten(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	least := offsetsRetention
	if configs, err := t.adm.DescribeBrokerConfigs(ctx); err == nil {
		for _, broker := range configs {
			minutes, err := strconv.ParseInt(settings(kadm.ResourceConfigs{broker})["offsets.retention.minutes"], 10, 32)
			if err == nil && minutes > 0 {
				least = min(least, time.Duration(minutes)*time.Minute)
			}
		}
	}
	return least
}

// place gives a restored record its partition: the one it came from if there is
// one of that number, else by its key as Java's producer does. Without a key, those
// of one partition stay together.
func (t *target) place(r *kgo.Record, known bool) {
	switch {
	case known && int(r.Partition) < t.partitions:
	case r.Key != nil:
		r.Partition = int32(t.byKey.Partition(r, t.partitions))
	case known:
		r.Partition %= int32(t.partitions)
	default:
		r.Partition = 0
	}
}

// inUse tells whether members consume by the group.
func inUse(ctx context.Context, adm *kadm.Client, group string) error {
	described, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return nil // the commits tell
	}
	if n := len(described[group].Members); n > 0 {
		return errors.New("dlq: group " + group + " has " + strconv.Itoa(n) + " members: it keeps the progress of a consumer. Choose a group that has none")
	}
	return nil
}
