package consumer

import (
	"errors"
	"fmt"
	"testing"
)

func TestFirstFailed(t *testing.T) {
	bad := errors.New("bad")
	cases := map[string]struct {
		err   error
		i     int
		cause error
		ok    bool
	}{
		"nil":                {nil, 5, nil, true},
		"at":                 {FailedAt(3, bad), 3, bad, true},
		"at, wrapped":        {fmt.Errorf("x: %w", FailedAt(0, bad)), 0, bad, true},
		"at, outside":        {FailedAt(5, bad), 0, bad, false},
		"some":               {Failed(map[int]error{4: errors.New("other"), 2: bad}), 2, bad, true},
		"some, none of them": {Failed(map[int]error{1: nil}), 5, nil, true},
		"some, outside":      {Failed(map[int]error{1: bad, 7: bad}), 0, bad, false},
		"tried, done":        {Tried(3, nil), 3, ErrStopped, true},
		"tried, failed":      {Tried(3, FailedAt(1, bad)), 1, bad, true},
		"tried, whole":       {Tried(3, bad), 0, bad, false},
		"whole":              {bad, 0, bad, false},
	}
	for name, c := range cases {
		i, ok, cause := FirstFailed(c.err, 5)
		if i != c.i || !errors.Is(cause, c.cause) || ok != c.ok {
			t.Errorf("%s: %d, %v, %t", name, i, cause, ok)
		}
		// It must agree with what the consumer itself makes of the error.
		v := read(c.err, 5)
		for at, fate := range v.fates {
			if done := fate == fateDone; ok && at < i && !done || at == i && done {
				t.Errorf("%s: record %d: fate %d", name, at, fate)
			}
		}
	}
}

func TestEndsSession(t *testing.T) {
	bad := errors.New("bad")
	for _, err := range []error{Fatal(bad), Fenced(bad), FailedAt(2, Fatal(bad)), Failed(map[int]error{1: fmt.Errorf("x: %w", Fenced(bad))})} {
		if !EndsSession(err) {
			t.Errorf("%v does not", err)
		}
	}
	for _, err := range []error{nil, bad, Permanent(bad), Unavailable(bad), FailedAt(1, RetryAfter(bad, 1))} {
		if EndsSession(err) {
			t.Errorf("%v does", err)
		}
	}
}
