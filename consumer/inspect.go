package consumer

import "errors"

// FirstFailed reads what a handler returned for a batch of n records, for a handler
// around a handler that can keep only what comes before the first failure, as a
// transaction does: the records before index i are done, and record i is not, by
// cause. For nil, i is n. If err is for the batch as a whole it blames no record:
// then no record is done, and cause is err.
func FirstFailed(err error, n int) (i int, blames bool, cause error) {
	if err == nil {
		return n, true, nil
	}
	var some *failed
	var part *tried
	if errors.As(err, &part) && part.n > 0 && part.n < n {
		if i, blames, cause = FirstFailed(part.err, part.n); i == part.n {
			cause = ErrStopped // what comes next was not tried
		}
		return i, blames, cause
	}
	if errors.As(err, &some) && inside(some.errs, n) {
		first := n
		for at, e := range some.errs {
			if e != nil && at < first {
				first, cause = at, e
			}
		}
		return first, true, cause
	}
	var at *failedAt
	if errors.As(err, &at) && at.i >= 0 && at.i < n {
		return at.i, true, at.err
	}
	return 0, false, err
}

// EndsSession tells whether err, as a handler returned it, is [Fatal] or [Fenced]:
// nothing of the batch is done or committed then, whatever else it says.
func EndsSession(err error) bool {
	var f *fatal
	var o *outdated
	return errors.As(err, &f) || errors.As(err, &o)
}
