package sqltx_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/sqltx"
)

// memberMode is a member of the group as a process of its own, to be killed.
const memberMode = "sqltx/member"

// memberVariable carries the life of a member, in JSON.
const memberVariable = "KSIM_TEST_MEMBER"

const (
	group   = "exactly-once"
	letters = "letters"
	// More points at which a member can stop, beside those of the spy.
	beforeBatch = "before-batch"
	inHandler   = "in-handler" // it has written the effect of a record
)

// life is what one process does: it consumes, and stops the After-th time that it
// comes to Point. There it says so on its output, and waits for its end, or for a
// line on its input.
type life struct {
	Brokers      []string
	Dialect      sqltx.Dialect
	DSN          string
	Name         string
	NoSavepoints bool
	Point        string
	After        int
	// Quiet makes it finish its other transactions first: it is to be frozen, and
	// nobody could get past the locks that they hold.
	Quiet   bool
	Verbose bool
}

// stopper stops a life at its point.
type stopper struct {
	life
	spy    *spy
	mu     sync.Mutex
	seen   int
	resume chan struct{}
}

func (s *stopper) at(point string) error {
	s.mu.Lock()
	stop := point == s.Point
	if stop {
		s.seen++
		stop = s.seen == s.After
	}
	s.mu.Unlock()
	if stop && s.Quiet {
		own := 0
		if point == inHandler || point == beforeMove {
			own = 1
		}
		defer s.spy.quiet(own)()
	}
	if stop {
		fmt.Println("at", point)
		<-s.resume
	}
	return nil
}

// listen lets the life go on at a line, and ends the process with its parent.
func (s *stopper) listen() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		close(s.resume)
	}
	os.Exit(4)
}

func runMember(ctx context.Context) int {
	s := &stopper{resume: make(chan struct{})}
	if err := json.Unmarshal([]byte(os.Getenv(memberVariable)), &s.life); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	go s.listen()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, s.Name, err)
		return 1
	}
	return 0
}

func (s *stopper) run(ctx context.Context) error {
	db, spy, err := open(s.Dialect, s.DSN)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	s.spy = spy
	spy.watch(s.at)
	store, err := sqltx.New(db, s.Dialect, sqltx.Options{NoSavepoints: s.NoSavepoints})
	if err != nil {
		return err
	}
	handler := store.Each(s.handle())
	c, err := consumer.New(s.config(store), func(ctx context.Context, b consumer.Batch) error {
		_ = s.at(beforeBatch)
		err := handler(ctx, b)
		select {
		case <-s.resume:
			fmt.Println("ended", wrapping(err))
		default:
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

func (s *stopper) config(store *sqltx.Store) consumer.Config {
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID = s.Brokers, []string{topic}, group, s.Name
	cfg.Protocol, cfg.Offsets = consumer.ProtocolConsumer, store
	cfg.RebalanceTimeout, cfg.DrainTimeout, cfg.ShutdownTimeout = 5*time.Second, 4*time.Second, 10*time.Second
	cfg.CommitInterval, cfg.BatchSize = 50*time.Millisecond, 10
	cfg.Retry.Initial, cfg.Retry.Max = 2*time.Millisecond, 10*time.Millisecond
	cfg.Poison.Topic = letters
	cfg.ClientOpts = []kgo.Opt{kgo.DisableClientMetrics(), kgo.MetadataMinAge(50 * time.Millisecond)}
	cfg.Logger = slog.New(slog.DiscardHandler)
	if s.Verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("member", s.Name)
	}
	return cfg
}

// handle writes the effect of a record. Poison it refuses, and what is flaky it
// refuses the first time, after it has written.
func (s *stopper) handle() func(context.Context, *sql.Tx, *kgo.Record) error {
	query := `INSERT INTO effects (grp, part, pos) VALUES ($1, $2, $3)`
	if s.Dialect == sqltx.SQLite {
		query = `INSERT INTO effects (grp, part, pos) VALUES (?, ?, ?)`
	}
	var tried sync.Map
	return func(ctx context.Context, tx *sql.Tx, r *kgo.Record) error {
		if _, err := tx.ExecContext(ctx, query, group, r.Partition, r.Offset); err != nil {
			return err
		}
		_ = s.at(inHandler)
		switch {
		case bytes.Equal(r.Value, []byte("poison")):
			return consumer.Permanent(errors.New("poison"))
		case bytes.Equal(r.Value, []byte("flaky")):
			if _, again := tried.LoadOrStore([2]int64{int64(r.Partition), r.Offset}, true); !again {
				return errors.New("not the first time")
			}
		}
		return nil
	}
}
