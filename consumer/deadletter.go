package consumer

import (
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

// Headers of a dead letter, all of them text: numbers in decimal, times in
// milliseconds since 1970. The first six are named by KIP-1191.
const (
	HeaderTopic         = "__dlq.errors.topic"
	HeaderPartition     = "__dlq.errors.partition"
	HeaderOffset        = "__dlq.errors.offset"
	HeaderGroup         = "__dlq.errors.group"
	HeaderDeliveryCount = "__dlq.errors.delivery.count"
	HeaderMessage       = "__dlq.errors.message" // the error, 1 KiB at most

	HeaderStage             = "ksim.dlq.stage" // where it failed: handler, unless Annotate says otherwise
	HeaderAttempts          = "ksim.dlq.attempts"
	HeaderErrorType         = "ksim.dlq.error.type" // Go type of the innermost error
	HeaderOriginalTimestamp = "ksim.dlq.original.timestamp"
	HeaderFirstFailure      = "ksim.dlq.first.failure"
	HeaderInstance          = "ksim.dlq.instance"  // Config.InstanceID, else ClientID
	HeaderSchemaID          = "ksim.dlq.schema.id" // of the record's value, where it has one
	HeaderCycles            = "ksim.dlq.cycles"    // how often it was dead-lettered, this time included
)

const maxMessage = 1024

// deadLetter builds the dead letter of a record: key, value and headers as they
// were, then the headers above. Where a header occurs twice, because the record
// was dead-lettered before, the last one counts. Its timestamp is now, since
// retention could delete one with an old timestamp at once.
func deadLetter(cfg *Config, e *entry, cause error, now time.Time) *kgo.Record {
	r := e.rec
	instance := cfg.InstanceID
	if instance == "" {
		instance = cfg.ClientID
	}
	cycles := int64(1)
	headers := make([]kgo.RecordHeader, len(r.Headers), len(r.Headers)+13)
	copy(headers, r.Headers)
	for _, h := range r.Headers {
		if h.Key == HeaderCycles {
			if n, err := strconv.ParseInt(string(h.Value), 10, 32); err == nil && n > 0 {
				cycles = n + 1
			}
		}
	}
	first := e.failed
	if first.IsZero() {
		first = now
	}
	notes := annotations(cause)
	text := func(name, value string) {
		if note, ok := notes[name]; ok {
			value = note
			delete(notes, name)
		}
		headers = append(headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	number := func(name string, n int64) { text(name, strconv.FormatInt(n, 10)) }
	text(HeaderTopic, r.Topic)
	number(HeaderPartition, int64(r.Partition))
	number(HeaderOffset, r.Offset)
	text(HeaderGroup, cfg.Group)
	number(HeaderDeliveryCount, int64(e.attempts))
	text(HeaderMessage, clip(cause.Error(), maxMessage))
	text(HeaderStage, "handler")
	number(HeaderAttempts, int64(e.attempts))
	text(HeaderErrorType, errorType(cause))
	number(HeaderOriginalTimestamp, r.Timestamp.UnixMilli())
	number(HeaderFirstFailure, first.UnixMilli())
	text(HeaderInstance, instance)
	number(HeaderCycles, cycles)
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		text(name, notes[name])
	}
	return &kgo.Record{Topic: cfg.deadLetterTopic(r.Topic), Key: r.Key, Value: r.Value, Headers: headers, Timestamp: now}
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
