package check

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness/history"
)

var update = flag.Bool("update", false, "write the histories in testdata anew")

// book writes a history, ten milliseconds an event.
type book struct {
	h      history.Header
	events []history.Event
	at     time.Duration
}

func newBook() *book {
	return &book{h: history.Header{
		Format: history.Format, Run: "r1", Scenario: "story", Kafka: "containers 4.4.0", Seed: 1,
		Start: time.Date(2026, 3, 1, 14, 3, 0, 0, time.UTC), Topic: "orders", Group: "g", DeadLetterTopic: "dlq.g.orders",
		Partitions: 1, Members: 2, BatchSize: 5, SessionTimeout: 6 * time.Second, MaxPollInterval: 30 * time.Second,
		Promises: history.DefaultPromises(),
	}}
}

func (b *book) history() history.History { return history.History{Header: b.h, Events: b.events} }

// add appends an event and returns its Seq.
func (b *book) add(e history.Event) int64 {
	b.at += 10 * time.Millisecond
	e.Seq, e.At = int64(len(b.events))+1, b.at
	b.events = append(b.events, e)
	return e.Seq
}

func (b *book) wait(d time.Duration) { b.at += d }

// member splits "m1#2".
func member(who string) (string, int) {
	name, n, ok := strings.Cut(who, "#")
	if !ok {
		return name, 1
	}
	i := 0
	_, _ = fmt.Sscan(n, &i)
	return name, i
}

func id(p int32, o int64) string { return fmt.Sprintf("m-%d-%d", p, o) }

func hashOf(p int32, o int64) string {
	sum := sha256.Sum256([]byte(id(p, o)))
	return hex.EncodeToString(sum[:])
}

// of is an event about a record; keys repeat every two offsets.
func of(kind history.Kind, p int32, o int64) history.Event {
	return history.Event{Kind: kind, Topic: "orders", Partition: p, Offset: o, Message: id(p, o), Key: fmt.Sprintf("k%d", o%2)}
}

func by(e history.Event, who string) history.Event {
	e.Member, e.Incarnation = member(who)
	return e
}

func (b *book) produce(p int32, from, to int64) {
	for o := from; o < to; o++ {
		b.produceAs(p, o, "", history.Acked)
	}
}

func (b *book) produceAs(p int32, o int64, poison string, how history.Outcome) {
	e := of(history.Produced, p, o)
	e.Hash, e.Size, e.Poison, e.Outcome = hashOf(p, o), 256, poison, how
	if poison == "tombstone" {
		e.Hash, e.Size = "", 0
	}
	if how != history.Acked && how != history.Voided {
		e.Partition, e.Offset = -1, -1
	}
	b.add(e)
}

// remove takes [from, to) out of the log; ref as in history.Removed.
func (b *book) remove(p int32, from, to, ref int64) {
	b.add(history.Event{Kind: history.Removed, Topic: "orders", Partition: p, Offset: from, End: to, Ref: ref})
}

func (b *book) group(kind history.Kind, who string, ps ...int32) {
	for _, p := range ps {
		b.add(by(history.Event{Kind: kind, Topic: "orders", Partition: p, Generation: 1}, who))
	}
}

// join starts a member and gives it partitions.
func (b *book) join(who string, ps ...int32) {
	b.life(history.MemberStarted, who)
	b.life(history.Joining, who)
	b.group(history.Assigned, who, ps...)
}

func (b *book) life(kind history.Kind, who string) int64 {
	return b.add(by(history.Event{Kind: kind}, who))
}

func (b *book) end(who string, how history.Outcome, text string) {
	b.add(by(history.Event{Kind: history.MemberEnded, Outcome: how, Error: text}, who))
}

func (b *book) begin(who string, p int32, o int64) int64 {
	return b.add(by(of(history.EffectStarted, p, o), who))
}

func (b *book) finish(kind history.Kind, ref int64, note string) {
	e := b.events[ref-1]
	e.Kind, e.Ref, e.Note = kind, ref, note
	b.add(e)
}

// do has effects begun and done, one after the other.
func (b *book) do(who string, p int32, from, to int64) {
	for o := from; o < to; o++ {
		b.finish(history.EffectDone, b.begin(who, p, o), "")
	}
}

func (b *book) refuse(who string, p int32, o int64) {
	ref := b.begin(who, p, o)
	b.finish(history.EffectRefused, ref, "")
	b.events[len(b.events)-1].Error = "unavailable"
}

func (b *book) request(who string, p int32, n int64) int64 {
	return b.add(by(history.Event{Kind: history.CommitRequested, Topic: "orders", Partition: p, Offset: n, Generation: 1}, who))
}

func (b *book) answer(ref int64, kafkaError string) {
	e := b.events[ref-1]
	e.Kind, e.Ref, e.Outcome, e.Error = history.Committed, ref, history.Accepted, kafkaError
	if kafkaError != "" {
		e.Outcome = history.Refused
	}
	b.add(e)
}

func (b *book) commit(who string, p int32, n int64) { b.answer(b.request(who, p, n), "") }

// take hands the offset n in with a transaction, and has it accepted for that.
func (b *book) take(who string, p int32, n int64) int64 {
	ref := b.request(who, p, n)
	b.events[ref-1].Note = "txn"
	return ref
}

// seal asks to commit the transaction that took ref along.
func (b *book) seal(ref int64) {
	e := b.events[ref-1]
	e.Kind, e.Ref = history.CommitSealed, ref
	b.add(e)
}

// abort ends a transaction with nothing; refs are what it took along.
func (b *book) abort(who string, refs ...int64) {
	for _, ref := range refs {
		b.answer(ref, "ABORTED")
	}
	b.add(by(history.Event{Kind: history.Aborted, Note: "txn-" + who}, who))
}

