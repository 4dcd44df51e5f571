package consumer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Attempts go to the next owner of a partition in the metadata of the committed
// offset, so that a rebalance, or a crash some time after the attempt, does not start the
// count anew:
//
//	ksim-attempts/1 118:3 121:1
//
// are 3 failed attempts at the record at offset 118 and one at 121. It is advice:
// whoever cannot read it counts from 0, and positions never depend on it.
const attemptsFormat = "ksim-attempts/1"

// maxMetadata is how long the note may be; the broker takes 4096 bytes
// (offset.metadata.max.bytes). What does not fit is counted anew.
const maxMetadata = 2048

var errNoNote = errors.New("consumer: the metadata of the committed offset is not of this format")

// formatAttempts writes attempts down, by offset. No attempts are no note.
func formatAttempts(known map[int64]trial) string {
	if len(known) == 0 {
		return ""
	}
	note := []byte(attemptsFormat)
	for _, offset := range slices.Sorted(maps.Keys(known)) {
		next := strconv.AppendInt([]byte{' '}, offset, 10)
		next = strconv.AppendInt(append(next, ':'), int64(known[offset].attempts), 10)
		if len(note)+len(next) > maxMetadata {
			break
		}
		note = append(note, next...)
	}
	return string(note)
}

// parseAttempts reads the note. An empty one has no attempts.
func parseAttempts(note string) (map[int64]trial, error) {
	if note == "" {
		return nil, nil
	}
	words := strings.Split(note, " ")
	if words[0] != attemptsFormat || len(note) > maxMetadata {
		return nil, errNoNote
	}
	known := make(map[int64]trial, len(words)-1)
	last := int64(-1)
	for _, word := range words[1:] {
		at, n, _ := strings.Cut(word, ":")
		offset, err1 := strconv.ParseUint(at, 10, 63)
		attempts, err2 := strconv.ParseUint(n, 10, 31)
		if err1 != nil || err2 != nil || int64(offset) <= last || attempts == 0 {
			return nil, errNoNote
		}
		last = int64(offset)
		known[last] = trial{attempts: int(attempts), err: errElsewhere}
	}
	return known, nil
}

var errElsewhere = errors.New("consumer: its last failure was with another member of the group")

// note is what the next owner should know of attempts, called under the mutex.
func (p *partition) note() string {
	if p.failures == 0 && len(p.known) == 0 {
		return ""
	}
	return formatAttempts(outstanding(&p.track, p.known, false))
}

// learn takes what the last owner has noted.
func (p *partition) learn(note string) {
	known, err := parseAttempts(note)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || p.state == fenced {
		return
	}
	p.noted = note
	for offset, tr := range known {
		if tr.attempts <= p.known[offset].attempts {
			continue
		}
		p.know(offset, tr)
	}
}

// learnAttempts asks the group what the last owners of partitions have noted; committed
// has their positions, negative where there is none. It is not worth a rebalance that
// fails.
func (s *session) learnAttempts(ctx context.Context, committed map[topicPartition]int64) {
	if s.txn != nil {
		return // a transaction that was aborted has no way to say so
	}
	positions := slices.Collect(maps.Values(committed))
	if len(positions) == 0 || slices.Max(positions) < 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.e.cfg.CommitTimeout)
	defer cancel()
	got, err := kadm.NewClient(s.client()).FetchOffsets(ctx, s.e.cfg.Group)
	if err != nil {
		s.e.log.Debug("cannot read the attempts noted in the group", "err", err)
		return
	}
	got.Each(func(o kadm.OffsetResponse) {
		tp := topicPartition{o.Topic, o.Partition}
		if _, asked := committed[tp]; !asked || o.Err != nil || o.Metadata == "" {
			return
		}
		if p := s.part(tp); p != nil {
			p.learn(o.Metadata)
		}
	})
}
