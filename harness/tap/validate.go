package tap

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// validator is an action that does not go with every rule.
type validator interface {
	validate(r Rule, bad func(wrong bool, format string, args ...any))
}

// Validate returns everything that is wrong with the rule, joined: what cannot
// be, and what could never act.
func (r Rule) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	known := true
	for _, key := range r.keys() {
		if kmsg.RequestForKey(key) == nil {
			bad(true, "there is no API with key %d", key)
			known = false
			continue
		}
		bad((r.Topic != "" || r.Partitions != nil) && !NamesTopics(key), "%s names no topics: leave topic and partitions out", APIName(key))
		bad(r.Group != "" && !NamesGroup(key), "%s names no group: leave it out", APIName(key))
	}
	bad(r.Key == AnyKey && len(r.Also) > 0, "any API is meant, and more: leave the others out")
	bad(r.Direction != Request && r.Direction != Response, "there is no direction %d", r.Direction)
	bad(r.Partitions != nil && len(r.Partitions) == 0, "the list of partitions is empty: no call can match")
	bad(slices.ContainsFunc(r.Partitions, func(p int32) bool { return p < 0 }), "partitions are %v: choose 0 or more", r.Partitions)
	r.validateTrigger(bad)
	if v, ok := r.Action.(validator); ok && known {
		v.validate(r, bad)
	}
	if len(errs) > 0 && r.Name != "" {
		return fmt.Errorf("rule %s: %w", r.Name, errors.Join(errs...))
	}
	return errors.Join(errs...)
}

func (r Rule) validateTrigger(bad func(bool, string, ...any)) {
	bad(r.After < 0, "after is %d: choose 0 or more", r.After)
	bad(r.Every < 0, "every is %d: choose 0 or more", r.Every)
	bad(r.Times < 0, "times is %d: choose 0 or more", r.Times)
	bad(!(r.Probability >= 0 && r.Probability <= 1), "probability is %g: choose 0 to 1", r.Probability)
	bad(r.Every > 1 && r.Probability > 0, "every and probability exclude each other")
	bad(r.Until.Calls < 0, "until is %d calls: choose 0 or more", r.Until.Calls)
	first := r.After + max(r.Every, 1)
	bad(r.Until.Calls > 0 && r.Until.Calls < first, "the rule ends after %d calls, and would act on call %d first", r.Until.Calls, first)
}

// Tables of APIs, by what a rule can select in them.
var (
	topical = []kmsg.Key{
		kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.CreateTopics,
		kmsg.DeleteTopics, kmsg.DeleteRecords, kmsg.OffsetForLeaderEpoch, kmsg.AddPartitionsToTxn, kmsg.TxnOffsetCommit,
		kmsg.CreatePartitions, kmsg.OffsetDelete, kmsg.DescribeProducers, kmsg.ShareFetch, kmsg.ShareAcknowledge,
	}
	grouped = []kmsg.Key{
		kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.SyncGroup,
		kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.OffsetDelete, kmsg.ConsumerGroupHeartbeat,
		kmsg.ShareGroupHeartbeat, kmsg.ShareFetch, kmsg.ShareAcknowledge,
	}
)

// NamesTopics tells whether calls of an API name topics that a rule can select.
func NamesTopics(key int16) bool { return slices.Contains(topical, kmsg.Key(key)) }

// NamesGroup tells whether calls of an API name a group that a rule can select.
func NamesGroup(key int16) bool { return slices.Contains(grouped, kmsg.Key(key)) }
