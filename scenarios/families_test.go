package scenarios_test

import (
	"slices"
	"testing"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/scenarios"
)

// What a scenario says of itself must be right, since nothing stops it at run time.
func TestScenariosAreSound(t *testing.T) {
	seen := map[string]bool{}
	for _, sc := range scenarios.All() {
		if seen[sc.Name] {
			t.Errorf("there are two scenarios %s", sc.Name)
		}
		seen[sc.Name] = true
		if !slices.Contains(sc.Tags, "ci") && !slices.Contains(sc.Tags, "full") {
			t.Errorf("%s has no tier: %v", sc.Name, sc.Tags)
		}
		for _, u := range sc.Unkeepable {
			if err := new(history.Promises).Waive(u.Promise); err != nil || u.Why == "" {
				t.Errorf("%s: unkeepable %+v: %v", sc.Name, u, err)
			}
		}
	}
}

func TestFamiliesOfBrokersAndDataShapes(t *testing.T) {
	count := map[string]int{}
	for _, sc := range scenarios.All() {
		for _, tag := range sc.Tags {
			count[tag]++
		}
		if sc.Tagged("broker") && sc.Exclusive && sc.Needs == nil {
			t.Errorf("%s takes brokers from others, and needs nothing", sc.Name)
		}
	}
	if count["broker"] < 10 || count["data-shape"] < 10 {
		t.Errorf("%d scenarios of brokers and %d of data shapes", count["broker"], count["data-shape"])
	}
	names := map[string]bool{}
	for _, sc := range scenarios.Failover() {
		names[sc.Name] = true
	}
	for _, name := range []string{"group-coordinator-stopped", "group-coordinator-killed", "leader-killed", "transaction-coordinator-killed"} {
		if !names[name] {
			t.Errorf("Failover lacks %s", name)
		}
	}
}
