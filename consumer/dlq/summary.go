package dlq

import (
	"cmp"
	"slices"
)

// Reason is why a letter is left where it is.
type Reason string

// The reasons.
const (
	LeftFiltered Reason = "filtered" // the filter does not pick it
	// LeftNoOrigin: its headers do not tell where it came from, and no topic to send it to was given.
	LeftNoOrigin Reason = "no-origin"
	// LeftMaxCycles: it was dead-lettered more often than [ReplayOptions].MaxCycles.
	LeftMaxCycles Reason = "max-cycles"
)

// Summary is what a replay would do, or has done. Letters that were sent before are
// not counted.
type Summary struct {
	Topic string `json:"topic"` // the dead-letter topic
	Group string `json:"group"`
	// Letters is how many are to be sent, or were.
	Letters int      `json:"letters"`
	Targets []Target `json:"targets"` // by topic
	Offsets []Extent `json:"offsets"` // by partition of the dead-letter topic
	Left    []Left   `json:"left"`    // by reason
}

// Target is a topic that letters are sent to.
type Target struct {
	Topic   string `json:"topic"`
	Letters int    `json:"letters"`
	// Expired is how many of them are so old that the topic's retention.ms may
	// delete them at once. They are not sent with [OriginalTime].
	Expired int `json:"expired"`
	// Old is how many of them are so old that the brokers may have forgotten that they were sent
	// before. They are not sent without [ReplayOptions].First.
	Old int `json:"old"`
}

// Extent is where letters lie in a partition of the dead-letter topic.
type Extent struct {
	Partition int32 `json:"partition"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"`
	Letters   int   `json:"letters"`
}

// Left is how many letters were left for a reason, and the places of the first ten.
type Left struct {
	Reason  Reason   `json:"reason"`
	Letters int      `json:"letters"`
	First   []string `json:"first"`
}

const maxPlaces = 10

func (s *Summary) send(o *outgoing) {
	topic, partition, offset := o.record.Topic, o.letter.Record.Partition, o.letter.Record.Offset
	s.Letters++
	i, ok := slices.BinarySearchFunc(s.Targets, topic, func(t Target, topic string) int { return cmp.Compare(t.Topic, topic) })
	if !ok {
		s.Targets = slices.Insert(s.Targets, i, Target{Topic: topic})
	}
	s.Targets[i].Letters++
	if o.expired {
		s.Targets[i].Expired++
	}
	if o.old {
		s.Targets[i].Old++
	}
	i, ok = slices.BinarySearchFunc(s.Offsets, partition, func(e Extent, p int32) int { return cmp.Compare(e.Partition, p) })
	if !ok {
		s.Offsets = slices.Insert(s.Offsets, i, Extent{Partition: partition, First: offset})
	}
	s.Offsets[i].Last = offset
	s.Offsets[i].Letters++
}

func (s *Summary) leave(l *Letter, why Reason) {
	i := slices.IndexFunc(s.Left, func(x Left) bool { return x.Reason == why })
	if i < 0 {
		i = len(s.Left)
		s.Left = append(s.Left, Left{Reason: why})
	}
	s.Left[i].Letters++
	if len(s.Left[i].First) < maxPlaces {
		s.Left[i].First = append(s.Left[i].First, l.Place())
	}
}
