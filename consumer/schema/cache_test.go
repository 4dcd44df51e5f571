package schema

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// loads is a cache of numbers as text; it counts what is loaded.
type loads struct {
	cache[int, string]
	count atomic.Int64
	mu    sync.Mutex
	say   func(ctx context.Context, n int) *Error
}

func newLoads(limit int) *loads {
	l := &loads{}
	l.load = func(ctx context.Context, n int) (string, *Error) {
		l.count.Add(1)
		l.mu.Lock()
		say := l.say
		l.mu.Unlock()
		if say != nil {
			if failure := say(ctx, n); failure != nil {
				return "", failure
			}
		}
		return strconv.Itoa(n), nil
	}
	l.timeout, l.max = 5*time.Second, limit
	l.memory = func(*Error) time.Duration { return 10 * time.Second }
	return l
}

func (l *loads) answer(say func(context.Context, int) *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say = say
}

func (l *loads) want(t *testing.T, key int, failed bool, count int64) {
	t.Helper()
	v, failure := l.get(t.Context(), key)
	if (failure != nil) != failed || !failed && v != strconv.Itoa(key) {
		t.Errorf("%d: got %q, %v", key, v, failure)
	}
	if got := l.count.Load(); got != count {
		t.Errorf("%d: %d loads, want %d", key, got, count)
	}
}

func unknown(context.Context, int) *Error { return fail(ErrUnknownSchema, nil) }

func TestCacheSharesALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoads(10)
		release := make(chan struct{})
		l.answer(func(context.Context, int) *Error { <-release; return nil })
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { l.want(t, 7, false, 1) })
		}
		synctest.Wait()
		close(release)
		all.Wait()
		l.want(t, 7, false, 1)
	})
}

// The first caller gives up: the load goes on for the others.
func TestCacheLoadOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoads(10)
		release := make(chan struct{})
		l.answer(func(ctx context.Context, _ int) *Error {
			<-release
			if ctx.Err() != nil {
				return fail(ErrUnavailable, ctx.Err())
			}
			return nil
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			_, failure := l.get(ctx, 7)
			if failure == nil || !errors.Is(failure, errRevoked) || !failure.transient() {
				t.Errorf("the caller that gave up has %v", failure)
			}
		})
		synctest.Wait()
		all.Go(func() { l.want(t, 7, false, 1) })
		synctest.Wait()
		cancel(errRevoked)
		synctest.Wait()
		close(release)
		all.Wait()
	})
}

var errRevoked = errors.New("revoked")

func TestCacheEndsALoadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoads(10)
		l.answer(func(ctx context.Context, _ int) *Error { <-ctx.Done(); return fail(ErrUnavailable, ctx.Err()) })
		began := time.Now()
		l.want(t, 7, true, 1)
		if took := time.Since(began); took != l.timeout {
			t.Errorf("it took %v", took)
		}
	})
}

func TestCacheRemembersFailuresForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoads(10)
		l.answer(unknown)
		l.want(t, 7, true, 1)
		time.Sleep(10*time.Second - 1)
		l.want(t, 7, true, 1)
		l.answer(nil) // registered meanwhile
		time.Sleep(time.Nanosecond)
		l.want(t, 7, false, 2)
		time.Sleep(1000 * time.Hour)
		l.want(t, 7, false, 2) // values do not change
	})
}

func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoads(3)
		for key := range 3 {
			l.want(t, key, false, int64(key+1))
		}
		l.answer(unknown)
		for key := range 100 { // garbage
			l.want(t, 1000+key, true, int64(4+key))
		}
		for key := range 3 { // still there
			l.want(t, key, false, 103)
		}
		l.answer(nil)
		l.want(t, 3, false, 104) // pushes 0 out, which was used first
		l.want(t, 1, false, 104)
		l.want(t, 0, false, 105)
		if len(l.entries) != 6 || l.values.Len() != 3 || l.failures.Len() != 3 {
			t.Errorf("%d entries: %d values, %d failures", len(l.entries), l.values.Len(), l.failures.Len())
		}
	})
}

func TestCacheSurvivesAPanic(t *testing.T) {
	l := newLoads(3)
	l.answer(func(context.Context, int) *Error { panic("boom") })
	_, failure := l.get(t.Context(), 1)
	if failure == nil || !errors.Is(failure, ErrInvalidSchema) {
		t.Errorf("got %v", failure)
	}
}
