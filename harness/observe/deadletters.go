package observe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// maxKey bounds the bytes of a record key that go into the history. Keys of a
// workload are far shorter; a foreign record's may be a megabyte.
const maxKey = 64 << 10

// maxPatience bounds the time that dead letters with an origin nobody knows
// (yet) may hold up the reader, in all.
const maxPatience = 3 * time.Second

// ErrClosed is returned by a wait that Close has cut short.
var ErrClosed = errors.New("the observer is closed")

// DeadLettersConfig is what NewDeadLetters needs. Every field is required.
type DeadLettersConfig struct {
	Opts   []kgo.Opt // brokers and authentication, as the backend gives them
	Log    *history.Log
	Ledger *workload.Ledger // what was produced, to match dead letters to
	Topic  string           // the dead-letter topic; it may come into being later
}

// DeadLetters reads a dead-letter topic from its start and logs one
// [history.DeadLettered] event for each record in it. Safe for concurrent use.
type DeadLetters struct {
	cfg    DeadLettersConfig
	reader *reader
	open   context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{}

	// patience is how long the reader may still wait, in all, for the
	// producer to learn where records are. Only the reader touches it.
	patience time.Duration

	mu    sync.Mutex
	count int
}

// NewDeadLetters starts to read. Close ends it.
func NewDeadLetters(cfg DeadLettersConfig) (*DeadLetters, error) {
	if cfg.Log == nil || cfg.Ledger == nil || cfg.Topic == "" {
		return nil, fmt.Errorf("observe dead letters: Log, Ledger and Topic are required")
	}
	r, err := newReader(cfg.Opts, cfg.Topic)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &DeadLetters{cfg: cfg, reader: r, open: ctx, cancel: cancel, done: make(chan struct{}), patience: maxPatience}
	go func() {
		defer close(d.done)
		for r.poll(ctx, d.record) {
		}
	}()
	return d, nil
}

// Close stops reading. What has not been read by then is not logged: call
// CaughtUp first. It may be called again.
func (d *DeadLetters) Close() {
	d.cancel()
	<-d.done
	d.reader.close()
}

// CaughtUp waits until everything that is in the topic now has been logged. A
// topic that does not exist holds nothing.
func (d *DeadLetters) CaughtUp(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.open, func() { cancel(ErrClosed) })()
	end, err := d.reader.ends(ctx)
	if err != nil {
		return err
	}
	for {
		behind, moved := d.reader.behind(end)
		if !behind {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			if err := d.reader.state(end); err != nil {
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return nil
		}
	}
}

// Count returns how many dead letters have been logged.
func (d *DeadLetters) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

func (d *DeadLetters) record(rec *kgo.Record) {
	origin := findOrigin(rec.Headers)
	e := seen(history.DeadLettered, rec)
	e.Time, e.Origin, e.Headers, e.Note = appended(d.cfg.Log, rec), origin.where(), headers(rec.Headers), origin.note
	if entry, ok := d.match(rec, origin); ok {
		e.Message, e.Poison = entry.ID, string(entry.Poison)
	}
	d.cfg.Log.Append(e)
	d.mu.Lock()
	d.count++
	d.mu.Unlock()
}

// match finds the produced record that a dead letter stands for. The bytes of
// the value say it best, since values are unique and hard to forge by mistake;
// a value that was changed on the way is still known by its id, or else by the
// place that its headers name. A tombstone has no bytes to tell it by.
func (d *DeadLetters) match(rec *kgo.Record, origin origin) (workload.Entry, bool) {
	if rec.Value != nil {
		if entry, ok := d.cfg.Ledger.ByHash(sha256.Sum256(rec.Value)); ok {
			return entry, true
		}
	}
	if id, ok := header(rec.Headers, workload.HeaderID); ok {
		if entry, ok := d.cfg.Ledger.ByID(string(id)); ok {
			return entry, true
		}
	}
	topic := d.cfg.Log.Header().Topic
	if !origin.complete || (topic != "" && origin.topic != topic) {
		return workload.Entry{}, false
	}
	// A fast subject can dead-letter a record before the producer has its
	// ack, and so before the ledger knows the place. The wait is bounded over
	// all dead letters, since an origin may be made up.
	began := time.Now()
	defer func() { d.patience -= min(d.patience, time.Since(began)) }()
	ctx, cancel := context.WithTimeout(d.open, d.patience)
	defer cancel()
	return d.cfg.Ledger.AwaitRecord(ctx, origin.partition, origin.offset)
}

// hash is the hex SHA-256 of a value; "" for a tombstone.
func hash(value []byte) string {
	if value == nil {
		return ""
	}
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:])
}

// appended is when the broker appended rec, in whole milliseconds of the
// broker's clock (so it may lie up to 1 ms before the true moment), relative to the start of the log. It is
// known only where the topic has message.timestamp.type=LogAppendTime;
// otherwise the timestamp is the producer's claim, and 0 is returned.
func appended(log *history.Log, rec *kgo.Record) time.Duration {
	const logAppendTime = 1
	if rec.Attrs.TimestampType() != logAppendTime {
		return 0
	}
	return log.Since(rec.Timestamp)
}
