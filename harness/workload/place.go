package workload

import (
	"strconv"
	"strings"
)

// HeaderRecord is the header by which an effect (HTTP) and an output (Kafka) name the record
// that they were made from, as topic/partition/offset.
const HeaderRecord = "Ksim-Record"

// ParseRecord reads topic/partition/offset, of that topic.
func ParseRecord(topic, record string) (partition int32, offset int64, ok bool) {
	rest, ours := strings.CutPrefix(record, topic+"/")
	p, o, cut := strings.Cut(rest, "/")
	part, perr := strconv.ParseInt(p, 10, 32)
	offset, oerr := strconv.ParseInt(o, 10, 64)
	return int32(part), offset, ours && cut && perr == nil && oerr == nil && part >= 0 && offset >= 0
}
