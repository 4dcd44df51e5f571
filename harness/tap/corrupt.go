package tap

import (
	"encoding/binary"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Corrupt flips the bits of one byte of a record batch, so that its CRC is wrong: of the first batch of
// each selected partition, in a Fetch response (what the member gets) or a Produce request (what
// the broker gets). A call without a whole batch there does not match. The byte is in the middle of the first record's
// value, or in the last record if the batch is compressed. A client that does not check CRCs (librdkafka without
// check.crcs, its default) takes the record for a good one with another content.
type Corrupt struct {
	// Checksum damages the CRC itself, and leaves the records as they are: who does not check does not notice.
	Checksum bool
}

func (c Corrupt) act(f *flight) outcome {
	for _, b := range batches(f, f.selection(f.armed.rule)) {
		at := weakSpot(b)
		if c.Checksum {
			at = batchCRC
		}
		b[at] ^= 0xff
	}
	f.changed = true
	f.armed.announce(f.call)
	return forward
}

func (Corrupt) applies(f *flight, s selection) bool { return len(batches(f, s)) > 0 }

// Of a record batch (v2) and of the message sets before it: base offset (8), length (4, of what follows), …
const (
	batchLength   = 8
	batchOverhead = 12
	// batchCovered is behind all that says how to read a batch: what follows is records, and covered by the CRC.
	batchCovered = 61
	batchCRC     = 17 // and where the CRC is (4)
	// batchAttributes is where the attributes are (2); their lowest bits say how the records are compressed.
	batchAttributes = 21
	compression     = 0x07
)

// weakSpot is the byte of a batch to damage: one that shows, if nobody checks the CRC.
func weakSpot(b []byte) int {
	last := len(b) - 1
	if b[batchAttributes+1]&compression != 0 {
		return last
	}
	at := batchCovered
	varint := func() int64 {
		v, n := binary.Varint(b[at:])
		at += max(n, 1)
		return v
	}
	for _, field := range []string{"length", "attributes", "timestamp", "offset", "key"} {
		if at > last {
			return last
		}
		switch field {
		case "attributes":
			at++
		case "key":
			if n := varint(); n > 0 && n < int64(len(b)) {
				at += int(n)
			}
		default:
			varint()
		}
	}
	if at > last {
		return last
	}
	if n := varint(); n > 0 && int64(at)+n <= int64(last) {
		return at + int(n/2)
	}
	return last
}

// batches returns the first whole batch of each selected partition, where it lies.
func batches(f *flight, s selection) (found [][]byte) {
	var msg any
	field := "RecordBatches"
	switch r := f.resp.(type) {
	case *kmsg.FetchResponse:
		msg = r
	case nil:
		if req, ok := f.ex.req.(*kmsg.ProduceRequest); ok && f.call.Direction == Request {
			msg, field = req, "Records"
		}
	}
	if msg == nil {
		return nil
	}
	s.walk(reflect.ValueOf(msg).Elem(), place{}, func(at place, v reflect.Value) {
		if v.Kind() != reflect.Struct || !s.names(at) {
			return
		}
		records := v.FieldByName(field)
		if !records.IsValid() || records.Kind() != reflect.Slice {
			return
		}
		b := records.Bytes()
		if len(b) < batchCovered {
			return
		}
		if n := batchOverhead + int(int32(binary.BigEndian.Uint32(b[batchLength:]))); n > batchCovered && n <= len(b) {
			found = append(found, b[:n])
		}
	})
	return found
}

func (Corrupt) validate(r Rule, bad func(bool, string, ...any)) {
	ok := r.Key == kmsg.Fetch.Int16() && r.Direction == Response || r.Key == kmsg.Produce.Int16() && r.Direction == Request
	bad(!ok || len(r.Also) > 0, "record batches are in responses of Fetch and requests of Produce: choose one of these")
}

func (c Corrupt) String() string {
	if c.Checksum {
		return nameCorrupt + " " + nameChecksum
	}
	return nameCorrupt
}
