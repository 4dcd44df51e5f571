package dlq

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Filter picks letters. All that is set must be met; the zero Filter picks all.
type Filter struct {
	// Topics and Partitions are those the record came from, any of them.
	Topics     []string
	Partitions []int32
	Group      string
	Stage      string
	// ErrorType and Message are parts of the error's type and text.
	ErrorType, Message string
	// Since (included) and Until (not included) bound when the letter was written.
	Since, Until time.Time
	// Offsets are places in the dead-letter topic, any of them.
	Offsets []Offsets
	// MinAttempts is how many attempts there were at least.
	MinAttempts int
}

// Offsets is a range of offsets in a partition of the dead-letter topic.
type Offsets struct {
	Partition int32 // -1: any
	From, To  int64 // both included
}

// AnyPartition is for Offsets.Partition.
const AnyPartition int32 = -1

// Validate returns all that is wrong, joined; nil if nothing is.
func (f Filter) Validate() error {
	var errs []error
	if slices.Contains(f.Topics, "") {
		errs = append(errs, errors.New("dlq: Filter.Topics: an empty name"))
	}
	for _, p := range f.Partitions {
		if p < 0 {
			errs = append(errs, fmt.Errorf("dlq: Filter.Partitions: %d is negative", p))
		}
	}
	for _, o := range f.Offsets {
		if o.Partition < AnyPartition || o.From < 0 || o.To < o.From {
			errs = append(errs, fmt.Errorf("dlq: Filter.Offsets: %d to %d of partition %d is no range", o.From, o.To, o.Partition))
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		errs = append(errs, fmt.Errorf("dlq: Filter.Since: %s is not before Until, %s", f.Since.Format(time.RFC3339), f.Until.Format(time.RFC3339)))
	}
	if f.MinAttempts < 0 {
		errs = append(errs, fmt.Errorf("dlq: Filter.MinAttempts: %d is negative", f.MinAttempts))
	}
	return errors.Join(errs...)
}

// Match tells whether the filter picks a letter.
func (f Filter) Match(l *Letter) bool {
	known := l.Origin.Topic != ""
	at := l.Record.Timestamp
	switch {
	case len(f.Topics) > 0 && (!known || !slices.Contains(f.Topics, l.Origin.Topic)),
		len(f.Partitions) > 0 && (!known || !slices.Contains(f.Partitions, l.Origin.Partition)),
		f.Group != "" && l.Group != f.Group,
		f.Stage != "" && l.Stage != f.Stage,
		!strings.Contains(l.ErrorType, f.ErrorType),
		!strings.Contains(l.Message, f.Message),
		!f.Since.IsZero() && at.Before(f.Since),
		!f.Until.IsZero() && !at.Before(f.Until),
		l.Attempts < f.MinAttempts:
		return false
	}
	return len(f.Offsets) == 0 || slices.ContainsFunc(f.Offsets, func(o Offsets) bool {
		return (o.Partition == AnyPartition || o.Partition == l.Record.Partition) && o.From <= l.Record.Offset && l.Record.Offset <= o.To
	})
}
