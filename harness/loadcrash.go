package harness

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/load"
)

// countReprocessed puts what the crashes made the group repeat beside what the
// model predicts. A crash that could not be made counts as none.
func (l *loadRun) countReprocessed(res *load.Result, h history.History) {
	if l.lc.Crashes == 0 {
		return
	}
	crashes, missed := 0, ""
	var made []load.Window // when
	for _, e := range h.Events {
		switch {
		case e.Kind == history.FaultEnded && e.Outcome == history.Happened:
			crashes++
			made = append(made, load.Window{From: h.Events[e.Ref-1].At, To: e.At})
		case e.Kind == history.FaultEnded:
			missed = e.Note
		}
	}
	if crashes < l.lc.Crashes && res.Valid {
		res.Valid, res.Reason = false, fmt.Sprintf("%d of %d crashes were made: %s", crashes, l.lc.Crashes, missed)
	}
	if crashes == 0 {
		return
	}
	repeated := 0
	for _, c := range check.Run(h).Causes {
		for _, w := range made {
			if c.Kind == "crash" && c.At >= w.From && c.At <= w.To {
				repeated += c.Count
			}
		}
	}
	expected, low, high := load.Predict(load.Crash{
		BatchSize: l.lc.BatchSize, BatchWait: l.lc.BatchWait, Rate: l.lc.Rate,
		Partitions: int(l.cfg.Partitions), Owned: l.owned, CommitInterval: l.lc.CommitInterval,
	})
	res.Reprocessed = load.Reprocessed{Measured: repeated / crashes, Predicted: expected, Low: low, High: high, Crashes: crashes}
}
