package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ksim-dev/ksim/harness/mutant/matrix"
	"github.com/ksim-dev/ksim/internal/golden"
)

// Every mutant is caught by the check that is meant for it, and no correct consumer
// is accused, the reference consumer among them.
func TestMutants(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mutants")
	status, out, stderr := ksim("mutants", "-o", "json", "--out", dir)
	var m matrix.Matrix
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("exit status %d, %v\n%s%s", status, err, out, stderr)
	}
	absent := map[string]bool{} // those whose tools are not installed
	for _, r := range m.Mutants {
		if r.Status == matrix.Missing {
			t.Logf("not run: %s: %s", r.Name, r.Reason)
			absent[r.Name] = true
		}
	}
	if status != exitHeld && (status != exitUnknown || len(absent) == 0) {
		t.Fatalf("exit status %d\n%s%s", status, out, stderr)
	}
	for _, r := range append(m.Mutants, m.Correct...) {
		if len(r.Stray) > 0 {
			t.Errorf("%s: nobody expected %v to be violated", r.Name, r.Stray)
		}
	}
	var stable strings.Builder
	if err := m.Stable(&stable); err != nil {
		t.Fatal(err)
	}
	if golden.Updating() {
		path := filepath.Join("..", "..", "harness", "mutant", "matrix", "testdata", "matrix.golden")
		if err := os.WriteFile(path, []byte(stable.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, want := present(stable.String(), absent), present(matrix.Golden, absent); got != want {
		t.Errorf("the matrix is\n%s\nand was\n%s\n`go test ./cmd/ksim -run TestMutants -update` writes it anew", got, want)
	}
}

// present leaves out the rows of those that were not run.
func present(table string, absent map[string]bool) string {
	var kept []string
	for line := range strings.Lines(table) {
		if name, _, _ := strings.Cut(line, " "); !absent[name] {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestMutantsUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"stale-queue":                         {"mutants", "--only", "nobody"},
		"text, json or markdown":              {"mutants", "-o", "xml"},
		"--parallel is 0":                     {"mutants", "--parallel", "0"},
		"embedded, containers":                {"mutants", "--kafka", "pulsar"},
		"unknown command \"all\"":             {"mutants", "all"},
		"--kafka external or containers, not": {"mutants", "--brokers", "127.0.0.1:9"},
		"choose another --out, so":            {"mutants", "--out", "."},
	} {
		if status, _, stderr := ksim(args...); status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit status %d, and it does not say %q:\n%s", args, status, want, stderr)
		}
	}
	if status, out, _ := ksim("list", "mutants"); status != exitHeld || !strings.Contains(out, "commit-on-poll") {
		t.Errorf("list mutants: exit status %d\n%s", status, out)
	}
}
