package sqltx

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// Class says what an error of the database means for the records at hand.
type Class int

// The classes.
const (
	// Ordinary: the record's own, such as a constraint that it breaks. It counts
	// as an attempt.
	Ordinary Class = iota
	// Conflict: another transaction came in between. The whole transaction is
	// tried again at once, a few times, and then as Down.
	Conflict
	// Down: the database cannot do the work, whatever the record. It is tried
	// again for as long as that takes, no attempt is counted, and it never
	// becomes poison ([consumer.Unavailable]).
	Down
)

// Classify is how errors are told apart unless Options.Classify says otherwise;
// it may be called from there. It knows errors with a method SQLState() string
// (jackc/pgx, lib/pq), those with Code() int (modernc.org/sqlite), and those of
// database/sql and the network.
//
//   - Conflict: SQLSTATE 40001, 40P01 and 55P03; SQLITE_BUSY and SQLITE_LOCKED.
//   - Down: SQLSTATE classes 08, 28, 3D, 53, 57P and 58, 40003, and 25006 (it has
//     become a standby); SQLite's errors of disk, memory and file;
//     driver.ErrBadConn, and connections that fail or break.
//   - Ordinary: all others, context errors and a statement that was cancelled
//     (57014) among them.
func Classify(err error) Class {
	if state, ok := sqlState(err); ok {
		return classOfState(state)
	}
	if code, ok := sqliteCode(err); ok {
		return classOfCode(code)
	}
	if lostConnection(err) {
		return Down
	}
	return Ordinary
}

func classOfState(state string) Class {
	switch state {
	case "40001", "40P01", "55P03":
		return Conflict
	case "40003", "25006":
		return Down
	}
	for _, class := range []string{"08", "28", "3D", "53", "57P", "58"} {
		if strings.HasPrefix(state, class) {
			return Down
		}
	}
	return Ordinary
}

// The primary result codes of SQLite that are nothing of the record's.
const (
	sqliteBusy, sqliteLocked                                 = 5, 6
	sqliteNoMem, sqliteReadOnly, sqliteIOErr, sqliteCorrupt  = 7, 8, 10, 11
	sqliteFull, sqliteCantOpen, sqliteProtocol, sqliteNotADB = 13, 14, 15, 26
	sqlitePrimary                                            = 0xff
	stateAborted                                             = "25P02" // in_failed_sql_transaction
)

func classOfCode(code int) Class {
	switch code & sqlitePrimary {
	case sqliteBusy, sqliteLocked:
		return Conflict
	case sqliteNoMem, sqliteReadOnly, sqliteIOErr, sqliteCorrupt, sqliteFull, sqliteCantOpen, sqliteProtocol, sqliteNotADB:
		return Down
	}
	return Ordinary
}

func sqlState(err error) (string, bool) {
	var e interface {
		error
		SQLState() string
	}
	if errors.As(err, &e) && len(e.SQLState()) == 5 {
		return e.SQLState(), true
	}
	return "", false
}

func sqliteCode(err error) (int, bool) {
	var e interface {
		error
		Code() int
	}
	if errors.As(err, &e) && e.Code() > 0 {
		return e.Code(), true
	}
	return 0, false
}

// answered tells whether it is the database that says err, so that it is there.
func answered(err error) bool {
	_, state := sqlState(err)
	_, code := sqliteCode(err)
	return state || code
}

// lostConnection tells whether err is of a connection, to a database or to
// anything else. A context's end is a net.Error too, but not meant.
func lostConnection(err error) bool {
	for _, lost := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNREFUSED} {
		if errors.Is(err, lost) {
			return true
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	return errors.As(err, &network)
}
