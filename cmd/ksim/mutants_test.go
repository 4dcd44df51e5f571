package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ksim-dev/ksim/harness/mutant/matrix"
)

var update = flag.Bool("update", false, "write the golden file of the mutants anew")

// Every mutant is caught by the check that is meant for it, and no correct consumer
// is accused, the reference consumer among them.
func TestMutants(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mutants")
	status, out, stderr := ksim("mutants", "-o", "json", "--out", dir)
	if status != exitHeld {
		t.Fatalf("exit status %d\n%s%s", status, out, stderr)
	}
	var m matrix.Matrix
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatal(err)
	}
	for _, r := range append(m.Mutants, m.Correct...) {
		if len(r.Stray) > 0 {
			t.Errorf("%s: nobody expected %v to be violated", r.Name, r.Stray)
		}
	}
	var golden strings.Builder
	if err := m.Stable(&golden); err != nil {
		t.Fatal(err)
	}
	if *update {
		path := filepath.Join("..", "..", "harness", "mutant", "matrix", "testdata", "matrix.golden")
		if err := os.WriteFile(path, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if golden.String() != matrix.Golden {
		t.Errorf("the matrix is\n%s\nand was\n%s\n`go test ./cmd/ksim -run TestMutants -update` writes it anew", golden.String(), matrix.Golden)
	}
}

func TestMutantsUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"stale-queue":              {"mutants", "--only", "nobody"},
		"text, json or markdown":   {"mutants", "-o", "xml"},
		"--parallel is 0":          {"mutants", "--parallel", "0"},
		"embedded, containers":     {"mutants", "--kafka", "pulsar"},
		"unknown command \"all\"":  {"mutants", "all"},
		"--kafka external, not":    {"mutants", "--brokers", "127.0.0.1:9"},
		"choose another --out, so": {"mutants", "--out", "."},
	} {
		if status, _, stderr := ksim(args...); status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit status %d, and it does not say %q:\n%s", args, status, want, stderr)
		}
	}
	if status, out, _ := ksim("list", "mutants"); status != exitHeld || !strings.Contains(out, "commit-on-poll") {
		t.Errorf("list mutants: exit status %d\n%s", status, out)
	}
}
