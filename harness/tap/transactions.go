package tap

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// aborted is the error of a commit whose transaction was aborted. Kafka has no
// name for it: nobody is told.
const aborted = "ABORTED"

// noteTxn is the note of commits within a transaction.
const noteTxn = "txn"

// txnName names the transactions of one life under one transactional id; at
// most one of them is open at a time.
type txnName struct {
	life life
	id   string
}

// txn is an open transaction as far as it concerns the group: the offsets that
// it takes along. The broker keeps them aside until EndTxn, so that is where
// their fate is decided, and where it is written down.
type txn struct {
	commits []*txnCommit // in the order of their requests
	sealed  bool         // EndTxn, to commit, was passed on
	// open counts requests to commit (EndTxn) that are not answered, or whose
	// answer does not tell: each may have been applied.
	open int
}

// txnCommit is one partition of a TxnOffsetCommit.
type txnCommit struct {
	committed
	TopicPartition
	accepted bool // by the group coordinator: it will be applied if the transaction is
}

// txn finds or makes a transaction, with g.mu held.
func (g *group) txn(l life, id string) *txn {
	name := txnName{l, id}
	if g.txns[name] == nil {
		g.txns[name] = &txn{}
	}
	return g.txns[name]
}

// takesAlong notes the offsets that a transaction is asked to take along.
func (g *group) takesAlong(l life, ex *exchange, id string, os []offset) {
	t := g.txn(l, id)
	for _, o := range os {
		of := ex.commits[o.TopicPartition]
		t.commits = append(t.commits, &txnCommit{committed: of[len(of)-1], TopicPartition: o.TopicPartition})
	}
}

// tookAlong handles the answer to TxnOffsetCommit. A refusal is final; what is
// accepted has a fate only when the transaction ends.
func (g *group) tookAlong(l life, ex *exchange, r *kmsg.TxnOffsetCommitResponse) answer {
	req := ex.req.(*kmsg.TxnOffsetCommitRequest)
	a := answer{seat: g.find(l, req.MemberID, nil), generation: req.Generation}
	t := g.txns[txnName{l, req.TransactionalID}]
	for _, topic := range r.Topics {
		for _, p := range topic.Partitions {
			tp := g.partition(topic.Topic, topic.TopicID, p.Partition)
			if p.ErrorCode != 0 || t == nil {
				t.drop(ex.commits[tp])
				a.commit(l, ex, tp, p.ErrorCode, noteTxn)
				continue
			}
			for _, c := range t.commits {
				c.accepted = c.accepted || slices.Contains(ex.commits[tp], c.committed)
			}
		}
	}
	return a
}

// drop forgets commits that were refused.
func (t *txn) drop(refused []committed) {
	if t == nil {
		return
	}
	t.commits = slices.DeleteFunc(t.commits, func(c *txnCommit) bool { return slices.Contains(refused, c.committed) })
}

// pending returns the offsets that a request to commit will make true, for rules.
func (g *group) pending(l life, id string) []Commit {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.txns[txnName{l, id}]; t != nil {
		return t.offsets()
	}
	return nil
}

func (t *txn) offsets() []Commit {
	cs := make([]Commit, len(t.commits))
	for i, c := range t.commits {
		cs[i] = Commit{Topic: c.Topic, Partition: c.Partition, Offset: c.offset}
	}
	return cs
}

// ends handles EndTxn on its way to the broker.
func (g *group) ends(l life, ex *exchange, r *kmsg.EndTxnRequest) []history.Event {
	t := g.txn(l, r.TransactionalID)
	ex.txn = t
	if !r.Commit {
		return nil
	}
	t.open++
	ex.ending = t.offsets()
	if t.sealed {
		return nil // the same request again
	}
	t.sealed = true
	events := make([]history.Event, 0, len(t.commits))
	for _, c := range t.commits {
		events = append(events, c.event(history.CommitSealed, l))
	}
	return events
}

func (c *txnCommit) event(kind history.Kind, l life) history.Event {
	return history.Event{
		Kind: kind, Member: l.member, Incarnation: l.incarnation, Generation: c.generation,
		Topic: c.Topic, Partition: c.Partition, Offset: c.offset, Ref: c.seq, Note: noteTxn,
	}
}

// txnFate is what an answer to EndTxn says about the transaction.
type txnFate int

const (
	txnStillOpen txnFate = iota // nothing was done; it goes on, or is asked again
	txnUnsure                   // nobody knows what was done
	txnEnded                    // as asked
	txnRefused                  // it is over, and was not committed by this request
)

func fateOf(code int16) txnFate {
	switch code {
	case 0:
		return txnEnded
	case kerr.UnknownServerError.Code, kerr.RequestTimedOut.Code, kerr.NetworkException.Code:
		return txnUnsure
	case kerr.TransactionAbortable.Code:
		return txnStillOpen // the member must ask to abort it
	}
	if e := kerr.TypedErrorForCode(code); e != nil && e.Retriable {
		return txnStillOpen
	}
	return txnRefused
}

// txnEnd handles the answer to EndTxn.
func (g *group) txnEnd(l life, ex *exchange, r *kmsg.EndTxnResponse) []history.Event {
	req, t := ex.req.(*kmsg.EndTxnRequest), ex.txn
	name := txnName{l, req.TransactionalID}
	if t == nil || g.txns[name] != t {
		return nil // it was replaced meanwhile
	}
	fate := fateOf(r.ErrorCode)
	if req.Commit && fate != txnUnsure {
		t.open--
	}
	if fate == txnStillOpen || fate == txnUnsure {
		return nil
	}
	delete(g.txns, name)
	switch {
	case fate == txnEnded && req.Commit:
		return t.fates(l, "")
	case fate == txnEnded:
		return append(t.fates(l, aborted), abortion(name, ""))
	case t.open > 0:
		return nil // an earlier request may have committed it
	}
	return append(t.fates(l, errorName(r.ErrorCode)), abortion(name, errorName(r.ErrorCode)))
}

// fates are those of the offsets of a transaction; one that no answer came to
// when it was handed in keeps an unknown fate if the transaction was committed.
func (t *txn) fates(l life, refusal string) []history.Event {
	var events []history.Event
	for _, c := range t.commits {
		if !c.accepted && refusal == "" {
			continue
		}
		e := c.event(history.Committed, l)
		e.Outcome = history.Accepted
		if refusal != "" {
			e.Outcome, e.Error = history.Refused, refusal
		}
		events = append(events, e)
	}
	return events
}

func abortion(name txnName, why string) history.Event {
	return history.Event{
		Kind: history.Aborted, Member: name.life.member, Incarnation: name.life.incarnation, Note: name.id, Error: why,
	}
}

// replaced handles the answer to InitProducerId: whoever had an open
// transaction under this id, this life or another, has it no more. One that was
// about to be committed keeps an unknown fate: the broker ends what it has begun to end.
func (g *group) replaced(id string) []history.Event {
	var names []txnName
	for name := range g.txns {
		if name.id == id {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b txnName) int { return a.life.compare(b.life) })
	var events []history.Event
	for _, name := range names {
		t := g.txns[name]
		delete(g.txns, name)
		if t.open == 0 {
			events = append(append(events, t.fates(name.life, aborted)...), abortion(name, ""))
		}
	}
	return events
}
