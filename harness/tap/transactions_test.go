package tap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// transaction is one that is driven request by request, as a client does it.
type transaction struct {
	*fixture
	c     *client
	id    string
	pid   int64
	epoch int16
}

// transact initializes a transactional id through the tap of m.
func transact(f *fixture, m *Member, id string) *transaction {
	f.Helper()
	c := through(f, m)
	f.Cleanup(c.Close)
	tx := &transaction{fixture: f, c: c, id: id}
	tx.init()
	return tx
}

func (tx *transaction) init() {
	tx.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &tx.id, 30_000
	resp, err := req.RequestWith(tx.ctx, tx.c.Client)
	if err = errors.Join(err, kerr.ErrorForCode(resp.ErrorCode)); err != nil {
		tx.Fatal(err)
	}
	tx.pid, tx.epoch = resp.ProducerID, resp.ProducerEpoch
}

// take hands offset at of partition 2 in, as a client that is in no group may.
func (tx *transaction) take(at int64) error {
	tx.Helper()
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = tx.id, tx.pid, tx.epoch, testGroup
	if _, err := add.RequestWith(tx.ctx, tx.c.Client); err != nil {
		tx.Fatal(err)
	}
	return tx.hand(at, -1, "")
}

func (tx *transaction) hand(at int64, generation int32, member string) error {
	tx.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation, req.MemberID = tx.id, testGroup, tx.pid, tx.epoch, generation, member
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: testTopic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 2, Offset: at, LeaderEpoch: -1}}}}
	resp, err := req.RequestWith(tx.ctx, tx.c.Client)
	if err != nil {
		tx.Fatal(err)
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

func (tx *transaction) end(commit bool) error {
	tx.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = tx.id, tx.pid, tx.epoch, commit
	resp, err := req.RequestWith(tx.ctx, tx.c.Client)
	if err != nil {
		return err
	}
	if resp.Version >= 5 { // KIP-890
		tx.pid, tx.epoch = resp.ProducerID, resp.ProducerEpoch
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// kinds are the events about commits and transactions of a member, in order.
func (f *fixture) kinds(member string) (events []history.Event) {
	for _, e := range f.log.Events(0) {
		switch e.Kind {
		case history.CommitRequested, history.CommitSealed, history.Committed, history.Aborted:
			if e.Member == member {
				events = append(events, e)
			}
		}
	}
	return events
}

func (f *fixture) wantKinds(member string, want ...history.Kind) []history.Event {
	f.Helper()
	events := f.kinds(member)
	var got []history.Kind
	for _, e := range events {
		got = append(got, e.Kind)
	}
	if len(got) != len(want) {
		f.Fatalf("events %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			f.Fatalf("events %v, want %v", got, want)
		}
	}
	return events
}

// TestTxnCommit: offsets in a transaction are committed when that is, and not before.
func TestTxnCommit(t *testing.T) {
	f := newFixture(t)
	tx := transact(f, f.open("m1", 1), "txn-1")
	if err := tx.take(1); err != nil {
		t.Fatal(err)
	}
	f.wantKinds("m1", history.CommitRequested)
	if err := tx.end(true); err != nil {
		t.Fatal(err)
	}
	es := f.wantKinds("m1", history.CommitRequested, history.CommitSealed, history.Committed)
	for _, e := range es {
		if e.Note != "txn" || e.Topic != testTopic || e.Partition != 2 || e.Offset != 1 {
			t.Errorf("%+v", e)
		}
	}
	if es[1].Ref != es[0].Seq || es[2].Ref != es[0].Seq || es[2].Outcome != history.Accepted {
		t.Errorf("%+v", es)
	}
}

// TestTxnAbort: what an aborted transaction took along is not committed.
func TestTxnAbort(t *testing.T) {
	f := newFixture(t)
	tx := transact(f, f.open("m1", 1), "txn-1")
	for _, at := range []int64{1, 2} {
		if err := tx.take(at); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.end(false); err != nil {
		t.Fatal(err)
	}
	es := f.wantKinds("m1", history.CommitRequested, history.CommitRequested, history.Committed, history.Committed, history.Aborted)
	if es[2].Outcome != history.Refused || es[2].Error != "ABORTED" || es[2].Ref != es[0].Seq || es[3].Ref != es[1].Seq || es[4].Note != "txn-1" {
		t.Errorf("%+v", es)
	}
	// The next one under the same id begins with nothing.
	if err := tx.take(3); err != nil {
		t.Fatal(err)
	}
	if err := tx.end(true); err != nil {
		t.Fatal(err)
	}
	es = f.kinds("m1")
	if last := es[len(es)-1]; last.Kind != history.Committed || last.Offset != 3 || last.Outcome != history.Accepted || len(es) != 8 {
		t.Errorf("%+v", es)
	}
}

// TestTxnRefused: a refusal by the group is final, whatever becomes of the transaction.
func TestTxnRefused(t *testing.T) {
	f := newFixture(t)
	m := f.open("m1", 1)
	consume(f, m)
	f.awaitStable("m1")
	tx := transact(f, m, "txn-1")
	before := len(f.kinds("m1"))
	if err := tx.hand(1, m.Generation()+7, m.ID()); err == nil {
		t.Fatal("a commit of another generation is taken")
	}
	if err := tx.end(true); err != nil && !errors.Is(err, kerr.InvalidTxnState) {
		t.Fatal(err)
	}
	es := f.kinds("m1")[before:]
	if len(es) < 2 || es[1].Kind != history.Committed || es[1].Outcome != history.Refused || es[1].Error != "ILLEGAL_GENERATION" {
		t.Fatalf("%+v", es)
	}
	for _, e := range es[2:] {
		if e.Kind != history.Aborted {
			t.Errorf("%+v", e)
		}
	}
}

// TestTxnReplaced: the next life aborts what the last one left open.
func TestTxnReplaced(t *testing.T) {
	f := newFixture(t)
	old := transact(f, f.open("m1", 1), "txn-1")
	if err := old.take(1); err != nil {
		t.Fatal(err)
	}
	transact(f, f.open("m2", 1), "txn-2")
	f.wantKinds("m1", history.CommitRequested)
	transact(f, f.open("m1", 2), "txn-1")
	es := f.wantKinds("m1", history.CommitRequested, history.Committed, history.Aborted)
	if es[1].Incarnation != 1 || es[1].Error != "ABORTED" || es[2].Incarnation != 1 {
		t.Errorf("%+v", es)
	}
	// It is fenced now: its commit comes to nothing, and is not taken for one.
	if err := old.end(true); err == nil {
		t.Error("a transaction that was replaced is committed")
	}
	if n := f.count(0, func(e history.Event) bool { return e.Kind == history.CommitSealed || e.Outcome == history.Accepted }); n != 0 {
		t.Errorf("%d commits taken for accepted", n)
	}
}

// TestTxnHeldAtItsEnd: a rule sees at EndTxn what the transaction commits; a client
// that dies with the answer under way has committed.
func TestTxnHeldAtItsEnd(t *testing.T) {
	for _, d := range []Direction{Request, Response} {
		t.Run(map[Direction]string{Request: "request", Response: "response"}[d], func(t *testing.T) {
			f := newFixture(t)
			m := f.open("m1", 1)
			tx := transact(f, m, "txn-1")
			if err := tx.take(1); err != nil {
				t.Fatal(err)
			}
			armed := f.tap.Add(Rule{Key: kmsg.EndTxn.Int16(), Direction: d, Times: 1, Action: Hold{}})
			ctx, cancel := context.WithCancel(f.ctx)
			done := make(chan struct{})
			go func() {
				defer close(done)
				req := kmsg.NewPtrEndTxnRequest()
				req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = tx.id, tx.pid, tx.epoch, true
				_, _ = req.RequestWith(ctx, tx.c.Client)
			}()
			call := receive(f, "held", armed.Hit())
			if len(call.Commits) != 1 || call.Commits[0] != (Commit{testTopic, 2, 1, 0}) {
				t.Errorf("held %+v", call)
			}
			if d == Request {
				f.wantKinds("m1", history.CommitRequested)
			} else {
				f.wantKinds("m1", history.CommitRequested, history.CommitSealed, history.Committed)
			}
			cancel()
			<-done
			armed.Remove()
		})
	}
}

// wire plays requests and answers to a group, without a broker.
type wire struct {
	*testing.T
	g *group
	l life
}

func (w *wire) ask(l life, req kmsg.Request) *exchange {
	ex := &exchange{req: req}
	w.g.requested(l, ex)
	return ex
}

func (w *wire) take(at int64, answered bool) {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.Generation = "txn-1", testGroup, 3
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: testTopic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: at}}}}
	ex := w.ask(w.l, req)
	if answered {
		resp := &kmsg.TxnOffsetCommitResponse{Topics: []kmsg.TxnOffsetCommitResponseTopic{{Topic: testTopic, Partitions: []kmsg.TxnOffsetCommitResponseTopicPartition{{}}}}}
		w.g.answered(w.l, ex, resp, true)
	}
}

