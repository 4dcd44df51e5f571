package sqltx_test

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer/dlq"
)

// verify compares what is in the database and among the dead letters with what was produced.
func (c *crashTest) verify() {
	c.Helper()
	rows, err := c.admin.QueryContext(c.Context(), `SELECT part, pos FROM effects ORDER BY id`)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	count := map[[2]int64]int{}
	last := map[int64]int64{}
	for rows.Next() {
		var at [2]int64
		if err := rows.Scan(&at[0], &at[1]); err != nil {
			c.Fatal(err)
		}
		count[at]++
		if before, ok := last[at[0]]; ok && at[1] <= before {
			c.Errorf("partition %d: %d after %d", at[0], at[1], before)
		}
		last[at[0]] = at[1]
	}
	if err := rows.Err(); err != nil {
		c.Fatal(err)
	}
	poison := c.letters()
	twice, lost, invented, bad, repeated := 0, 0, 0, 0, 0
	for at, kind := range c.kinds {
		n, dead := count[at], poison[at]
		switch {
		case kind == "poison" && (n > 0 || dead == 0), kind != "poison" && dead > 0:
			bad++
		case kind == "poison":
			repeated += dead - 1
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
		delete(count, at)
	}
	invented = len(count)
	if twice+lost+invented+bad > 0 {
		c.Errorf("of %d records %d were lost, %d done more than once, %d invented, %d wrong about poison", len(c.kinds), lost, twice, invented, bad)
	}
	c.Logf("%d records, %d lives; %d dead letters were repeated", len(c.kinds), c.lives.Load(), repeated)
}

// letters counts the dead letters of each record.
func (c *crashTest) letters() map[[2]int64]int {
	c.Helper()
	want := 0
	for _, kind := range c.kinds {
		if kind == "poison" {
			want++
		}
	}
	cl, err := kgo.NewClient(append(c.kafka.ClientOpts(), kgo.ConsumeTopics(letters), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		c.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	count := map[[2]int64]int{}
	for len(count) < want && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			o := dlq.Read(r).Origin
			count[[2]int64{int64(o.Partition), o.Offset}]++
		})
	}
	return count
}
