package dlq

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// ErrTakenOver is returned by [Replay] when another replay of the same group began
// after it, or the brokers gave up a transaction that took too long. What it had
// committed stands; the transaction at hand does not.
var ErrTakenOver = errors.New("dlq: another replay of this group has taken over")

// sender sends records and the progress that they mean in one transaction.
type sender struct {
	cfg *Config
	cl  *kgo.Client
}

// newSender fences whoever sends by the same group, and aborts the transaction that
// it has under way. Progress is to be read after that.
func newSender(ctx context.Context, cfg *Config) (*sender, error) {
	// The offsets of a group that this client is no member of have to be added to
	// the transaction by hand, which wants versions that let a client do so: those
	// from before KIP-890. The fence is the epoch that InitProducerID raises.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), 4)
	versions.SetMaxKeyVersion(kmsg.EndTxn.Int16(), 4)
	versions.SetMaxKeyVersion(kmsg.Produce.Int16(), 11)
	cl, err := cfg.client(
		kgo.MaxVersions(versions),
		kgo.TransactionalID(cfg.Group),
		// Longer than all that a transaction waits for. For so long can a replay that
		// was killed hold up those who read what is committed; the next one ends that.
		kgo.TransactionTimeout(2*cfg.Timeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// As the letters themselves were produced: whatever a broker let in.
		kgo.ProducerBatchMaxBytes(64<<20),
		kgo.ProducerBatchCompression(kgo.GzipCompression(), kgo.NoCompression()),
		// No RecordDeliveryTimeout: it counts from the timestamp of a record, which
		// may be old. The context bounds it.
		kgo.RetryTimeout(cfg.Timeout),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		cl.Close()
		return nil, fmt.Errorf("dlq: begin as %s: %w", cfg.Group, plain(err))
	}
	return &sender{cfg, cl}, nil
}

func (s *sender) close() { s.cl.Close() }

// send sends records and stores progress; after an error nothing of it happened,
// unless the error says that it is not known.
func (s *sender) send(ctx context.Context, records []*kgo.Record, all map[int32]*progress) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	offsets, err := s.offsets(all)
	if err != nil {
		return err
	}
	if err := s.cl.BeginTransaction(); err != nil {
		return fenced(err)
	}
	err = s.cl.ProduceSync(ctx, records...).FirstErr()
	if err == nil {
		err = s.commitOffsets(ctx, offsets)
	}
	if err != nil {
		// Not with ctx, which may be why.
		abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
		defer cancel()
		if aborted := s.cl.EndTransaction(abort, kgo.TryAbort); aborted != nil {
			s.cfg.Logger.Warn("the transaction could not be aborted, the broker will", "err", aborted)
		}
		return fenced(err)
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	defer stop()
	if err := s.cl.EndTransaction(end, kgo.TryCommit); err != nil {
		if err := fenced(err); errors.Is(err, ErrTakenOver) {
			return err
		}
		return fmt.Errorf("dlq: whether the last transaction was committed is not known; run again, which sends nothing twice: %w", err)
	}
	return nil
}

// offsets writes the progress of all partitions that have any: whether changed or
// not, so that the brokers keep it.
func (s *sender) offsets(all map[int32]*progress) (kmsg.TxnOffsetCommitRequestTopic, error) {
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = s.cfg.Topic
	for partition, p := range all {
		metadata, err := p.metadata()
		if err != nil {
			return topic, err
		}
		one := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		one.Partition, one.Offset, one.Metadata = partition, p.next, &metadata
		topic.Partitions = append(topic.Partitions, one)
	}
	return topic, nil
}

// commitOffsets makes the progress part of the transaction that is under way.
func (s *sender) commitOffsets(ctx context.Context, offsets kmsg.TxnOffsetCommitRequestTopic) error {
	id, epoch, err := s.cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = s.cfg.Group, id, epoch, s.cfg.Group
	if err := again(ctx, func() error {
		resp, err := add.RequestWith(ctx, s.cl)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	}); err != nil {
		return err
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group = s.cfg.Group, id, epoch, s.cfg.Group
	commit.Topics = append(commit.Topics, offsets)
	return again(ctx, func() error {
		resp, err := commit.RequestWith(ctx, s.cl)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("partition %d: %w", p.Partition, err)
				}
			}
		}
		return nil
	})
}

// again tries again what the broker says may be tried again, such as when a
// coordinator moves, until ctx ends. So it may while the coordinator is still busy with
// the end of a transaction: this one's last, or this very one, which another replay
// has just ended; then the next answer is the fence.
func again(ctx context.Context, try func() error) error {
	for {
		err := try()
		var answer *kerr.Error
		if err == nil || !errors.As(err, &answer) || !answer.Retriable && !errors.Is(err, kerr.ConcurrentTransactions) {
			return err
		}
		if pause(ctx, askAgain) != nil {
			return err
		}
	}
}

// fenced tells a fence from other errors.
func fenced(err error) error {
	for _, code := range []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping} {
		if errors.Is(err, code) {
			return fmt.Errorf("%w: %w", ErrTakenOver, err)
		}
	}
	return fmt.Errorf("dlq: send: %w", plain(err))
}
