package sqltx_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/ksim-dev/ksim/consumer/sqltx"
)

// The points at which a spy calls, in a transaction of the store's.
const (
	atLoad      = "load"       // Load has raised the epochs, and not committed
	beforeMove  = "before-cas" // the compare-and-set is about to be done
	afterMove   = "after-cas"  // it is done; COMMIT comes next
	beforeEnd   = "before-commit"
	afterEnd    = "after-commit" // the database has committed; nobody knows yet
	beforeRead  = "before-read"  // the outcome of a COMMIT is about to be asked for
	beforeBegin = "before-begin"
)

// spy is a connector that sees what is said to the database, and may answer in
// its place: an error of its function stands for that of the connection.
type spy struct {
	inner driver.Connector

	mu     sync.Mutex
	on     func(point string) error
	gone   bool
	shut   bool // no transaction begins
	open   int  // transactions
	change sync.Cond
}

func newSpy(inner driver.Connector) *spy {
	s := &spy{inner: inner}
	s.change.L = &s.mu
	return s
}

// quiet lets no other transaction begin, and waits until just own are open.
func (s *spy) quiet(own int) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	for s.open > own {
		s.change.Wait()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.shut = false
		s.change.Broadcast()
	}
}

func (s *spy) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.shut {
		s.change.Wait()
	}
	s.open++
}

func (s *spy) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.change.Broadcast()
}

// watch sets the function called at every point; nil for none.
func (s *spy) watch(on func(point string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
}

func (s *spy) at(point string) error {
	s.mu.Lock()
	on := s.on
	s.mu.Unlock()
	if on == nil {
		return nil
	}
	return on(point)
}

// open opens a database through a spy.
func open(dialect sqltx.Dialect, dsn string) (*sql.DB, *spy, error) {
	s := newSpy(nil)
	if dialect == sqltx.PostgreSQL {
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, nil, err
		}
		s.inner = stdlib.GetConnector(*cfg)
	} else {
		c, err := sqlite.NewConnector(dsn)
		if err != nil {
			return nil, nil, err
		}
		s.inner = c
	}
	return sql.OpenDB(s), s, nil
}

func (s *spy) Driver() driver.Driver { return s.inner.Driver() }

// down makes the database take no connections any more.
func (s *spy) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}

func (s *spy) Connect(ctx context.Context) (driver.Conn, error) {
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if gone {
		return nil, errors.New("nobody there")
	}
	c, err := s.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &spiedConn{c, s}, nil
}

type spiedConn struct {
	driver.Conn
	spy *spy
}

func (c *spiedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.spy.at(beforeBegin); err != nil {
		return nil, err
	}
	c.spy.begin()
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		c.spy.end()
		return nil, err
	}
	return &spiedTx{tx, c}, nil
}

func (c *spiedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	move := strings.HasPrefix(query, "UPDATE") && strings.Contains(query, "SET next_offset")
	if move {
		if err := c.spy.at(beforeMove); err != nil {
			return nil, err
		}
	}
	r, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if err == nil && move {
		err = c.spy.at(afterMove)
	}
	return r, err
}

func (c *spiedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if strings.HasPrefix(query, "SELECT epoch, next_offset") {
		if err := c.spy.at(beforeRead); err != nil {
			return nil, err
		}
	}
	r, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err == nil && strings.HasPrefix(query, "INSERT") && strings.Contains(query, "epoch = o.epoch + 1") {
		if err = c.spy.at(atLoad); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, err
}

func (c *spiedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c *spiedConn) Ping(ctx context.Context) error { return c.Conn.(driver.Pinger).Ping(ctx) }

func (c *spiedConn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *spiedConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type spiedTx struct {
	driver.Tx
	conn *spiedConn
}

func (t *spiedTx) Rollback() error {
	defer t.conn.spy.end()
	return t.Tx.Rollback()
}

func (t *spiedTx) Commit() error {
	if err := t.conn.spy.at(beforeEnd); err != nil {
		_ = t.Rollback() // as the server does without its client
		return err
	}
	err := t.Tx.Commit()
	t.conn.spy.end()
	if err != nil {
		return err
	}
	return t.conn.spy.at(afterEnd)
}
