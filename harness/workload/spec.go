package workload

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Bounds of a Spec.
const (
	// MaxValue bounds a value in bytes. Kafka's default for
	// max.message.bytes is 1,048,588; key, headers and the batch around the value must
	// fit as well.
	MaxValue = 1_000_000 - 4096
	// MaxKeys bounds the number of distinct keys.
	MaxKeys = 10_000_000
	// DefaultOversized is the size of an oversized value where Mix does not say, in bytes.
	DefaultOversized = 256 << 10
)

// Names of distributions of keys.
const (
	Uniform = "uniform" // every key is as likely as any other
	Zipf    = "zipf"    // the n-th key has a weight of 1/n^s
)

// Poison says what is wrong with a message; "" is a healthy one.
type Poison string

// The kinds of poison.
const (
	Healthy     Poison = ""
	Undecodable Poison = "undecodable" // the value is neither JSON nor UTF-8
	Permanent   Poison = "permanent"   // a good value that the downstream system refuses for ever
	Transient   Poison = "transient"   // refused Message.Failures times, then taken
	Tombstone   Poison = "tombstone"   // no value at all; not poison, but often mistaken for it
	Oversized   Poison = "oversized"   // a good value, far too large for the downstream system
)

// Mix says how many of the messages are not healthy. Where they stand
// is drawn by the seed: spread over the whole run, in mixed order.
type Mix struct {
	Undecodable, Permanent, Transient, Tombstones, Oversized int

	// TransientFailures is how often each transient message is refused before
	// it is taken. Required where Transient > 0.
	TransientFailures int
	// OversizedBytes is the size of an oversized value; 0 is DefaultOversized.
	OversizedBytes int

	// Large messages are healthy, and as large as a broker takes by default: MaxValue.
	Large int
	// Aborted messages are sent in transactions that are aborted, Committed ones in such that are
	// committed; both beside the others, and with others in between. They are healthy.
	Aborted, Committed int
}

// Total is the number of messages that are not healthy.
func (m Mix) Total() int {
	return m.Undecodable + m.Permanent + m.Transient + m.Tombstones + m.Oversized
}

// special is the number of messages that are not like all others.
func (m Mix) special() int { return m.Total() + m.Large + m.Aborted + m.Committed }

// Transactional tells whether some messages are sent in transactions.
func (m Mix) Transactional() bool { return m.Aborted+m.Committed > 0 }

// Spec describes a workload. The zero value is not valid; Validate lists
// everything that is wrong with one.
type Spec struct {
	Messages   int
	Partitions int32 // of the topic; a message goes to murmur2(key) % Partitions
	Keys       int   // distinct keys
	// Filled is how many partitions get messages, the first ones; 0 is all.
	Filled int32

	Distribution string  // of keys: Uniform or Zipf
	ZipfS        float64 // exponent for Zipf, > 0; 0.99 is what YCSB uses

	// Size is the length of a value in bytes. With a template it is the least
	// length, and reached by its {{.Padding}}.
	Size int
	// Template is a text/template that makes the value, with .ID, .Key, .Seq,
	// .Time (ms since the start of the schedule) and .Padding. "" makes
	// {"id":…,"key":…,"seq":…,"ts":…,"pad":…}.
	Template string

	Rate        float64 // messages/s, open loop; 0 is as fast as it goes
	Mix         Mix
	Seed        int64
	Compression string // none, gzip, snappy, lz4 or zstd; "" is none
	Prefix      string // of ids: m makes m-000001; "" is m. Values of two specs differ if their prefixes do
}

var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._]{0,32}$`)

// Validate returns all that is wrong with the spec, joined, or nil.
func (s Spec) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("workload: "+format, args...)) }
	if s.Messages < 1 {
		wrong("messages is %d: at least 1 is needed", s.Messages)
	}
	if s.Partitions < 1 {
		wrong("partitions is %d: at least 1 is needed", s.Partitions)
	}
	if s.Filled < 0 || s.Filled > s.Partitions {
		wrong("filled is %d: at most all %d partitions can get messages", s.Filled, s.Partitions)
	}
	if s.Keys < 1 || s.Keys > MaxKeys {
		wrong("keys is %d: 1 to %d are possible", s.Keys, MaxKeys)
	}
	switch s.Distribution {
	case Uniform:
	case Zipf:
		if !(s.ZipfS > 0) || s.ZipfS > 20 {
			wrong("zipf exponent is %v: it must be above 0 and at most 20; 0.99 is usual", s.ZipfS)
		}
	default:
		wrong("distribution %q is not known: use %s or %s", s.Distribution, Uniform, Zipf)
	}
	if !(s.Rate >= 0) || math.IsInf(s.Rate, 0) {
		wrong("rate is %v: it must be 0 (as fast as it goes) or a number of messages per second", s.Rate)
	}
	if _, ok := codecs[s.Compression]; !ok {
		wrong("compression %q is not known: use %s", s.Compression, strings.Join(codecNames(), ", "))
	}
	if !prefixPattern.MatchString(s.Prefix) {
		wrong("prefix %q: at most 32 letters, digits, dots and underscores are possible", s.Prefix)
	}
	errs = append(errs, s.Mix.validate(s.Messages)...)
	// What a payload needs can only be told for a spec that is right so far.
	if len(errs) == 0 {
		errs = append(errs, s.validatePayload()...)
	}
	return errors.Join(errs...)
}

func (m Mix) validate(messages int) (errs []error) {
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("workload: mix: "+format, args...))
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"undecodable", m.Undecodable}, {"permanent", m.Permanent}, {"transient", m.Transient}, {"tombstones", m.Tombstones},
		{"oversized", m.Oversized}, {"transient failures", m.TransientFailures}, {"oversized bytes", m.OversizedBytes},
		{"large", m.Large}, {"aborted", m.Aborted}, {"committed", m.Committed},
	} {
		if n.value < 0 {
			wrong("%s is %d: it cannot be negative", n.name, n.value)
		}
	}
	if m.special() > messages && messages > 0 {
		wrong("%d messages are not to be healthy and ordinary, of %d in all", m.special(), messages)
	}
	if m.Transient > 0 && m.TransientFailures == 0 {
		wrong("transient messages need a number of failures of at least 1")
	}
	return errs
}

// oversized is the length of an oversized value in bytes.
func (m Mix) oversized() int {
	if m.OversizedBytes == 0 {
		return DefaultOversized
	}
	return m.OversizedBytes
}

func codecNames() []string {
	var names []string
	for name := range codecs {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
