package edits_test

import (
	"testing"

	"github.com/ksim-dev/ksim/internal/edits"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"promises", "promises", 0}, {"promise", "promises", 1},
		{"kitten", "sitting", 3}, {"fetch", "fecth", 2}, {"abc", "xyz", 3},
	} {
		if got := edits.Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%q, %q) is %d, want %d", c.a, c.b, got, c.want)
		}
		if got := edits.Distance(c.b, c.a); got != c.want {
			t.Errorf("Distance(%q, %q) is %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
