package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The pages in docs/ are those that the code writes today.
func TestDocsAreCurrent(t *testing.T) {
	out := t.TempDir()
	if status, _, stderr := ksim("docs", "--out", out); status != exitHeld {
		t.Fatalf("docs: exit status %d: %s", status, stderr)
	}
	err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(out, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if got, err := os.ReadFile(filepath.Join("..", "..", "docs", name)); err != nil || string(got) != string(want) {
			t.Errorf("docs/%s is stale (%v): run `make docs`", name, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
