package workload

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// Message is one record to send. Key and Value must not be changed.
type Message struct {
	ID        string // unique in the run, prefix and Seq: m-000001
	Seq       int    // from 1
	Key       []byte
	Value     []byte // unique; nil for a tombstone
	Poison    Poison
	Failures  int // of a transient message: attempts that are refused before one is taken
	Partition int32
	// Transaction is how the transaction ends that the message is sent in; "" for none.
	Transaction Ending
	// Due is when the schedule of the Spec wants it sent, from the start of
	// the schedule. A Producer that runs at another rate has its own.
	Due time.Duration

	large bool
}

// Ending is how a transaction of the workload ends.
type Ending string

// The endings.
const (
	Commit Ending = "commit"
	Abort  Ending = "abort"
)

// Streams of the generators, all with the seed of the Spec.
const (
	streamKeys = iota + 1
	streamPayload
	streamPoison
	streamSource // of a Source, which draws anew for each message
)

// Generate returns all messages of a Spec.
func Generate(s Spec) ([]Message, error) {
	seq, err := s.Stream()
	if err != nil {
		return nil, err
	}
	out := make([]Message, 0, s.Messages)
	for m := range seq {
		out = append(out, m)
	}
	if len(out) < s.Messages {
		return nil, fmt.Errorf("workload: the template fails for message %d", len(out)+1)
	}
	return out, nil
}

// Stream makes the same messages as Generate, one at a time. The sequence may
// be ranged over more than once, and starts anew each time.
func (s Spec) Stream() (iter.Seq[Message], error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	seed := uint64(s.Seed)
	// Only a template that breaks at some Seq of its own choice can fail after
	// Validate has rendered it; the sequence then ends, and Generate says so.
	return func(yield func(Message) bool) {
		payloads, err := newPayloads(s, rand.NewPCG(seed, streamPayload))
		if err != nil {
			return
		}
		keys, draw := rand.NewPCG(seed, streamKeys), s.keyDraw()
		special := s.place(rand.NewPCG(seed, streamPoison))
		for i := 1; i <= s.Messages; i++ {
			m := s.message(i, draw.draw(keys))
			m.Poison, m.Transaction, m.large = special[i].poison, special[i].ending, special[i].large
			if m.Poison == Transient {
				m.Failures = s.Mix.TransientFailures
			}
			if m.Value, err = payloads.value(m); err != nil || !yield(m) {
				return
			}
		}
	}, nil
}

// filled is how many partitions get messages.
func (s Spec) filled() int32 {
	if s.Filled > 0 {
		return s.Filled
	}
	return s.Partitions
}

// message makes everything of a message but its poison and its value.
func (s Spec) message(seq, key int) Message {
	prefix := s.Prefix
	if prefix == "" {
		prefix = "m"
	}
	m := Message{ID: fmt.Sprintf("%s-%06d", prefix, seq), Seq: seq, Key: []byte(keyName(key))}
	m.Partition = PartitionOf(m.Key, s.filled())
	m.Due = Pacer{Rate: s.Rate}.Due(seq - 1)
	return m
}

// kind is what is special about a message.
type kind struct {
	poison Poison
	ending Ending
	large  bool
}

// place draws which messages are special, by Seq. The run is cut
// into as many stretches of equal length as there are such messages, and each has
// one of them somewhere: so that every part of a run meets poison, and no two
// runs at the same place.
func (s Spec) place(r *rand.PCG) map[int]kind {
	kinds := make([]kind, 0, s.Mix.special())
	for _, k := range []struct {
		kind kind
		n    int
	}{
		{kind{poison: Undecodable}, s.Mix.Undecodable}, {kind{poison: Permanent}, s.Mix.Permanent}, {kind{poison: Transient}, s.Mix.Transient},
		{kind{poison: Tombstone}, s.Mix.Tombstones}, {kind{poison: Oversized}, s.Mix.Oversized},
		{kind{large: true}, s.Mix.Large}, {kind{ending: Abort}, s.Mix.Aborted}, {kind{ending: Commit}, s.Mix.Committed},
	} {
		for range k.n {
			kinds = append(kinds, k.kind)
		}
	}
	for i := len(kinds) - 1; i > 0; i-- {
		j := below(r, i+1)
		kinds[i], kinds[j] = kinds[j], kinds[i]
	}
	placed := make(map[int]kind, len(kinds))
	for i, k := range kinds {
		from, to := i*s.Messages/len(kinds), (i+1)*s.Messages/len(kinds)
		placed[1+from+below(r, to-from)] = k
	}
	return placed
}
