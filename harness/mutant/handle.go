package mutant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fate is what becomes of a record that was not taken.
type fate int

const (
	again   fate = iota // it is tried again
	ended               // it has come to its end
	abandon             // it has not, and is not tried again here
)

// handle brings a record to its end: its effect, or its dead letter. False if it was
// given up before that.
func (p *partition) handle(r *kgo.Record) bool {
	if r.Attrs.IsControl() || r.Value == nil {
		return true // nothing to do for the end of a transaction, nor for a tombstone
	}
	for {
		if left := p.c.attempts.left(r); left > 0 && !p.wait(left) {
			return false // not done, so not committed: the next owner begins with it
		}
		a := p.try(r)
		if a.kind == taken {
			p.c.attempts.forget(r)
			return true
		}
		if p.ctx.Err() != nil {
			return false
		}
		switch p.c.do.failed(p, r, p.c.do.tries(p, r), a) {
		case ended:
			p.c.attempts.forget(r)
			return true
		case abandon:
			return false
		}
	}
}

// try makes one attempt.
func (p *partition) try(r *kgo.Record) answer {
	if err := p.c.do.decode(r); err != nil {
		return answer{kind: refused, reason: err.Error()}
	}
	a := p.c.sink.post(p.ctx, r)
	if a.kind != taken {
		p.c.log.Printf("%s: %s", where(r), a.reason)
	}
	return a
}

// failed tries again, within bounds and after a wait; what is refused for good, or has
// used up its attempts, is put aside.
func (p *partition) failed(r *kgo.Record, attempt int, a answer) fate {
	switch {
	case a.kind == notOwner:
		if p.wait(maxBackoff) { // nobody has said so yet but the sink
			return again
		}
		return abandon
	case a.kind == refused || attempt >= p.c.env.MaxAttempts:
		return p.bury(r, attempt, a.reason)
	}
	p.c.attempts.notBefore(r, backoff(attempt, a.after))
	return again
}

const firstBackoff, maxBackoff = 50 * time.Millisecond, 2 * time.Second

// backoff doubles with each attempt, ±20 %, and is no shorter than the sink asks for.
func backoff(attempt int, after time.Duration) time.Duration {
	d := min(firstBackoff<<min(attempt-1, 10), maxBackoff)
	return max(time.Duration(float64(d)*(0.85+0.3*rand.Float64())), min(after, maxBackoff))
}

// wait waits for the next attempt, while all other partitions go on; false if the
// partition is given up meanwhile.
func (p *partition) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.over:
	case <-p.ctx.Done():
	}
	return false
}

// bury puts a record aside. If that cannot be done the consumer ends, since it may neither
// go on without the record nor lose it.
func (p *partition) bury(r *kgo.Record, attempt int, reason string) fate {
	if p.c.env.DLQTopic == "" {
		p.c.fail(fmt.Errorf("%s: %s, and there is no KSIM_DLQ_TOPIC", where(r), reason))
		return abandon
	}
	letter := p.c.do.letter(r, origin(p.c.env.GroupID, r, attempt, reason))
	letter.Topic = p.c.env.DLQTopic
	if err := p.c.do.deadLetter(p, letter); err != nil {
		if p.ctx.Err() == nil {
			p.c.fail(fmt.Errorf("%s: its dead letter: %w", where(r), err))
		}
		return abandon
	}
	p.letters.Add(1)
	return ended
}

// putAside returns when all replicas have the dead letter.
func (p *partition) putAside(letter *kgo.Record) error {
	return p.c.client.ProduceSync(p.ctx, letter).FirstErr()
}

// origin names where a dead letter comes from and why, as KIP-1191 has it.
func origin(group string, r *kgo.Record, attempt int, reason string) []kgo.RecordHeader {
	var out []kgo.RecordHeader
	for _, h := range [][2]string{
		{"topic", r.Topic}, {"partition", strconv.Itoa(int(r.Partition))}, {"offset", strconv.FormatInt(r.Offset, 10)},
		{"group", group}, {"delivery.count", strconv.Itoa(attempt)}, {"message", reason},
	} {
		out = append(out, kgo.RecordHeader{Key: "__dlq.errors." + h[0], Value: []byte(h[1])})
	}
	return out
}

// readable is an error for a value that is no JSON. A tombstone has none and needs none.
func readable(r *kgo.Record) error {
	if r.Value != nil && !json.Valid(r.Value) {
		return errors.New("the value is no JSON")
	}
	return nil
}

func where(r *kgo.Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }

func split(servers string) []string { return strings.Split(servers, ",") }

// kind is how the sink answered.
type kind int

const (
	taken kind = iota
	unavailable
	refused  // for good
	notOwner // the partition is another member's
)

type answer struct {
	kind   kind
	reason string
	after  time.Duration // Retry-After
}

// sink posts effects, as docs/subject-protocol.md says.
type sink struct {
	url    string
	client *http.Client
}

func newSink(url string, patience time.Duration) *sink {
	return &sink{url: url, client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (s *sink) close() { s.client.CloseIdleConnections() }

func (s *sink) post(ctx context.Context, r *kgo.Record) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(r.Value))
	if err != nil {
		return answer{kind: unavailable, reason: err.Error()}
	}
	req.Header.Set("Ksim-Record", fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset))
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{kind: unavailable, reason: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection can be used again
	a := answer{reason: fmt.Sprintf("the sink answered %d", resp.StatusCode)}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		a.after = time.Duration(seconds) * time.Second
	}
	switch {
	case resp.StatusCode < 300:
		a.kind = taken
	case resp.StatusCode == http.StatusConflict:
		a.kind = notOwner
	case resp.StatusCode == http.StatusUnprocessableEntity:
		a.kind = refused
	default:
		a.kind = unavailable
	}
	return a
}