// transact commits n in a transaction of its own.
func (b *book) transact(who string, p int32, n int64) {
	ref := b.take(who, p, n)
	b.seal(ref)
	b.answer(ref, "")
}

// out shows an output of a record.
func (b *book) out(p int32, from, to int64) {
	for o := from; o < to; o++ {
		e := of(history.Output, p, o)
		e.Topic, e.Partition, e.Offset, e.Origin = "orders.out", 0, 2*o, fmt.Sprintf("orders/%d@%d", p, o)
		b.add(e)
	}
}

// closeWith drains, stops the members, shows outputs and ends the run.
func (b *book) closeWith(outputs func(), who ...string) {
	b.phase(history.PhaseDrain, history.PhaseDrained, history.PhaseStop)
	b.stop(who...)
	outputs()
	b.phase(history.PhaseOutputs, history.PhaseEnd)
}

// letter is read 50 ms after it was appended.
func (b *book) letter(p int32, o int64, poison string, change func(*history.Event)) {
	appended := b.at
	b.wait(50 * time.Millisecond)
	e := of(history.DeadLettered, p, o)
	e.Topic, e.Partition, e.Offset = "dlq.g.orders", 0, 0
	e.Hash, e.Poison, e.Time, e.Origin = hashOf(p, o), poison, appended, fmt.Sprintf("orders/%d@%d", p, o)
	if change != nil {
		change(&e)
	}
	b.add(e)
}

func (b *book) phase(names ...string) {
	for _, n := range names {
		b.add(history.Event{Kind: history.Phase, Note: n})
	}
}

func (b *book) fault(name string, how history.Outcome, note string) {
	ref := b.add(history.Event{Kind: history.FaultBegan, Fault: name})
	b.add(history.Event{Kind: history.FaultEnded, Fault: name, Ref: ref, Outcome: how, Note: note})
}

// stop asks members to stop, which they do in an orderly way.
func (b *book) stop(who ...string) {
	for _, w := range who {
		b.life(history.MemberStopping, w)
		b.life(history.Left, w)
		b.end(w, history.Stopped, "exit status 0")
	}
}

// close drains, stops the members and ends the run.
func (b *book) close(who ...string) {
	b.phase(history.PhaseDrain, history.PhaseDrained, history.PhaseStop)
	b.stop(who...)
	b.phase(history.PhaseEnd)
}

// giveUp ends the run without having drained.
func (b *book) giveUp(who ...string) {
	b.phase(history.PhaseDrain)
	b.wait(20 * time.Second)
	b.phase(history.PhaseStop)
	b.stop(who...)
	b.phase(history.PhaseEnd)
}

// crash kills a member and gives its partition to its next incarnation.
func (b *book) crash(who, next string, p int32) {
	b.end(who, history.Killed, "signal killed")
	b.add(by(history.Event{Kind: history.Left, Note: "evicted"}, who))
	b.join(next, p)
}

// story is one history in testdata; its name begins with the verdict.
type story struct {
	name string
	tell func(b *book)
	// want is what Reason or the first evidence must contain; "" for no matter.
	want string
	// count, if not 0, is Result.Count.
	count int
	// only: no other check may be violated (or, for held, anything but held).
	only bool
}

// runStories judges the histories in testdata/<check>, one file a story.
func runStories(t *testing.T, c Check, stories []story) {
	t.Helper()
	dir := filepath.Join("testdata", c.Name)
	seen := map[string]bool{}
	for _, s := range stories {
		seen[s.name+".jsonl"] = true
		t.Run(s.name, func(t *testing.T) { runStory(t, c, s, filepath.Join(dir, s.name+".jsonl")) })
	}
	for _, v := range []Verdict{Held, Violated, Unknown} {
		names, _ := filepath.Glob(filepath.Join(dir, string(v)+"*.jsonl"))
		never := v == Violated && (c.Name == "redelivered" || c.Name == "faults-happened")
		if len(names) == 0 != never {
			t.Errorf("%d histories in %s are %s", len(names), dir, v)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("%s/%s belongs to no story", dir, f.Name())
		}
	}
}

func runStory(t *testing.T, c Check, s story, path string) {
	b := newBook()
	s.tell(b)
	golden(t, path, b.history())
	h, err := history.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rep := Run(h)
	for _, r := range rep.Checks {
		if r.Check != c.Name {
			if s.only && r.Verdict != Held && (strings.HasPrefix(s.name, "held") || r.Verdict == Violated) {
				t.Errorf("%s is %s: %s %+v", r.Check, r.Verdict, r.Reason, r.Evidence)
			}
			continue
		}
		if want, _, _ := strings.Cut(s.name, "-"); string(r.Verdict) != want {
			t.Errorf("verdict %s, want %s: %s %+v", r.Verdict, want, r.Reason, r.Evidence)
		}
		if s.count != 0 && r.Count != s.count {
			t.Errorf("count %d, want %d: %s %+v", r.Count, s.count, r.Reason, r.Evidence)
		}
		if (r.Verdict == Violated) != (r.Count > 0) {
			t.Errorf("verdict %s with count %d", r.Verdict, r.Count)
		}
		text := fmt.Sprint(r.Reason, r.Evidence, r.Figures)
		if !strings.Contains(text, s.want) {
			t.Errorf("%q is not in %s", s.want, text)
		}
	}
}

// golden compares a history with its file, or writes the file with -update.
func golden(t *testing.T, path string, h history.History) {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(h.Header); err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Events {
		if err := enc.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with go test -update", err)
	}
	if !bytes.Equal(have, out.Bytes()) {
		t.Fatalf("%s is not what the story tells; write it anew with go test -update", path)
	}
}
