package observe

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// anything tells whether a reader of committed records finds a record in a partition from where
// the group stands to the end. Gaps, control records and aborted transactions are none.
func (l *Lag) anything(ctx context.Context, partition int32, p Position) (bool, error) {
	opts := append([]kgo.Opt{}, l.cfg.Opts...)
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.cfg.Topic: {partition: kgo.NewOffset().At(p.next())}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.DisableClientMetrics(),
	)...)
	if err != nil {
		return false, err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return false, err // a transaction that is open hides what is behind it
		}
		if err := fetches.Err(); err != nil {
			return false, err
		}
		for _, r := range fetches.Records() {
			if !r.Attrs.IsControl() {
				return true, nil
			}
			if r.Offset+1 >= p.End {
				return false, nil
			}
		}
	}
}
