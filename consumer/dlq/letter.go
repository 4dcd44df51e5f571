package dlq

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// State tells whether a letter was sent back.
type State string

// The states.
const (
	Unknown  State = ""         // the group may not be read
	Pending  State = "pending"  // not sent yet
	Replayed State = "replayed" // sent back, by the group that was asked for
)

// Origin is the record that a letter was.
type Origin struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String writes it as topic/partition@offset; "" if it is not known.
func (o Origin) String() string {
	if o.Topic == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d@%d", o.Topic, o.Partition, o.Offset)
}

// Letter is a dead letter, read. What its headers do not tell is zero.
type Letter struct {
	// Record is the letter as it lies in the dead-letter topic.
	Record *kgo.Record
	State  State
	// Style is the convention whose headers told the origin; "" if none did.
	Style  consumer.HeaderStyle
	Origin Origin
	Group  string // that could not handle it; the connector, for Kafka Connect
	Stage  string
	// ErrorType and Message are those of the error.
	ErrorType, Message string
	Attempts           int
	// Cycles is how often the record was dead-lettered, this time included.
	Cycles   int
	Instance string
	SchemaID string
	// OriginalTime is the record's own timestamp, FirstFailure when it first failed.
	OriginalTime, FirstFailure time.Time

	originals int // how many headers the record itself had; -1 if that is not known
}

// Place is where the letter lies, as topic/partition@offset.
func (l *Letter) Place() string {
	return Origin{l.Record.Topic, l.Record.Partition, l.Record.Offset}.String()
}

// Read reads the headers of a dead letter. Headers that make no sense count as
// absent. Where several conventions are complete, the one that stands last counts:
// whoever wrote it had the record last.
func Read(r *kgo.Record) *Letter {
	l := &Letter{Record: r}
	var style convention // of those whose headers are complete
	h := index(r.Headers)
	at := -1 // index of the header that names the topic
	for _, c := range conventions {
		if o, i, ok := c.origin(h); ok && i > at {
			at, l.Origin, style = i, o, c
		}
	}
	l.Style = style.style
	l.originals = originals(h, at)
	h.first = max(l.originals, 0) // what stands before is the record's own
	l.Stage, l.ErrorType = h.text(consumer.HeaderStage), h.text(consumer.HeaderErrorType)
	for _, c := range append([]convention{style}, conventions...) { // its own word counts first
		set(&l.Group, h.text(c.group))
		set(&l.Stage, h.text(c.stage))
		set(&l.Message, h.text(c.message))
		for _, name := range c.errorType {
			set(&l.ErrorType, h.text(name))
		}
	}
	l.Instance, l.SchemaID = h.text(consumer.HeaderInstance), h.text(consumer.HeaderSchemaID)
	l.Attempts = int(h.number(consumer.HeaderAttempts, 31))
	if l.Attempts == 0 {
		l.Attempts = int(h.number(consumer.HeaderDeliveryCount, 31))
	}
	l.OriginalTime, l.FirstFailure = h.time(consumer.HeaderOriginalTimestamp), h.time(consumer.HeaderFirstFailure)
	if l.OriginalTime.IsZero() && l.Style == consumer.HeadersSpring {
		l.OriginalTime = bigEndianTime(h.value(consumer.SpringTimestamp))
	}
	if l.OriginalTime.IsZero() && l.Style == consumer.HeadersConnect {
		l.OriginalTime = r.Timestamp // Connect keeps it
	}
	l.Cycles = int(h.number(consumer.HeaderCycles, 31))
	if l.originals < 0 {
		l.Cycles++ // whoever wrote it does not count, but a replay may have
	}
	return l
}

// set sets what is not set yet.
func set(to *string, value string) {
	if *to == "" {
		*to = value
	}
}

// originals is how many headers the record had, as the letter says; -1 if it does
// not, or if another program has put the letter aside again since.
func originals(h headers, at int) int {
	i, ok := h.last[consumer.HeaderOriginalHeaders]
	if !ok || i < at {
		return -1
	}
	n, err := strconv.Atoi(string(h.all[i].Value))
	if err != nil || n < 0 || n > i || at >= 0 && n > at {
		return -1
	}
	return n
}

// Headers are the headers of the record before it was put aside, without those of
// an earlier replay.
func (l *Letter) Headers() []kgo.RecordHeader {
	all := l.Record.Headers
	if n := l.originals; n >= 0 {
		// A replay puts its two at the end. In the middle they are somebody else's.
		if n >= 2 && all[n-2].Key == consumer.HeaderCycles && all[n-1].Key == consumer.HeaderReplayed {
			n -= 2
		}
		return all[:n:n]
	}
	var own []kgo.RecordHeader
	for _, h := range all {
		if !added(h.Key) {
			own = append(own, h)
		}
	}
	return own
}

// added tells whether a header of that name was added to a dead letter, where the
// letter does not say itself which were.
func added(name string) bool {
	for _, prefix := range []string{"ksim.dlq.", "__dlq.errors.", "__connect.errors.", "kafka_dlt-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Restore builds the record that sends the letter back to where it came from: to
// its topic and partition, with its original timestamp where that is known. The
// caller checks that there are such a topic and partition.
func (l *Letter) Restore() *kgo.Record {
	own := l.Headers()
	at := l.OriginalTime
	if at.IsZero() {
		at = l.Record.Timestamp
	}
	return &kgo.Record{
		Topic: l.Origin.Topic, Partition: l.Origin.Partition, Timestamp: at,
		Key: l.Record.Key, Value: l.Record.Value,
		Headers: append(own[:len(own):len(own)],
			kgo.RecordHeader{Key: consumer.HeaderCycles, Value: strconv.AppendInt(nil, int64(l.Cycles), 10)},
			kgo.RecordHeader{Key: consumer.HeaderReplayed, Value: []byte(l.Place())},
		),
	}
}
