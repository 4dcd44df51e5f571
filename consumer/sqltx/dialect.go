package sqltx

import (
	"fmt"
	"regexp"
	"strings"
)

// Dialect is the SQL that a database speaks. The driver is the caller's choice.
type Dialect string

// The dialects.
const (
	PostgreSQL Dialect = "postgresql" // 9.5 or newer; tested with jackc/pgx/v5/stdlib
	SQLite     Dialect = "sqlite"     // 3.35 or newer; tested with modernc.org/sqlite
)

func (d Dialect) check() error {
	if d != PostgreSQL && d != SQLite {
		return fmt.Errorf("sqltx: the dialect %q is none of %s, %s", string(d), PostgreSQL, SQLite)
	}
	return nil
}

// sql fills in the name of the table for {t}, the time for {now}, and the
// placeholders: $1 becomes ?1 for SQLite, where $1 would be a name.
func (d Dialect) sql(text, table string) string {
	text = strings.NewReplacer("{t}", table, "{now}", d.now()).Replace(text)
	if d == SQLite {
		text = strings.ReplaceAll(text, "$", "?")
	}
	return text
}

// now is the time of the transaction by the database's clock, as its tables hold it.
func (d Dialect) now() string {
	if d == SQLite {
		return "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
	}
	return "now()"
}

func (d Dialect) timestamp() string {
	if d == SQLite {
		return "TEXT" // UTC, in ISO 8601, which sorts as time does
	}
	return "TIMESTAMPTZ"
}

// names is what a table may be called: table, or schema.table. PostgreSQL cuts
// names off at 63 bytes; what is appended for an index must fit too.
var names = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]{0,49}\.)?[A-Za-z_][A-Za-z0-9_]{0,49}$`)

// quoted returns a table's name as SQL takes it, reserved words included.
func quoted(name string) (string, error) {
	if !names.MatchString(name) {
		return "", fmt.Errorf("sqltx: %q cannot be the name of a table: letters, digits and _ with no digit first, 50 at most, and a schema and a dot before it if need be", name)
	}
	return `"` + strings.ReplaceAll(name, ".", `"."`) + `"`, nil
}
