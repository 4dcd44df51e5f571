package consumer

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrStopped is for a handler that stopped early because [Stopping] told it
	// to: FailedAt(i, ErrStopped). Record i and those after it were not tried.
	ErrStopped = errors.New("consumer: stopped before this record")
	// ErrStalled is returned by Run after a handler call ran longer than
	// Config.StallTimeout. Its goroutine may still run: end the process.
	ErrStalled = errors.New("consumer: a handler call has stalled")
	// ErrShutdownTimeout is returned by Run if not all work in flight had ended,
	// or not all of it was committed, by the end of Config.ShutdownTimeout. What
	// is not committed is handled again.
	ErrShutdownTimeout = errors.New("consumer: the shutdown timeout has passed")
)

// PoisonError is returned by Run under [PoisonStop], or when the dead-letter
// topic would not take a record.
type PoisonError struct {
	Topic     string
	Partition int32
	Offset    int64
	Attempts  int
	Err       error // what the handler said, and why no dead letter was made
}

// Error implements error.
func (e *PoisonError) Error() string {
	return fmt.Sprintf("consumer: stopped before %s/%d@%d, which cannot be handled (%d attempts): %v", e.Topic, e.Partition, e.Offset, e.Attempts, e.Err)
}

// Unwrap returns the reason.
func (e *PoisonError) Unwrap() error { return e.Err }

// FailedAt says that the records before index i of the batch are done, record i
// failed by err, and those after it were not tried.
func FailedAt(i int, err error) error {
	if err == nil {
		err = errors.New("consumer: FailedAt was given no error")
	}
	return &failedAt{i, err}
}

// Failed says that the records at these indexes of the batch failed, each by
// its error, and all others are done. It returns nil if errs is empty.
func Failed(errs map[int]error) error {
	if len(errs) == 0 {
		return nil
	}
	return &failed{errs}
}

// Tried says that only the first n records of the batch were handled, with the
// result err, and the rest was not tried. It is for a handler that gives a part of
// its batch to another: Failed alone would say that the rest is done.
func Tried(n int, err error) error { return &tried{n, err} }

// Permanent says that trying again is of no use: the record is poison at once.
// For a batch of several records, put it in [FailedAt] or [Failed]; alone, it
// makes the consumer try them one by one.
func Permanent(err error) error { return wrap(err, &permanent{err}) }

// Fatal stops the consumer without another commit. Run returns err.
func Fatal(err error) error { return wrap(err, &fatal{err}) }

// RetryAfter says not to try again before d has passed, such as the Retry-After
// of an HTTP response. The back-off may be longer.
func RetryAfter(err error, d time.Duration) error { return wrap(err, &retryAfter{err, d}) }

// Unavailable says that something the handler needs is down, whatever the
// record: it is tried again with back-off for as long as that takes, no attempt
// is counted, and it never becomes poison by it.
func Unavailable(err error) error { return wrap(err, &unavailable{err}) }

// Fenced says that somebody else has the partition by now, whatever the group
// says here: a database that compares positions refused the work, or a downstream
// system that knows its owner. Nothing of the batch is done or committed; all
// partitions of this member are lost, and it joins again from scratch, so that it
// goes on from where the others left off.
func Fenced(err error) error { return wrap(err, &outdated{err}) }

// Annotate sets a header of the dead letter that a record becomes if it fails
// by err, such as [HeaderStage] or [HeaderSchemaID]. It says nothing about whether
// it is tried again.
func Annotate(err error, header, value string) error {
	return wrap(err, &annotated{err, header, value})
}

func wrap(err, wrapped error) error {
	if err == nil {
		return nil
	}
	return wrapped
}

type failedAt struct {
	i   int
	err error
}

type failed struct{ errs map[int]error }

type tried struct {
	n   int
	err error // nil: they are done
}

type (
	permanent   struct{ err error }
	fatal       struct{ err error }
	unavailable struct{ err error }
	outdated    struct{ err error }
	annotated   struct {
		err           error
		header, value string
	}
	retryAfter struct {
		err   error
		after time.Duration
	}
)

