package observe

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	maxHeaders     = 64   // headers kept of one record
	maxHeaderName  = 256  // bytes kept of a header's name
	maxHeaderValue = 1024 // bytes kept of a header's value, as it is written
	base64Prefix   = "base64:"
)

// Convention is a set of headers by which a dead letter names the record it
// came from.
type Convention struct {
	Name                     string // as in history.Promises.DeadLetterHeaders
	Topic, Partition, Offset string // header names
	// Binary: partition and offset are big-endian, of 4 and 8 bytes; otherwise
	// they are decimal digits.
	Binary bool
}

// Conventions are those that are known, in the order in which they are believed.
var Conventions = []Convention{
	// KIP-1191, dead-letter queues of share groups. UTF-8 text.
	{Name: "kip-1191", Topic: "__dlq.errors.topic", Partition: "__dlq.errors.partition", Offset: "__dlq.errors.offset"},
	// KIP-298, Kafka Connect (errors.deadletterqueue.context.headers.enable). UTF-8 text.
	{Name: "connect", Topic: "__connect.errors.topic", Partition: "__connect.errors.partition", Offset: "__connect.errors.offset"},
	// Spring for Apache Kafka, DeadLetterPublishingRecoverer.
	{Name: "spring", Topic: "kafka_dlt-original-topic", Partition: "kafka_dlt-original-partition", Offset: "kafka_dlt-original-offset", Binary: true},
}

// origin is the record that a dead letter says it came from.
type origin struct {
	complete  bool
	topic     string
	partition int32
	offset    int64
	// note names the conventions that were complete, separated by ", " ("none"
	// if headers of some were there and none was complete), and after "; "
	// says what was wrong with others.
	note string
}

// where writes it as topic/partition@offset; "" if incomplete.
func (o origin) where() string {
	if !o.complete {
		return ""
	}
	return fmt.Sprintf("%s/%d@%d", o.topic, o.partition, o.offset)
}

// findOrigin reads the headers of a dead letter by every convention.
func findOrigin(hs []kgo.RecordHeader) origin {
	var found origin
	var names, faults []string
	for _, c := range Conventions {
		o, fault := c.read(hs)
		if fault != "" {
			faults = append(faults, fault)
		}
		if !o.complete {
			continue
		}
		names = append(names, c.Name)
		switch {
		case !found.complete:
			found = o
		case found != o:
			faults = append(faults, fmt.Sprintf("%s says %s", c.Topic, o.where()))
		}
	}
	found.note = strings.Join(names, ", ")
	if len(faults) > 0 {
		if len(names) == 0 {
			found.note = "none"
		}
		found.note += "; " + strings.Join(faults, "; ")
	}
	return found
}

// read reads the headers of one convention; fault says what is wrong with them
// if some are there but do not make sense.
func (c Convention) read(hs []kgo.RecordHeader) (o origin, fault string) {
	topic, hasTopic := header(hs, c.Topic)
	partition, hasPartition := header(hs, c.Partition)
	offset, hasOffset := header(hs, c.Offset)
	if !hasTopic && !hasPartition && !hasOffset {
		return origin{}, ""
	}
	switch {
	case !hasTopic:
		return origin{}, "header " + c.Topic + " is missing"
	case !hasPartition:
		return origin{}, "header " + c.Partition + " is missing"
	case !hasOffset:
		return origin{}, "header " + c.Offset + " is missing"
	}
	p, err := c.number(partition, 32)
	if err != nil {
		return origin{}, fmt.Sprintf("header %s %v", c.Partition, err)
	}
	n, err := c.number(offset, 64)
	if err != nil {
		return origin{}, fmt.Sprintf("header %s %v", c.Offset, err)
	}
	return origin{complete: true, topic: bounded(string(topic), maxHeaderValue), partition: int32(p), offset: n}, ""
}

// number decodes a partition (32 bits) or an offset (64 bits).
func (c Convention) number(raw []byte, bits int) (int64, error) {
	if c.Binary {
		if len(raw)*8 != bits {
			return 0, fmt.Errorf("has %d bytes where %d belong", len(raw), bits/8)
		}
		if bits == 32 {
			return int64(int32(binary.BigEndian.Uint32(raw))), nil
		}
		return int64(binary.BigEndian.Uint64(raw)), nil
	}
	n, err := strconv.ParseInt(string(raw), 10, bits)
	if err != nil {
		return 0, fmt.Errorf("is %.32q, not a decimal number of %d bits", raw, bits)
	}
	return n, nil
}

// header returns the first header of that name. The first is the original
// where a record was dead-lettered more than once and each time appended its own.
func header(hs []kgo.RecordHeader, name string) ([]byte, bool) {
	for _, h := range hs {
		if h.Key == name {
			return h.Value, true
		}
	}
	return nil, false
}

// headers writes headers for the history, within bounds. A repeated name gets
// "#2", "#3"… appended.
func headers(hs []kgo.RecordHeader) map[string]string {
	if len(hs) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(hs), maxHeaders))
	seen := make(map[string]int)
	for _, h := range hs[:min(len(hs), maxHeaders)] {
		name := bounded(h.Key, maxHeaderName)
		seen[name]++
		if n := seen[name]; n > 1 {
			name += "#" + strconv.Itoa(n)
		}
		out[name] = text(h.Value)
	}
	return out
}

// text writes a header value: as it is where it is printable UTF-8, otherwise
// in base64 with a prefix. Longer than maxHeaderValue bytes, it is cut, and says so.
func text(value []byte) string {
	if printable(value) {
		return bounded(string(value), maxHeaderValue)
	}
	room := base64.StdEncoding.DecodedLen(maxHeaderValue - len(base64Prefix) - len(cutMark(len(value))))
	if base64.StdEncoding.EncodedLen(len(value)) <= maxHeaderValue-len(base64Prefix) {
		return base64Prefix + base64.StdEncoding.EncodeToString(value)
	}
	room -= room % 3 // whole groups, so that what is left still decodes
	return base64Prefix + base64.StdEncoding.EncodeToString(value[:room]) + cutMark(len(value))
}

// printable tells text from binary: UTF-8 without control characters other
// than tab and line ends. Four bytes of a small big-endian number are binary.
func printable(value []byte) bool {
	if !utf8.Valid(value) {
		return false
	}
	for _, r := range string(value) {
		if (r < ' ' && r != '\t' && r != '\n' && r != '\r') || r == 0x7f {
			return false
		}
	}
	return true
}

// bounded cuts s to at most limit bytes, the mark included, between two characters.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	mark := cutMark(len(s))
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

func cutMark(size int) string { return fmt.Sprintf("…(%d bytes)", size) }
