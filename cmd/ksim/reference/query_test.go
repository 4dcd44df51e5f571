package reference

import (
	"path/filepath"
	"strings"
	"testing"
)

// Rows of any table stand for records, by their place or by their id.
func TestQueryOutputs(t *testing.T) {
	url := filepath.Join(t.TempDir(), "{topic}.db")
	db, _, err := openSQL(url, "orders")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range []string{
		`CREATE TABLE payments (order_id TEXT, topic TEXT, amount INTEGER)`,
		`INSERT INTO payments VALUES ('m-1', 'orders', 5), ('orders/1/7', 'orders', 6), ('m-"3"', 'orders', 7), ('m-4', 'other', 8)`,
	} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	got, err := QueryOutputs(url, "SELECT order_id, amount FROM payments WHERE topic = '{topic}' ORDER BY amount")(t.Context(), "orders")
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if string(got[0].Value) != `{"id":"m-1"}` || got[0].Record != "" || got[1].Record != "orders/1/7" || string(got[2].Value) != `{"id":"m-\"3\""}` || got[2].Where != "row 3 of the query" {
		t.Errorf("%+v", got)
	}
	if _, err := QueryOutputs(url, "SELECT 1 FROM nowhere")(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a query that fails: %v", err)
	}
}
