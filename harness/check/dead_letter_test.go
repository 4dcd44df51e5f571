package check

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
)

func TestDeadLetter(t *testing.T) {
	reason := func(e *history.Event) { e.Headers = map[string]string{"__dlq.errors.message": "HTTP 422"} }
	headers := func(change func(*history.Event)) func(*book) {
		return func(b *book) {
			b.h.Promises.DeadLetterHeaders = "kip-1191"
			poisoned(b, func(e *history.Event) { reason(e); change(e) })
		}
	}
	runStories(t, deadLetter, []story{
		{name: "held", tell: func(b *book) { poisoned(b, nil) }, only: true},
		{name: "held-no-poison", tell: sound, only: true},
		{name: "held-headers", tell: headers(func(*history.Event) {}), only: true},
		{name: "held-not-promised", want: "wrong:1", tell: func(b *book) {
			b.h.Promises.Poison = history.PoisonSkip
			b.produceAs(0, 12, "permanent", history.Acked)
			sound(b)
		}},
		{name: "held-duplicate-after-a-crash", want: "duplicates:1", only: true, tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.produceAs(0, 2, "undecodable", history.Acked)
			b.do("m1", 0, 0, 2)
			b.letter(0, 2, "undecodable", nil)
			b.crash("m1", "m1#2", 0)
			b.do("m1#2", 0, 0, 2)
			b.letter(0, 2, "undecodable", nil)
			b.commit("m1#2", 0, 3)
			b.close("m1#2")
		}},
		{name: "violated", count: 1, want: "undecodable, and never dead-lettered", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.produceAs(0, 2, "undecodable", history.Acked)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 3)
			b.close("m1")
		}},
		{name: "violated-committed-past-without-drain", count: 1, tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.refuse("m1", 0, 0)
			b.commit("m1", 0, 1)
			b.giveUp("m1")
		}},
		{name: "violated-healthy", count: 1, want: "though it is a healthy record", tell: func(b *book) { b.letter(0, 3, "", nil); sound(b) }},
		{name: "violated-outage", count: 1, want: "kind transient", tell: func(b *book) {
			b.produceAs(0, 12, "transient", history.Acked)
			b.letter(0, 12, "transient", nil)
			sound(b)
		}},
		{name: "violated-tombstone", count: 1, want: "kind tombstone", tell: func(b *book) {
			b.produceAs(0, 12, "tombstone", history.Acked)
			b.letter(0, 12, "tombstone", func(e *history.Event) { e.Hash = "" })
			sound(b)
		}},
		{name: "violated-value", count: 1, want: "value", tell: func(b *book) { poisoned(b, func(e *history.Event) { e.Hash = "00" }) }, only: true},
		{name: "violated-key", count: 1, want: `key of the dead letter is ""`, tell: func(b *book) { poisoned(b, func(e *history.Event) { e.Key = "" }) }},
		{name: "violated-stranger", count: 1, want: "matches no record", tell: func(b *book) {
			b.letter(0, 0, "", func(e *history.Event) { e.Message = "" })
			sound(b)
		}},
		{name: "violated-after-the-commit", count: 1, tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.refuse("m1", 0, 0)
			b.commit("m1", 0, 1)
			b.letter(0, 0, "permanent", nil)
			b.close("m1")
		}},
		{name: "violated-duplicate", count: 1, want: "again without a cause", tell: func(b *book) {
			poisoned(b, nil)
			b.letter(0, 2, "permanent", nil)
		}},
		{name: "violated-origin", count: 1, want: "names the origin", tell: headers(func(e *history.Event) { e.Origin = "orders/0@3" }), only: true},
		{name: "violated-reason", count: 1, want: "gives no reason", tell: headers(func(e *history.Event) { e.Headers = nil })},
		{name: "unknown", want: "1 poison record was not dead-lettered", tell: func(b *book) {
			b.join("m1", 0)
			b.produce(0, 0, 2)
			b.produceAs(0, 2, "permanent", history.Acked)
			b.do("m1", 0, 0, 2)
			b.commit("m1", 0, 2)
			b.giveUp("m1")
		}},
		{name: "unknown-truncated", tell: func(b *book) {
			b.join("m1", 0)
			b.produceAs(0, 0, "permanent", history.Acked)
			b.commit("m1", 0, 1)
		}},
	})
}
