package scenarios_test

import (
	"testing"

	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/scenarios"
)

// TestWires: what the catalogue asks of the wire can be done.
func TestWires(t *testing.T) {
	n := 0
	for _, s := range scenarios.All() {
		for _, f := range s.Faults {
			if w, ok := f.(fault.Wire); ok {
				n++
				if err := w.Validate(); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
			}
		}
	}
	if n < 14 {
		t.Errorf("only %d", n)
	}
}
