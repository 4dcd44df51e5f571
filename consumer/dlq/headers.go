package dlq

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// convention is where a header style keeps what.
type convention struct {
	style                    consumer.HeaderStyle
	topic, partition, offset string
	binary                   bool // numbers are big-endian, else decimal
	group, stage, message    string
	errorType                []string // the best first
}

var conventions = []convention{
	{
		style: consumer.HeadersKIP1191,
		topic: consumer.HeaderTopic, partition: consumer.HeaderPartition, offset: consumer.HeaderOffset,
		group: consumer.HeaderGroup, message: consumer.HeaderMessage,
	}, {
		style: consumer.HeadersConnect,
		topic: consumer.ConnectTopic, partition: consumer.ConnectPartition, offset: consumer.ConnectOffset,
		group: consumer.ConnectConnector, stage: consumer.ConnectStage, message: consumer.ConnectMessage,
		errorType: []string{consumer.ConnectException},
	}, {
		style: consumer.HeadersSpring,
		topic: consumer.SpringTopic, partition: consumer.SpringPartition, offset: consumer.SpringOffset, binary: true,
		group: consumer.SpringGroup, message: consumer.SpringMessage,
		// The outer one is most often Spring's own.
		errorType: []string{consumer.SpringCause, consumer.SpringException},
	},
}

// headers are the headers of a record, with the last of each name.
type headers struct {
	all  []kgo.RecordHeader
	last map[string]int
	// first is the index before which headers count as absent.
	first int
}

func index(all []kgo.RecordHeader) headers {
	h := headers{all: all, last: make(map[string]int, len(all))}
	for i, one := range all {
		h.last[one.Key] = i
	}
	return h
}

func (h headers) value(name string) []byte {
	if i, ok := h.last[name]; ok && i >= h.first {
		return h.all[i].Value
	}
	return nil
}

// text is a header as text; "" if it is absent or has no name.
func (h headers) text(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToValidUTF8(string(h.value(name)), "�")
}

// number is a decimal header of that many bits; 0 if it is absent, no number or negative.
func (h headers) number(name string, bits int) int64 {
	n, err := strconv.ParseInt(string(h.value(name)), 10, bits+1)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (h headers) time(name string) time.Time {
	if ms := h.number(name, 63); ms > 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

func bigEndianTime(value []byte) time.Time {
	if len(value) != 8 {
		return time.Time{}
	}
	if ms := int64(binary.BigEndian.Uint64(value)); ms > 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

// origin reads the origin and the index of the header that names the topic; not ok
// if it is not complete.
func (c convention) origin(h headers) (o Origin, at int, ok bool) {
	at, ok = h.last[c.topic]
	if !ok || len(h.all[at].Value) == 0 {
		return Origin{}, 0, false
	}
	partition, ok := c.number(h.value(c.partition), 32)
	if !ok {
		return Origin{}, 0, false
	}
	offset, ok := c.number(h.value(c.offset), 64)
	if !ok {
		return Origin{}, 0, false
	}
	return Origin{string(h.all[at].Value), int32(partition), offset}, at, true
}

// number decodes a partition (32 bits) or an offset (64 bits); not ok if it is
// neither, or negative.
func (c convention) number(raw []byte, bits int) (n int64, ok bool) {
	if !c.binary {
		n, err := strconv.ParseInt(string(raw), 10, bits)
		return n, err == nil && n >= 0
	}
	if len(raw)*8 != bits {
		return 0, false
	}
	if bits == 32 {
		n = int64(int32(binary.BigEndian.Uint32(raw)))
	} else {
		n = int64(binary.BigEndian.Uint64(raw))
	}
	return n, n >= 0
}
