package consumer

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// HeaderStyle is a convention by which the headers of a dead letter name the
// record that it was and what went wrong.
type HeaderStyle string

// The header styles.
const (
	// HeadersKIP1191 are those of Kafka's own dead-letter queues for share groups:
	// [HeaderTopic] and so on, all text.
	HeadersKIP1191 HeaderStyle = "kip-1191"
	// HeadersConnect are those of Kafka Connect (KIP-298), all text:
	// [ConnectTopic] and so on. The connector is the group, the task is this
	// instance. No stack trace is written.
	HeadersConnect HeaderStyle = "connect"
	// HeadersSpring are those of Spring for Apache Kafka, numbers big-endian:
	// [SpringTopic] and so on. No stack trace is written.
	HeadersSpring HeaderStyle = "spring"
)

// Headers of every dead letter, of any style, all of them text: numbers in
// decimal, times in milliseconds since 1970.
const (
	HeaderStage             = "ksim.dlq.stage" // where it failed: handler, unless Annotate says otherwise
	HeaderAttempts          = "ksim.dlq.attempts"
	HeaderErrorType         = "ksim.dlq.error.type" // Go type of the innermost error
	HeaderOriginalTimestamp = "ksim.dlq.original.timestamp"
	// HeaderOriginalHeaders is how many headers the record itself had. They come
	// first in its dead letter; all that follow were added.
	HeaderOriginalHeaders = "ksim.dlq.original.headers"
	HeaderFirstFailure    = "ksim.dlq.first.failure"
	HeaderInstance        = "ksim.dlq.instance"  // Config.InstanceID, else ClientID
	HeaderSchemaID        = "ksim.dlq.schema.id" // of the record's value, where it has one
	HeaderCycles          = "ksim.dlq.cycles"    // how often it was dead-lettered, this time included
)

// HeaderReplayed is on a record that was sent back from a dead-letter topic, as
// its last one: topic/partition@offset of the letter. [HeaderCycles] stands
// before it, so that cycles go on counting. See package dlq.
const HeaderReplayed = "ksim.dlq.replayed"

// Headers of [HeadersKIP1191].
const (
	HeaderTopic         = "__dlq.errors.topic"
	HeaderPartition     = "__dlq.errors.partition"
	HeaderOffset        = "__dlq.errors.offset"
	HeaderGroup         = "__dlq.errors.group"
	HeaderDeliveryCount = "__dlq.errors.delivery.count"
	HeaderMessage       = "__dlq.errors.message" // the error, 1 KiB at most
)

// Headers of [HeadersConnect].
const (
	ConnectTopic     = "__connect.errors.topic"
	ConnectPartition = "__connect.errors.partition"
	ConnectOffset    = "__connect.errors.offset"
	ConnectConnector = "__connect.errors.connector.name"       // the group
	ConnectTask      = "__connect.errors.task.id"              // as HeaderInstance
	ConnectStage     = "__connect.errors.stage"                // as HeaderStage; TASK_PUT for handler
	ConnectClass     = "__connect.errors.class.name"           // what ran: consumer.Handler
	ConnectException = "__connect.errors.exception.class.name" // as HeaderErrorType
	ConnectMessage   = "__connect.errors.exception.message"    // the error, 1 KiB at most
)

// Headers of [HeadersSpring].
const (
	SpringTopic         = "kafka_dlt-original-topic"
	SpringPartition     = "kafka_dlt-original-partition"      // 4 bytes, big-endian
	SpringOffset        = "kafka_dlt-original-offset"         // 8 bytes, big-endian
	SpringTimestamp     = "kafka_dlt-original-timestamp"      // milliseconds since 1970, 8 bytes, big-endian
	SpringTimestampType = "kafka_dlt-original-timestamp-type" // CreateTime, LogAppendTime or NoTimestampType
	SpringGroup         = "kafka_dlt-original-consumer-group"
	SpringException     = "kafka_dlt-exception-fqcn"       // Go type of the error that the handler returned
	SpringCause         = "kafka_dlt-exception-cause-fqcn" // Go type of the innermost error, if it is another
	SpringMessage       = "kafka_dlt-exception-message"    // the error, 1 KiB at most
)

// failure is what a dead letter has to tell.
type failure struct {
	topic             string
	partition         int32
	offset            int64
	timestamp         int64 // milliseconds
	timestampType     int8
	group, instance   string
	attempts          int
	stage             string
	outer, inner, msg string // of the error: types and text
}

// headerWriter appends headers, each with the note of that name in its place if
// an error asks for it.
type headerWriter struct {
	add func(name string, value []byte)
}

func (w headerWriter) text(name, value string) { w.add(name, []byte(value)) }

func (w headerWriter) number(name string, n int64) { w.text(name, strconv.FormatInt(n, 10)) }

func (f *failure) write(w headerWriter, style HeaderStyle) {
	switch style {
	case HeadersConnect:
		f.connect(w)
	case HeadersSpring:
		f.spring(w)
	default:
		f.kip1191(w)
	}
}

func (f *failure) kip1191(w headerWriter) {
	w.text(HeaderTopic, f.topic)
	w.number(HeaderPartition, int64(f.partition))
	w.number(HeaderOffset, f.offset)
	w.text(HeaderGroup, f.group)
	w.number(HeaderDeliveryCount, int64(f.attempts))
	w.text(HeaderMessage, f.msg)
}

func (f *failure) connect(w headerWriter) {
	stage := f.stage
	if stage == stageHandler {
		stage = "TASK_PUT" // of Connect's stages, the one that hands records to a sink
	}
	w.text(ConnectTopic, f.topic)
	w.number(ConnectPartition, int64(f.partition))
	w.number(ConnectOffset, f.offset)
	w.text(ConnectConnector, f.group)
	w.text(ConnectTask, f.instance)
	w.text(ConnectStage, stage)
	w.text(ConnectClass, "consumer.Handler")
	w.text(ConnectException, f.inner)
	w.text(ConnectMessage, f.msg)
}

func (f *failure) spring(w headerWriter) {
	w.text(SpringException, f.outer)
	if f.inner != f.outer {
		w.text(SpringCause, f.inner)
	}
	w.text(SpringMessage, f.msg)
	w.text(SpringTopic, f.topic)
	w.add(SpringPartition, binary.BigEndian.AppendUint32(nil, uint32(f.partition)))
	w.add(SpringOffset, binary.BigEndian.AppendUint64(nil, uint64(f.offset)))
	w.add(SpringTimestamp, binary.BigEndian.AppendUint64(nil, uint64(f.timestamp)))
	kind := "NoTimestampType"
	switch f.timestampType {
	case 0:
		kind = "CreateTime"
	case 1:
		kind = "LogAppendTime"
	}
	w.text(SpringTimestampType, kind)
	w.text(SpringGroup, f.group)
}

// outerType is the type of the error as the handler made it: without what says
// what is to become of the record.
func outerType(err error) string {
	for {
		switch e := err.(type) { //nolint:errorlint // it is unwrapped step by step here
		case *permanent:
			err = e.err
		case *retryAfter:
			err = e.err
		case *unavailable:
			err = e.err
		case *annotated:
			err = e.err
		default:
			return fmt.Sprintf("%T", err)
		}
	}
}