func (e *failedAt) Error() string    { return fmt.Sprintf("record %d of the batch: %v", e.i, e.err) }
func (e *failedAt) Unwrap() error    { return e.err }
func (e *failed) Error() string      { return fmt.Sprintf("%d records of the batch failed", len(e.errs)) }
func (e *tried) Unwrap() error       { return e.err }
func (e *permanent) Error() string   { return e.err.Error() }
func (e *permanent) Unwrap() error   { return e.err }
func (e *fatal) Error() string       { return e.err.Error() }
func (e *fatal) Unwrap() error       { return e.err }
func (e *unavailable) Error() string { return e.err.Error() }
func (e *unavailable) Unwrap() error { return e.err }
func (e *outdated) Error() string    { return e.err.Error() }
func (e *outdated) Unwrap() error    { return e.err }
func (e *annotated) Error() string   { return e.err.Error() }
func (e *annotated) Unwrap() error   { return e.err }
func (e *retryAfter) Error() string  { return e.err.Error() }
func (e *retryAfter) Unwrap() error  { return e.err }

func (e *tried) Error() string {
	if e.err == nil {
		return fmt.Sprintf("consumer: stopped after %d records of the batch", e.n)
	}
	return fmt.Sprintf("of the first %d records of the batch: %v", e.n, e.err)
}

func (e *failed) Unwrap() []error {
	out := make([]error, 0, len(e.errs))
	for _, err := range e.errs {
		out = append(out, err)
	}
	return out
}

// fate is what becomes of one record after a handler call.
type fate uint8

const (
	fateDone        fate = iota
	fateUntried          // given back, no attempt counted
	fateFailed           // an attempt failed
	fateUnavailable      // failed, but not by the record: no attempt counted
	fatePoison           // failed, and must not be tried again
	fateIsolate          // one of several failed for good, it is not known which: try them one by one
)

// verdict is a handler's error read for every record of its batch.
type verdict struct {
	fates []fate
	errs  []error // by record; nil where done
	after time.Duration
	fatal error
	// fenced: the partition is somebody else's.
	fenced error
	// whole: the error was for the batch as a whole, so no record is to blame.
	whole bool
}

// read turns the error of a handler into the fate of each of n records. Indexes
// outside of the batch are a bug of the handler: then no record is done.
func read(err error, n int) verdict {
	var part *tried
	if errors.As(err, &part) && part.n > 0 {
		if part.n >= n {
			return read(part.err, n)
		}
		v := read(part.err, part.n)
		for range n - part.n {
			v.fates = append(v.fates, fateUntried)
		}
		v.errs = append(v.errs, make([]error, n-part.n)...)
		return v
	}
	v := verdict{fates: make([]fate, n), errs: make([]error, n)}
	var f *fatal
	if errors.As(err, &f) {
		v.fatal = f.err
	}
	var o *outdated
	if errors.As(err, &o) {
		v.fenced = o.err
	}
	var at *failedAt
	var some *failed
	switch {
	case err == nil:
	case errors.As(err, &some) && inside(some.errs, n):
		for i, e := range some.errs {
			v.set(i, e)
		}
	case errors.As(err, &at) && at.i >= 0 && at.i < n:
		if errors.Is(at.err, ErrStopped) {
			v.fates[at.i] = fateUntried
		} else {
			v.set(at.i, at.err)
		}
		for i := at.i + 1; i < n; i++ {
			v.fates[i] = fateUntried
		}
	default:
		v.whole = n > 1
		for i := range n {
			v.set(i, err)
			if n > 1 && v.fates[i] == fatePoison {
				v.fates[i] = fateIsolate
			}
		}
	}
	return v
}

func (v *verdict) set(i int, err error) {
	if err == nil {
		return // done
	}
	v.errs[i] = err
	var p *permanent
	var u *unavailable
	var r *retryAfter
	switch {
	case errors.As(err, &p):
		v.fates[i] = fatePoison
	case errors.As(err, &u):
		v.fates[i] = fateUnavailable
	default:
		v.fates[i] = fateFailed
	}
	if errors.As(err, &r) {
		v.after = max(v.after, r.after)
	}
}

func inside(errs map[int]error, n int) bool {
	for i := range errs {
		if i < 0 || i >= n {
			return false
		}
	}
	return true
}
