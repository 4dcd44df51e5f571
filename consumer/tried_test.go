package consumer

import (
	"errors"
	"slices"
	"testing"
)

// What a handler said of the first records of a batch holds for those, and nothing
// is said of the others: neither that they are done, nor that they failed.
func TestTried(t *testing.T) {
	boom := errors.New("boom")
	const d, u, f, p, i = fateDone, fateUntried, fateFailed, fatePoison, fateIsolate
	for name, c := range map[string]struct {
		err   error
		want  []fate
		whole bool
	}{
		"done":            {Tried(2, nil), []fate{d, d, u, u}, false},
		"some failed":     {Tried(3, Failed(map[int]error{1: Permanent(boom)})), []fate{d, p, d, u}, false},
		"one failed":      {Tried(3, FailedAt(1, boom)), []fate{d, f, u, u}, false},
		"stopped":         {Tried(3, FailedAt(2, ErrStopped)), []fate{d, d, u, u}, false},
		"whole":           {Tried(2, boom), []fate{f, f, u, u}, true},
		"whole, poison":   {Tried(2, Permanent(boom)), []fate{i, i, u, u}, true},
		"single, poison":  {Tried(1, Permanent(boom)), []fate{p, u, u, u}, false},
		"index after it":  {Tried(2, FailedAt(2, boom)), []fate{f, f, u, u}, true}, // a bug: none is done
		"all":             {Tried(4, FailedAt(3, boom)), []fate{d, d, d, f}, false},
		"more than there": {Tried(9, nil), []fate{d, d, d, d}, false},
		"none":            {Tried(0, boom), []fate{f, f, f, f}, true}, // a bug: none is done
		"nested":          {Tried(3, Tried(1, nil)), []fate{d, u, u, u}, false},
		"wrapped":         {Annotate(Tried(2, nil), HeaderStage, "x"), []fate{d, d, u, u}, false},
	} {
		v := read(c.err, 4)
		if !slices.Equal(v.fates, c.want) || v.whole != c.whole || len(v.errs) != 4 {
			t.Errorf("%s: got %v (whole: %v, %d errors), want %v", name, v.fates, v.whole, len(v.errs), c.want)
		}
	}
	if v := read(Tried(2, Fatal(boom)), 4); !errors.Is(v.fatal, boom) {
		t.Errorf("a fatal error is lost: %v", v.fatal)
	}
	if v := read(Tried(2, Fenced(boom)), 4); v.fenced == nil {
		t.Error("a fenced partition is lost")
	}
	for _, err := range []error{Tried(2, nil), Tried(2, boom)} {
		if err.Error() == "" {
			t.Error("it says nothing")
		}
	}
}
