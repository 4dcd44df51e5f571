package workload

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// maxKeysInMemory is for how many keys a Source holds the bytes and the partition. It computes
// those beyond.
const maxKeysInMemory = 1_000_000

// SourceSpec describes the messages of a load. Its fields are those of a Spec, but for the sizes.
type SourceSpec struct {
	Prefix       string  // of ids: l makes l-000001; "" is l
	Partitions   int32   // of the topic; a message goes to murmur2(key) % Partitions
	Keys         int     // distinct keys, 1 to MaxKeys
	Distribution string  // of keys: Uniform or Zipf; "" is Uniform
	ZipfS        float64 // exponent for Zipf, > 0
	// Sizes are the lengths of values in bytes. With a template they are the least
	// lengths, and reached by its {{.Padding}}.
	Sizes    Sizes
	Template string // as in Spec; "" makes {"id":…,"key":…,"seq":…,"ts":…,"pad":…}
	Seed     int64
}

// spec is a Spec of as many messages as a load may have, and whose last is due as late as a load may go on. It
// tells what is wrong, and how long the longest value is.
func (s SourceSpec) spec() Spec {
	return Spec{
		Messages: 999_999_999, Rate: 1, Partitions: s.Partitions, Keys: s.Keys, Distribution: s.Distribution, ZipfS: s.ZipfS,
		Size: s.Sizes.Min(), Template: s.Template, Seed: s.Seed, Prefix: s.Prefix,
	}
}

// Source makes the messages of a load, as fast as a producer takes them. All of a message follows
// from the seed and its number, so that no ledger is needed to know it again. Next is for one
// goroutine; the other methods are for any.
type Source struct {
	spec SourceSpec
	draw keyDraw
	// Of the first keys: what they are, one behind the other, all of the same length, and their partitions.
	names      []byte
	partitions []int32

	open   string // of a value, up to the number of its id
	values slab
	render *payloads // nil for the default JSON
}

// keyLength is how long the names of the keys in memory are, in bytes.
const keyLength = len("k-000000")

// NewSource returns a source, or all that is wrong with the spec.
func NewSource(spec SourceSpec) (*Source, error) {
	if spec.Prefix == "" {
		spec.Prefix = "l"
	}
	if spec.Distribution == "" {
		spec.Distribution = Uniform
	}
	if spec.Sizes.Min() == 0 {
		return nil, errors.New("workload: there are no sizes; ParseSizes makes some")
	}
	if err := spec.spec().Validate(); err != nil {
		return nil, err
	}
	s := &Source{spec: spec, draw: spec.spec().keyDraw(), open: `{"id":"` + spec.Prefix + "-"}
	held := min(spec.Keys, maxKeysInMemory)
	s.names, s.partitions = make([]byte, 0, held*keyLength), make([]int32, held)
	for i := range held {
		s.names = appendKey(s.names, i)
		s.partitions[i] = PartitionOf(s.names[i*keyLength:], spec.Partitions)
	}
	return s, s.prepare()
}

// prepare makes the part of a source that no two goroutines can share.
func (s *Source) prepare() (err error) {
	if s.spec.Template != "" {
		s.render, err = newPayloads(s.spec.spec(), new(rand.PCG))
	}
	return err
}

// Clone returns a source of the same messages for another goroutine. Both share the keys in memory.
func (s *Source) Clone() (*Source, error) {
	c := &Source{spec: s.spec, draw: s.draw, names: s.names, partitions: s.partitions, open: s.open}
	return c, c.prepare()
}

// ID is the id of message seq, from 0.
func (s *Source) ID(seq int) string {
	return string(appendSix(append([]byte(s.spec.Prefix), '-'), seq))
}

// SeqOf is the inverse of ID. ok is false for what ID does not return for any seq.
func (s *Source) SeqOf(id string) (seq int, ok bool) {
	digits, ok := strings.CutPrefix(id, s.spec.Prefix)
	if !ok || len(digits) < 7 || digits[0] != '-' || len(digits) > 7 && digits[1] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits[1:], 10, strconv.IntSize-1) // takes no sign
	return int(n), err == nil
}

// KeyOf is the key of message seq, and the partition that it goes to. The key must not be changed.
func (s *Source) KeyOf(seq int) (key []byte, partition int32) {
	var r rand.PCG
	s.seed(&r, seq)
	return s.key(&r)
}

// Next makes message seq (from 0), which is due at due from the start of the load: its key, its value, and the
// partition that it goes to. Key and value must not be changed; they may be held for ever. There is
// an error only for a template that fails for some messages.
func (s *Source) Next(seq int, due time.Duration) (key, value []byte, partition int32, err error) {
	var r rand.PCG
	s.seed(&r, seq)
	key, partition = s.key(&r)
	size := s.spec.Sizes.min
	if s.spec.Sizes.kind != fixedSize {
		size = s.spec.Sizes.Draw(&r)
	}
	if s.render == nil {
		return key, s.json(seq, key, due, size, r.Uint64()), partition, nil
	}
	s.render.spec.Size = size
	s.render.rand.Seed(r.Uint64(), r.Uint64())
	value, err = s.render.value(Message{ID: s.ID(seq), Seq: seq, Key: key, Due: due})
	if err != nil {
		return nil, nil, 0, fmt.Errorf("message %d: %w", seq, err)
	}
	return key, value, partition, nil
}

// seed begins the stream of one message. The number is mixed, since those of neighbours are alike.
func (s *Source) seed(r *rand.PCG, seq int) {
	r.Seed(uint64(s.spec.Seed)+streamSource<<56, mix(uint64(seq)*gamma))
}

// key draws a key: the first number of each stream.
func (s *Source) key(r *rand.PCG) (key []byte, partition int32) {
	n := s.draw.draw(r)
	if n < len(s.partitions) {
		return s.names[n*keyLength : (n+1)*keyLength : (n+1)*keyLength], s.partitions[n]
	}
	key = appendKey(nil, n)
	return key, PartitionOf(key, s.spec.Partitions)
}

// around is more than what stands around the padding of any value, but for its id and its key.
const around = len(`{"id":"","key":"","seq":,"ts":,"pad":""}`) + 2*20

// json makes the default value: that of payloads.json, and faster. Its padding begins at the state random.
func (s *Source) json(seq int, key []byte, due time.Duration, size int, random uint64) []byte {
	const end = `"}`
	room := max(size, around+len(s.spec.Prefix)+21+len(key))
	b := s.values.room(room + word)
	b = append(b, s.open...)
	b = appendSix(b, seq)
	b = append(append(b, `","key":"`...), key...)
	b = strconv.AppendInt(append(b, `","seq":`...), int64(seq), 10)
	b = strconv.AppendInt(append(b, `,"ts":`...), due.Milliseconds(), 10)
	b = append(b, `,"pad":"`...)
	if n := size - len(b) - len(end); n > 0 {
		from := len(b)
		pad(b[from:from+n+word-1], random) // the last word may reach beyond, where nothing is yet
		b = b[:from+n]
	}
	b = append(b, end...)
	return s.values.cut(len(b))
}

func appendKey(b []byte, n int) []byte { return appendSix(append(b, "k-"...), n) }

// appendSix appends a number with at least six digits.
func appendSix(b []byte, n int) []byte {
	for limit := 100_000; limit > n && limit > 1; limit /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, int64(n), 10)
}
