package schema

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// cache keeps what was loaded, and for a time what could not be. Concurrent misses of
// one key share one load. Failures have a bound of their own, so that garbage
// cannot push out what is in use.
type cache[K comparable, V any] struct {
	load    func(ctx context.Context, key K) (V, *Error)
	timeout time.Duration                      // of a load
	memory  func(failure *Error) time.Duration // how long a failure is remembered
	max     int                                // values, and failures

	mu       sync.Mutex
	entries  map[K]*entry[K, V]
	values   list.List // of *entry, the latest used first
	failures list.List
}

type entry[K comparable, V any] struct {
	key     K
	done    chan struct{} // closed once loaded; the rest is set before
	value   V
	failure *Error
	until   time.Time     // a failure's
	place   *list.Element // nil while it loads; under the mutex
}

// get returns the value of a key, and loads it if need be. A load goes on if its
// first caller gives up: the others, and the next one, have its result.
func (c *cache[K, V]) get(ctx context.Context, key K) (V, *Error) {
	e := c.find(ctx, key)
	select {
	case <-e.done:
		return e.value, e.failure
	default:
	}
	select {
	case <-e.done:
		return e.value, e.failure
	case <-ctx.Done():
		var none V
		return none, fail(ErrUnavailable, context.Cause(ctx))
	}
}

func (c *cache[K, V]) find(ctx context.Context, key K) *entry[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		switch {
		case e.place == nil: // loading
			return e
		case e.failure == nil:
			c.values.MoveToFront(e.place)
			return e
		case time.Now().Before(e.until):
			return e
		}
		c.failures.Remove(e.place)
	}
	e := &entry[K, V]{key: key, done: make(chan struct{})}
	if c.entries == nil {
		c.entries = make(map[K]*entry[K, V])
	}
	c.entries[key] = e
	go c.fill(context.WithoutCancel(ctx), e)
	return e
}

func (c *cache[K, V]) fill(ctx context.Context, e *entry[K, V]) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	e.value, e.failure = c.try(ctx, e.key)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(e.done)
	used := &c.values
	if e.failure != nil {
		used = &c.failures
		e.until = time.Now().Add(c.memory(e.failure))
	}
	e.place = used.PushFront(e)
	if used.Len() > c.max {
		oldest := used.Remove(used.Back()).(*entry[K, V])
		delete(c.entries, oldest.key)
	}
}

// try loads. A panic in a compiler would otherwise end the process, since no handler
// is above it.
func (c *cache[K, V]) try(ctx context.Context, key K) (value V, failure *Error) {
	defer func() {
		if p := recover(); p != nil {
			failure = fail(ErrInvalidSchema, fmt.Errorf("the compiler panicked: %v", p))
		}
	}()
	return c.load(ctx, key)
}
