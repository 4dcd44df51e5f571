package reference

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ksim-dev/ksim/harness/observe"
)

// QueryOutputs reads the outputs of any subject from the database at url, for harness.Config.Outputs. The first column of the
// query names the record that a row was made from, as topic/partition/offset or by the id in its
// value; what other columns there are is not read. {topic} in url and query stands for the topic.
func QueryOutputs(url, query string) observe.Outputs {
	return func(ctx context.Context, topic string) ([]observe.Output, error) {
		db, _, err := openSQL(url, topic)
		if err != nil {
			return nil, err
		}
		defer func() { _ = db.Close() }()
		rows, err := db.QueryContext(ctx, strings.ReplaceAll(query, "{topic}", topic))
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		columns, err := rows.Columns()
		if err != nil {
			return nil, err
		}
		row := make([]any, len(columns))
		var first any
		for i := range row {
			row[i] = new(any)
		}
		row[0] = &first
		var outputs []observe.Output
		for rows.Next() {
			if err := rows.Scan(row...); err != nil {
				return nil, err
			}
			outputs = append(outputs, outputOf(first, len(outputs)+1))
		}
		return outputs, rows.Err()
	}
}

// outputOf makes an output of the first column of a row.
func outputOf(first any, n int) observe.Output {
	name := fmt.Sprint(first)
	if b, ok := first.([]byte); ok {
		name = string(b)
	}
	id, _ := json.Marshal(map[string]string{"id": name}) // never fails
	o := observe.Output{Value: id, Where: fmt.Sprintf("row %d of the query", n)}
	if strings.Count(name, "/") == 2 {
		o.Record = name
	}
	return o
}