func (w *wire) endTxn(commit bool) *exchange {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.Commit = "txn-1", commit
	return w.ask(w.l, req)
}

func (w *wire) answer(ex *exchange, code int16) {
	w.g.answered(w.l, ex, &kmsg.EndTxnResponse{ErrorCode: code}, true)
}

func (w *wire) replace(l life) {
	id := "txn-1"
	w.g.answered(l, w.ask(l, &kmsg.InitProducerIDRequest{TransactionalID: &id}), &kmsg.InitProducerIDResponse{}, true)
}

// TestTxnFates: what the history says of a commit of 5 after each way in which a
// transaction can end.
func TestTxnFates(t *testing.T) {
	fenced, loading, again, mystery := kerr.ProducerFenced.Code, kerr.CoordinatorLoadInProgress.Code, kerr.TransactionAbortable.Code, kerr.UnknownServerError.Code
	next := life{"m1", 2}
	for _, c := range []struct {
		name string
		play func(w *wire)
		want string // outcome and error of the Committed, and of the Aborted
	}{
		{"committed", func(w *wire) { w.take(5, true); w.answer(w.endTxn(true), 0) }, "accepted "},
		{"aborted", func(w *wire) { w.take(5, true); w.answer(w.endTxn(false), 0) }, "refused ABORTED, aborted "},
		{"aborted with nothing in it", func(w *wire) { w.answer(w.endTxn(false), 0) }, "aborted "},
		{"fenced", func(w *wire) { w.take(5, true); w.answer(w.endTxn(true), fenced) }, "refused PRODUCER_FENCED, aborted PRODUCER_FENCED"},
		{"asked again", func(w *wire) { w.take(5, true); w.answer(w.endTxn(true), loading); w.answer(w.endTxn(true), 0) }, "accepted "},
		{"asked again, fenced", func(w *wire) { w.take(5, true); w.answer(w.endTxn(true), loading); w.answer(w.endTxn(true), fenced) }, "refused PRODUCER_FENCED, aborted PRODUCER_FENCED"},
		{"must be aborted", func(w *wire) { w.take(5, true); w.answer(w.endTxn(true), again); w.answer(w.endTxn(false), 0) }, "refused ABORTED, aborted "},
		{"not answered", func(w *wire) { w.take(5, true); w.endTxn(true) }, ""},
		{"not answered, replaced", func(w *wire) { w.take(5, true); w.endTxn(true); w.replace(next) }, ""},
		{"not answered, then fenced", func(w *wire) { w.take(5, true); w.endTxn(true); w.answer(w.endTxn(true), fenced) }, ""},
		{"answered with nothing, then fenced", func(w *wire) { w.take(5, true); w.answer(w.endTxn(true), mystery); w.answer(w.endTxn(true), fenced) }, ""},
		{"not answered, then asked again", func(w *wire) { w.take(5, true); w.endTxn(true); w.answer(w.endTxn(true), 0) }, "accepted "},
		{"not answered, then aborted", func(w *wire) { w.take(5, true); w.endTxn(true); w.answer(w.endTxn(false), 0) }, "refused ABORTED, aborted "},
		{"never ended", func(w *wire) { w.take(5, true) }, ""},
		{"replaced by the next life", func(w *wire) { w.take(5, true); w.replace(next) }, "refused ABORTED, aborted "},
		{"replaced by itself", func(w *wire) { w.take(5, true); w.replace(w.l) }, "refused ABORTED, aborted "},
		{"answered after it was replaced", func(w *wire) { w.take(5, true); ex := w.endTxn(false); w.replace(next); w.answer(ex, 0) }, "refused ABORTED, aborted "},
		{"handed in without an answer", func(w *wire) { w.take(5, false); w.answer(w.endTxn(true), 0) }, ""},
		{"handed in without an answer, aborted", func(w *wire) { w.take(5, false); w.answer(w.endTxn(false), 0) }, "refused ABORTED, aborted "},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := history.NewMemory(history.Header{})
			w := &wire{T: t, g: newGroup(log, testGroup), l: life{"m1", 1}}
			c.play(w)
			var got []string
			for _, e := range log.Events(0) {
				switch e.Kind {
				case history.Committed:
					got = append(got, fmt.Sprintf("%s %s", e.Outcome, e.Error))
				case history.Aborted:
					got = append(got, "aborted "+e.Error)
				}
				if e.Kind != history.CommitRequested && e.Incarnation != 1 {
					t.Errorf("of the wrong life: %+v", e)
				}
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("%q, want %q", text, c.want)
			}
		})
	}
}
