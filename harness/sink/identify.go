package sink

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/ksim-dev/ksim/harness/workload"
)

// awaitAck bounds how long an effect that names nothing but its place waits
// for the producer to learn that place: the consumer may be faster.
const awaitAck = 2 * time.Second

// reference is what a request says about the record of an effect.
type reference struct {
	record string // topic/partition/offset
	id     string
	body   []byte
	valid  bool // the body is known to be JSON
}

// find returns the record that an effect is of.
func (s *Sink) find(ctx context.Context, r reference) (workload.Entry, bool) {
	partition, offset, placed := workload.ParseRecord(s.cfg.Topic, r.record)
	if placed {
		if e, ok := s.cfg.Ledger.ByRecord(partition, offset); ok {
			return e, true
		}
	}
	if r.id != "" {
		if e, ok := s.cfg.Ledger.ByID(r.id); ok {
			return e, true
		}
	}
	if e, ok := s.byPointer(r); ok {
		return e, true
	}
	if len(r.body) > 0 {
		if e, ok := s.cfg.Ledger.ByHash(sha256.Sum256(r.body)); ok {
			return e, true
		}
	}
	if !placed {
		return workload.Entry{}, false
	}
	bounded, cancel := context.WithTimeout(ctx, awaitAck)
	defer cancel()
	return s.cfg.Ledger.AwaitRecord(bounded, partition, offset)
}

var plainID = []string{"id"}

// byPointer looks for an id in the body: where the configuration says, then at /id.
func (s *Sink) byPointer(r reference) (workload.Entry, bool) {
	i := skipSpace(r.body, 0)
	if i >= len(r.body) || r.body[i] != '{' && r.body[i] != '[' || !r.valid && !json.Valid(r.body) {
		return workload.Entry{}, false
	}
	for _, tokens := range [][]string{s.pointer, plainID} {
		if value, ok := point(r.body, tokens); ok {
			if id, ok := scalar(value); ok {
				if e, ok := s.cfg.Ledger.ByID(id); ok {
					return e, true
				}
			}
		}
	}
	return workload.Entry{}, false
}

// batch is a parsed batch: an array of effects, still as JSON.
type batch struct {
	effects       []byte
	enveloped     bool // {"effects": […]}
	count         int
	stopOnFailure bool
}

// parseBatch accepts [value, …] and {"effects": [{"id" or "record", "value"}, …]}.
// The reason is "" if it is one.
func parseBatch(body []byte) (b batch, reason string) {
	if !json.Valid(body) {
		return b, "the body of a batch is not JSON"
	}
	b.effects = body[skipSpace(body, 0):]
	switch b.effects[0] {
	case '[':
	case '{':
		b.enveloped = true
		if v, ok := lookup(body, "stop_on_failure"); ok {
			b.stopOnFailure = string(v) == "true"
		}
		effects, ok := lookup(body, "effects")
		if !ok || effects[0] != '[' {
			return b, `the body of a batch has no array "effects"`
		}
		b.effects = effects
	default:
		return b, `the body of a batch is neither an array nor an object with "effects"`
	}
	elements(b.effects, func([]byte) bool { b.count++; return true })
	return b, ""
}

// each calls f for the effects of the batch in order, until it returns false.
func (b batch) each(f func(reference, []byte) bool) {
	elements(b.effects, func(raw []byte) bool {
		if b.enveloped && raw[0] == '{' {
			return f(envelope(raw), raw)
		}
		return f(content(raw), raw)
	})
}

// content is a value that stands for itself: a string is the value as text,
// anything else is the value.
func content(raw []byte) reference {
	if s, ok := unquote(raw); ok {
		return reference{body: []byte(s)}
	}
	return reference{body: raw, valid: true}
}

// envelope is {"id" or "record", "value" or "value_base64"}; an object that
// has none of the last three is a value.
func envelope(raw []byte) reference {
	record, hasRecord := lookup(raw, "record")
	value, hasValue := lookup(raw, "value")
	encoded, hasEncoded := lookup(raw, "value_base64")
	if !hasRecord && !hasValue && !hasEncoded {
		return reference{body: raw, valid: true}
	}
	var r reference
	if hasValue {
		r = content(value)
	}
	if text, ok := unquote(encoded); ok {
		if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
			r = reference{body: decoded}
		}
	}
	if id, ok := lookup(raw, "id"); ok {
		r.id, _ = scalar(id)
	}
	r.record, _ = unquote(record)
	return r
}
