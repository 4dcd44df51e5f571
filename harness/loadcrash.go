package harness

import (
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/load"
)

// countReprocessed puts what the crashes made the group repeat beside what the
// model predicts. A crash that could not be made counts as none.
func (l *loadRun) countReprocessed(res *load.Result, h history.History) {
	crashes := 0
	for _, e := range h.Events {
		if e.Kind == history.FaultEnded && e.Outcome == history.Happened {
			crashes++
		}
	}
	if crashes == 0 {
		return
	}
	repeated := 0
	for _, c := range check.Run(h).Causes {
		if c.Kind == "crash" {
			repeated += c.Count
		}
	}
	expected, low, high := load.Predict(load.Crash{
		BatchSize: l.lc.BatchSize, BatchWait: l.lc.BatchWait, Rate: l.lc.Rate,
		Partitions: int(l.cfg.Partitions), Owned: l.owned, CommitInterval: l.lc.CommitInterval,
	})
	res.Reprocessed = load.Reprocessed{Measured: repeated / crashes, Predicted: expected, Low: low, High: high, Crashes: crashes}
}
