// Package golden compares what a test made with a file that is checked in. Only tests import it: it gives their binary the flag -update.
package golden

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew instead of comparing with them")

// Updating tells whether golden files are to be written anew.
func Updating() bool { return *update }

// Check fails the test if got is not what the file at path holds; with -update it writes the file first.
func Check(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what was made; look at the change, and if it is meant run go test -update in that package\n%s", path, Difference(got, want))
	}
}

// Difference is the first line that differs.
func Difference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b || i >= min(len(g), len(w)) {
			return "got:  " + a + "\nwant: " + b
		}
	}
	return ""
}
