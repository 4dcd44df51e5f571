package harness

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/workload"
)

// What follows the plan is healthy, or, with KeepMix, poison as often as the plan. No message comes twice.
func TestExtraMessages(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Messages = 200
	for _, keep := range []bool{false, true} {
		messages, err := extra(cfg, Scenario{Mix: workload.Mix{Undecodable: 10, Permanent: 30}, KeepMix: keep})
		if err != nil {
			t.Fatal(err)
		}
		seen, poison := map[string]bool{}, map[workload.Poison]int{}
		for m := range messages {
			if seen[m.ID] {
				t.Fatalf("%s comes twice", m.ID)
			}
			seen[m.ID] = true
			poison[m.Poison]++
			if len(seen) == 600 {
				break
			}
		}
		want := map[workload.Poison]int{workload.Undecodable: 0, workload.Permanent: 0}
		if keep {
			want = map[workload.Poison]int{workload.Undecodable: 30, workload.Permanent: 90}
		}
		for kind, n := range want {
			if poison[kind] != n {
				t.Errorf("KeepMix %v: %d of 600 are %s, want %d", keep, poison[kind], kind, n)
			}
		}
	}
	if _, err := extra(cfg, Scenario{Mix: workload.Mix{Permanent: 300}, KeepMix: true}); err == nil {
		t.Error("more poison than messages is taken")
	}
}
