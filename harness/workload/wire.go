package workload

import (
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

var codecs = map[string]kgo.CompressionCodec{
	"":       kgo.NoCompression(),
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

// deliveryTimeout bounds how long the client tries to send a record that it
// has not written yet; answerTimeout how long the Producer waits for
// the end of one. The first must be shorter: what was never sent is then known to have failed.
const (
	deliveryTimeout = 20 * time.Second
	answerTimeout   = 30 * time.Second
)

// ClientOpts returns the options that a Producer needs of its client:
// partitions chosen by the workload, acks from all replicas, idempotence (so that a
// retry inside the client neither repeats nor reorders), the given compression ("" and
// unknown names are none; Spec.Validate refuses those), and a hook that sees what was written.
func ClientOpts(compression string) []kgo.Opt {
	codec, ok := codecs[compression]
	if !ok {
		codec = kgo.NoCompression()
	}
	return []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(codec),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		// Telemetry of the client (KIP-714) opens connections of its own, and
		// one that is slow to open delays what is produced.
		kgo.DisableClientMetrics(),
		// Room for some seconds of load, so that a slow broker does not stop
		// the schedule at once; at the bound the producer falls behind, and says so.
		kgo.MaxBufferedRecords(200_000),
		kgo.MaxBufferedBytes(256 << 20),
		kgo.WithHooks(new(wire)),
	}
}

// wire counts the produce requests that a client has put on the wire, and
// marks each record when it enters a batch: only then can it be written. Both
// together tell what was never sent from what may have been.
type wire struct {
	written atomic.Int64
}

var (
	_ kgo.HookBrokerWrite              = (*wire)(nil)
	_ kgo.HookProduceRecordPartitioned = (*wire)(nil)
)

// OnBrokerWrite implements kgo.HookBrokerWrite. The client calls it before it
// can read the answer. A write that failed half-way counts.
func (w *wire) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, n int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Produce) && n > 0 {
		w.written.Add(1)
	}
}

// OnProduceRecordPartitioned implements kgo.HookProduceRecordPartitioned. The
// client calls it with the batch locked, so before the record can be written.
func (w *wire) OnProduceRecordPartitioned(r *kgo.Record, _ int32) {
	if f, ok := r.Context.(*flight); ok {
		f.batched, f.written = true, w.written.Load()
	}
}

// wireOf finds the hook of a client made with ClientOpts.
func wireOf(c *kgo.Client) *wire {
	// The client hands them out in a slice of a type that it does not export.
	hooks := reflect.ValueOf(c.OptValue(kgo.WithHooks))
	if hooks.Kind() != reflect.Slice {
		return nil
	}
	for i := range hooks.Len() {
		if w, ok := hooks.Index(i).Interface().(*wire); ok {
			return w
		}
	}
	return nil
}

// outcome judges the error with which the client gave a record up. Failed
// must be certain, everything else is unknown:
//
//   - it never entered a batch: it was never sent;
//   - no produce request was written since it did: it was never sent. (When the
//     client is closed a write may be under way that has not been counted.)
//   - one was written, and the broker's answer is a refusal that leaves no
//     trace: no earlier attempt can have been applied without an answer.
func (w *wire) outcome(f *flight, err error) history.Outcome {
	since := w.written.Load() - f.written
	switch {
	case !f.batched:
		return history.Failed
	case errors.Is(err, kgo.ErrClientClosed):
		return history.Unknown
	case since == 0:
		return history.Failed
	case since == 1 && refused(err):
		return history.Failed
	}
	return history.Unknown
}

// refused tells whether err is an answer by which the broker says that it has
// not appended the batch. Timeouts, lost replicas, storage and sequence errors are not such answers.
func refused(err error) bool {
	for _, e := range []error{
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.CorruptMessage, kerr.InvalidRecord, kerr.InvalidTimestamp,
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.InvalidTopicException, kerr.PolicyViolation,
		kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.UnsupportedForMessageFormat, kerr.UnsupportedCompressionType,
		kerr.InvalidRequiredAcks, kerr.NotEnoughReplicas,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
