package sqltx_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
)

// owner is one life of a member that has, or believes to have, the partition. It
// behaves as the consumer does: it asks for records from where it is.
type owner struct {
	store *sqltx.Store
	at    int // index of its next record in the log
	ready bool
}

// world is the model: a log with gaps, owners that load, work, crash and act late,
// and a database that loses answers. What must hold is that the effects are
// those of the records before the stored position, once each and in order.
type world struct {
	*rapid.T
	ctx     context.Context
	db      *sql.DB
	spy     *spy
	opts    sqltx.Options
	log     []int64
	owners  []*owner
	skipped map[int64]bool
	next    int64
}

func (w *world) store() *sqltx.Store {
	s, err := sqltx.New(w.db, sqltx.SQLite, w.opts)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) pick() *owner { return w.owners[rapid.IntRange(0, len(w.owners)-1).Draw(w.T, "owner")] }

// faults are what the database may do to the next transaction.
func (w *world) fault() {
	lost := driver.ErrBadConn
	faults := map[string]func(string) error{
		"none": nil, "begin": always(lost, beforeBegin), "cas": always(lost, beforeMove), "cas done": always(lost, afterMove),
		"not committed": always(lost, beforeEnd), "committed": always(lost, afterEnd),
		"not committed, no answer": always(lost, beforeEnd, beforeRead), "committed, no answer": always(lost, afterEnd, beforeRead),
		"conflict": once(beforeMove, func() error { return coded("40001") }),
	}
	names := []string{"none", "none", "none", "begin", "cas", "cas done", "not committed", "committed", "not committed, no answer", "committed, no answer", "conflict"}
	w.spy.watch(faults[rapid.SampledFrom(names).Draw(w.T, "fault")])
}

func (w *world) load(*rapid.T) {
	o := w.pick()
	w.spy.watch(nil)
	o.ready = false
	if rapid.IntRange(0, 4).Draw(w.T, "load fails") == 0 {
		w.spy.watch(always(driver.ErrBadConn, rapid.SampledFrom([]string{beforeBegin, atLoad, afterEnd}).Draw(w.T, "where")))
	}
	next, err := o.store.Load(w.ctx, "g", map[string][]int32{topic: {0}})
	if err != nil {
		return
	}
	o.ready, o.at = true, 0
	if n, ok := next[topic][0]; ok {
		o.at, _ = slices.BinarySearch(w.log, n)
	}
}

// crash makes a member anew; its former life says nothing any more.
func (w *world) crash(*rapid.T) { *w.pick() = owner{store: w.store()} }

func (w *world) work(*rapid.T) {
	o := w.pick()
	n := min(rapid.IntRange(1, 5).Draw(w.T, "records"), len(w.log)-o.at)
	if !o.ready || n == 0 {
		return
	}
	offsets := w.log[o.at : o.at+n]
	bad := rapid.IntRange(0, 2*n).Draw(w.T, "bad")
	w.fault()
	fn := func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO effects (pos) VALUES (?)`, r.Offset); err != nil {
			return err
		}
		if bad < n && r.Offset == offsets[bad] {
			return errBad
		}
		return nil
	}
	err := o.store.Each(fn)(w.ctx, batch(offsets...))
	w.spy.watch(nil)
	i, ok, cause := consumer.FirstFailed(err, n)
	switch {
	case wrapping(err) == "fatal":
		w.Fatalf("the handler gives up: %v", err)
	case wrapping(err) == "fenced":
		o.ready = false
	case ok:
		o.at += i
		if errors.Is(cause, errBad) && rapid.Bool().Draw(w.T, "poison") {
			w.skip(o)
		}
	case wrapping(err) != "unavailable":
		w.Fatalf("the handler says %v", err)
	}
}

// skip puts the next record of an owner aside, as often as it takes.
func (w *world) skip(o *owner) {
	offset := w.log[o.at]
	for range 3 {
		w.fault()
		err := o.store.Skip(w.ctx, "g", topic, 0, offset+1)
		w.spy.watch(nil)
		if wrapping(err) == "fenced" {
			o.ready = false
			break
		}
		if err == nil {
			w.skipped[offset] = true
			o.at++
			return
		}
	}
	// It may have been stored all the same.
	if w.row() > offset && !slices.Contains(w.effects(), offset) {
		w.skipped[offset] = true
	}
	o.ready = false // the consumer stops, or joins again
}

func (w *world) row() int64 {
	next := int64(-1)
	if err := w.db.QueryRow(`SELECT next_offset FROM consumer_offsets`).Scan(&next); err != nil && !errors.Is(err, sql.ErrNoRows) {
		w.Fatal(err)
	}
	return next
}

func (w *world) effects() (all []int64) {
	rows, err := w.db.Query(`SELECT pos FROM effects ORDER BY id`)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var o int64
		if err := rows.Scan(&o); err != nil {
			w.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

func (w *world) check(*rapid.T) {
	next := w.row()
	if next < w.next {
		w.Fatalf("the position went back from %d to %d", w.next, next)
	}
	w.next = next
	var want []int64
	for _, o := range w.log {
		if o < next && !w.skipped[o] {
			want = append(want, o)
		}
	}
	if got := w.effects(); !slices.Equal(got, want) {
		w.Fatalf("the position is %d, skipped %v: effects %v, want %v", next, w.skipped, got, want)
	}
}

// Any interleaving of owners that load, work, put aside, crash and act late, on
// a database that loses connections at every point.
func TestModel(t *testing.T) {
	ctx, n := t.Context(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		db, s, err := open(sqltx.SQLite, fmt.Sprintf("file:model%d?mode=memory&cache=shared", n))
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		// A connection that is said to be broken is closed: another keeps the database.
		keep, _, err := open(sqltx.SQLite, fmt.Sprintf("file:model%d?mode=memory&cache=shared", n))
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = keep.Close() }()
		if _, err := keep.ExecContext(ctx, `CREATE TABLE effects (id INTEGER PRIMARY KEY AUTOINCREMENT, pos INTEGER)`); err != nil {
			rt.Fatal(err)
		}
		w := &world{T: rt, ctx: ctx, db: db, spy: s, skipped: map[int64]bool{}, next: -1}
		w.opts.NoSavepoints = rapid.Bool().Draw(rt, "no savepoints")
		gap := int64(rapid.IntRange(2, 9).Draw(rt, "gap"))
		for o := int64(0); len(w.log) < 100; o++ {
			if o%gap != gap-1 {
				w.log = append(w.log, o)
			}
		}
		if err := w.store().Create(ctx); err != nil {
			rt.Fatal(err)
		}
		for range 3 {
			w.owners = append(w.owners, &owner{store: w.store()})
		}
		rt.Repeat(map[string]func(*rapid.T){"load": w.load, "work": w.work, "work on": w.work, "work more": w.work, "crash": w.crash, "": w.check})
	})
}
