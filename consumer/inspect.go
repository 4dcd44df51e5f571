package consumer

import "errors"

// FirstFailed reads what a handler returned for a batch of n records, for a handler
// around a handler that can keep only what comes before the first failure, as a
// transaction does: the records before index i are done, and record i is not, by
// cause. For nil, i is n. It reports false if err is for the batch as a whole,
// and so blames no record.
func FirstFailed(err error, n int) (i int, cause error, ok bool) {
	if err == nil {
		return n, nil, true
	}
	var some *failed
	if errors.As(err, &some) && inside(some.errs, n) {
		first := n
		for at, e := range some.errs {
			if e != nil && at < first {
				first, cause = at, e
			}
		}
		return first, cause, true
	}
	var at *failedAt
	if errors.As(err, &at) && at.i >= 0 && at.i < n {
		return at.i, at.err, true
	}
	return 0, err, false
}

// EndsSession tells whether err, as a handler returned it, is [Fatal] or [Fenced]:
// nothing of the batch is done or committed then, whatever else it says.
func EndsSession(err error) bool {
	var f *fatal
	var o *outdated
	return errors.As(err, &f) || errors.As(err, &o)
}
