package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	maxMessage   = 1024
	stageHandler = "handler"
)

// deadLetter builds the dead letter of a record: key, value and headers as they
// were, then those of the styles asked for, then the ksim.dlq headers. Where a
// header occurs twice, because the record was dead-lettered before, the last one
// counts. Its timestamp is now, since retention could delete one with an old
// timestamp at once.
func deadLetter(cfg *Config, e *entry, cause error, now time.Time) *kgo.Record {
	r := e.rec
	instance := cmp.Or(cfg.InstanceID, cfg.ClientID)
	first := e.tried().failed
	if first.IsZero() {
		first = now
	}
	notes := annotations(cause)
	delete(notes, HeaderOriginalHeaders) // a replay relies on these two
	delete(notes, HeaderCycles)
	f := failure{
		topic: r.Topic, partition: r.Partition, offset: r.Offset,
		timestamp: r.Timestamp.UnixMilli(), timestampType: r.Attrs.TimestampType(),
		group: cfg.Group, instance: instance, attempts: e.attempts(), stage: stageHandler,
		outer: outerType(cause), inner: errorType(cause), msg: clip(cause.Error(), maxMessage),
	}
	if note, ok := notes[HeaderStage]; ok {
		f.stage = note
	}
	headers := make([]kgo.RecordHeader, len(r.Headers), len(r.Headers)+16)
	copy(headers, r.Headers)
	w := headerWriter{func(name string, value []byte) {
		if note, ok := notes[name]; ok {
			value = []byte(note)
			delete(notes, name)
		}
		headers = append(headers, kgo.RecordHeader{Key: name, Value: value})
	}}
	styles := cfg.Poison.Headers
	if len(styles) == 0 {
		styles = []HeaderStyle{HeadersKIP1191}
	}
	for _, style := range styles {
		f.write(w, style)
	}
	w.text(HeaderStage, f.stage)
	w.number(HeaderAttempts, int64(f.attempts))
	w.text(HeaderErrorType, f.inner)
	w.number(HeaderOriginalTimestamp, f.timestamp)
	w.number(HeaderOriginalHeaders, int64(len(r.Headers)))
	w.number(HeaderFirstFailure, first.UnixMilli())
	w.text(HeaderInstance, instance)
	w.number(HeaderCycles, cycles(r)+1)
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		w.text(name, notes[name])
	}
	return &kgo.Record{Topic: cfg.deadLetterTopic(r.Topic), Key: r.Key, Value: r.Value, Headers: headers, Timestamp: now}
}

// cycles is how often a record was dead-lettered before it came here.
func cycles(r *kgo.Record) int64 {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key != HeaderCycles {
			continue
		}
		if n, err := strconv.ParseInt(string(h.Value), 10, 32); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

// annotations are the headers that an error asks for, the outermost first.
func annotations(err error) map[string]string {
	notes := make(map[string]string)
	for err != nil {
		var a *annotated
		if !errors.As(err, &a) {
			break
		}
		if _, ok := notes[a.header]; !ok {
			notes[a.header] = clip(a.value, maxMessage)
		}
		err = a.err
	}
	return notes
}

// errorType is the type of the innermost error: what the wrappers wrap.
func errorType(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("%T", err)
		}
		err = inner
	}
}

// clip makes s valid UTF-8 of n bytes at most.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
