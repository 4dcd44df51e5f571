package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunScenarioFile(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine.yaml")
	text := "name: mine\ndoc: A member joins.\ntags: [own]\nworkload: {messages: 100}\ngroup: {members: 1}\nfaults:\n  - fault: member-joins\n    when: {event: effect-done, count: 10}\n" +
		"---\nname: other\ndoc: Nothing.\n"
	if err := os.WriteFile(mine, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	status, stdout, stderr := ksim("run", "-f", mine, "--scenario", "tag:own", "--out", out)
	if status != exitHeld || !strings.Contains(stdout, "mine") || strings.Contains(stdout, "other") {
		t.Fatalf("exit status %d\n%s\n%s", status, stdout, stderr)
	}
	if strings.Contains(stdout, "batch size") {
		t.Error("it measured the load, for which nobody asked")
	}
	if _, err := os.Stat(filepath.Join(out, "scenarios", "mine", "history.jsonl")); err != nil {
		t.Error(err)
	}
}

func TestScenarioFileErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", "name: good\ndoc: x.\n")
	again := write("again.yaml", "name: good\ndoc: x.\n")
	ours := write("ours.yaml", "name: zombie\ndoc: x.\n")
	bad := write("bad.yaml", "name: bad\ndoc: x.\ntag: [a]\nfaults: [{fault: zomby}]\n")
	many := write("many.yaml", "name: many\ndoc: x.\nworkload: {messages: 100}\nphases: [{name: p, messages: 500}]\n")
	for want, args := range map[string][]string{
		"no such file": {"-f", filepath.Join(dir, "none.yaml")},
		again + ": there is a scenario good in " + good:   {"-f", good, "-f", again},
		"there is a scenario zombie in ksim's own":        {"-f", ours},
		bad + ":3: tag: there is no such field; tags is":  {"-f", bad},
		bad + `:4: faults[0].fault: "zomby" is not known`: {"-f", bad},
		`there is no scenario "mine"; the scenarios are`:  {"-f", good, "--scenario", "mine"},
		"the phases send 500 messages, and there are 100": {"-f", many},
	} {
		status, _, stderr := ksim(append([]string{"run", "--out", filepath.Join(dir, "out")}, args...)...)
		if status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit status %d\nwant %s\ngot  %s", args, status, want, stderr)
		}
	}
}
