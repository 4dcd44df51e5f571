package workload

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
)

func TestLedger(t *testing.T) {
	l := NewLedger()
	l.Add(Message{ID: "a", Value: []byte("v"), Partition: 3})
	l.Add(Message{ID: "tomb", Partition: 1})
	e, ok := l.ByID("a")
	if !ok || e.Partition != 3 || e.Offset != -1 || e.Hash != sha256.Sum256([]byte("v")) {
		t.Errorf("entry %+v, %v", e, ok)
	}
	if e, ok := l.ByHash(sha256.Sum256([]byte("v"))); !ok || e.ID != "a" {
		t.Errorf("by hash: %+v, %v", e, ok)
	}
	if _, ok := l.ByHash(sha256.Sum256(nil)); ok {
		t.Error("a tombstone is found by the hash of nothing")
	}
	l.Acked("a", 3, 0)
	l.Acked("nobody", 3, 1)
	l.Acked("tomb", 1, -1)
	if e, ok := l.ByRecord(3, 0); !ok || e.ID != "a" || e.Offset != 0 {
		t.Errorf("by record: %+v, %v", e, ok)
	}
	for _, p := range []int64{1, -1} {
		if _, ok := l.ByRecord(3, p); ok {
			t.Errorf("something stands at %d", p)
		}
	}
}

func TestAwaitRecord(t *testing.T) {
	l := NewLedger()
	var wg sync.WaitGroup
	for i := range 50 {
		id := fmt.Sprint(i)
		l.Add(Message{ID: id})
		wg.Go(func() {
			if e, ok := l.AwaitRecord(t.Context(), 0, int64(i)); !ok || e.ID != id {
				t.Errorf("%s: %+v, %v", id, e, ok)
			}
		})
		wg.Go(func() { l.Acked(id, 0, int64(i)) })
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := l.AwaitRecord(ctx, 9, 9); ok {
		t.Error("found what nobody wrote")
	}
}
