package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module writes a module with the given files and makes it the working directory.
func module(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.test/m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// goTest runs the tool over the module and returns its status and output.
func goTest(strict bool, flags ...string) (int, string) {
	var out, errOut bytes.Buffer
	command := append([]string{"go", "test", "-json", "-count=1", "-vet=off"}, flags...)
	status := run([][]string{append(command, "./...")}, strict, &out, &errOut)
	return status, out.String() + errOut.String()
}

func contains(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

const head = "package p\n\nimport \"testing\"\n\n"

func TestPassAndSkip(t *testing.T) {
	module(t, map[string]string{
		"a/a_test.go": head + `
func TestOne(t *testing.T) { t.Log("chatter") }
func TestMany(t *testing.T) {
	t.Run("x", func(t *testing.T) {})
	t.Run("y", func(t *testing.T) { t.Skip("needs containers: no Docker answers") })
}`,
		"b/b_test.go": head + `func TestLater(t *testing.T) { t.Skip("only on plan9") }`,
		"c/c.go":      "package c\n",
		"d/d_test.go": head + `func TestSchema(t *testing.T) { t.Skip("needs a schema registry (make registry): no Java") }`,
	})
	status, out := goTest(false)
	if status != 0 {
		t.Errorf("status %d: %s", status, out)
	}
	contains(t, out, "ok  \texample.test/m/a", "2 passed, 0 failed, 3 skipped",
		"Did not run:\n  example.test/m/b TestLater\n      only on plan9",
		"for lack of containers:\n  example.test/m/a TestMany/y\n      needs containers: no Docker answers",
		"for lack of a schema registry:\n  example.test/m/d TestSchema\n      needs a schema registry (make registry): no Java")
	if !strings.HasSuffix(out, "make docker kafka-image registry\n") || strings.Contains(out, "chatter") || strings.Contains(out, "=== RUN") {
		t.Errorf("output:\n%s", out)
	}
	status, out = goTest(true)
	if status == 0 {
		t.Error("a skipped test passes where containers are required")
	}
	contains(t, out, "KSIM_REQUIRE_CONTAINERS=1: a test that did not run is a failure")
}

func TestFailures(t *testing.T) {
	module(t, map[string]string{
		"a/a_test.go": head + `
func TestGood(t *testing.T) { t.Log("chatter") }
func TestBad(t *testing.T) {
	t.Run("deep", func(t *testing.T) { t.Error("what went wrong") })
	t.Run("fine", func(t *testing.T) { t.Log("chatter") })
}`,
		"b/b_test.go": head + `func TestNot(t *testing.T) { undefinedName() }`,
		"c/c_test.go": head + `func TestPanics(t *testing.T) { panic("out of the blue") }`,
		"d/d_test.go": head + `func TestMain(m *testing.M) { println("no tests today"); panicked() }
func panicked() { panic("in TestMain") }`,
	})
	status, out := goTest(false)
	if status != 1 {
		t.Errorf("status %d", status)
	}
	contains(t, out, "what went wrong", "--- FAIL: TestBad/deep", "FAIL\texample.test/m/a", "undefined: undefinedName",
		"out of the blue", "panic: in TestMain", "2 passed, 4 failed, 0 skipped")
	if strings.Contains(out, "chatter") {
		t.Errorf("output of tests that passed:\n%s", out)
	}
}

func TestTimeout(t *testing.T) {
	module(t, map[string]string{"a/a_test.go": head + `func TestHangs(t *testing.T) { t.Log("before"); select {} }`})
	status, out := goTest(false, "-timeout=1s")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	contains(t, out, "panic: test timed out after 1s", "TestHangs", "0 passed, 1 failed, 0 skipped")
}

func TestCommandThatCannotStart(t *testing.T) {
	var out bytes.Buffer
	if status := run([][]string{{"no-such-command"}}, false, &out, &out); status != 2 || !strings.Contains(out.String(), "no-such-command") {
		t.Errorf("status %d, %s", status, &out)
	}
}

// What several commands do is told in one count, and one that fails does not keep the next from running.
func TestSeveralCommands(t *testing.T) {
	module(t, map[string]string{
		"a/a_test.go": head + `func TestBad(t *testing.T) { t.Error("what went wrong") }`,
		"b/b_test.go": head + `func TestGood(t *testing.T) {}`,
	})
	var out, errOut bytes.Buffer
	test := []string{"go", "test", "-json", "-vet=off"}
	args := slices.Concat(test, []string{"./a", "--"}, test, []string{"./b", "--"})
	if status := run(split(args), false, &out, &errOut); status != 1 {
		t.Errorf("status %d: %s", status, &errOut)
	}
	contains(t, out.String(), "what went wrong", "ok  \texample.test/m/b", "1 passed, 1 failed, 0 skipped")
}

// As printed by ginkgo v2.34.0.
func TestGinkgoSkips(t *testing.T) {
	text := "\x1b[38;5;14mS [SKIPPED] [0.000 seconds]\x1b[0m\n" +
		"\x1b[0mcatalogue \x1b[38;5;14m\x1b[1m[It] crash mid-batch\x1b[0m\n" +
		"\x1b[38;5;243mspec_test.go:18\x1b[0m\n\n" +
		"  \x1b[38;5;14m[SKIPPED] needs containers: no Docker answers\x1b[0m\n" +
		"  \x1b[38;5;14mIn \x1b[1m[It]\x1b[0m\x1b[38;5;14m at: \x1b[1mspec_test.go:19\x1b[0m\n" +
		"\x1b[38;5;10m\x1b[1mSUCCESS!\x1b[0m -- \x1b[38;5;10m\x1b[1m1 Passed\x1b[0m | \x1b[38;5;9m\x1b[1m0 Failed\x1b[0m | " +
		"\x1b[38;5;11m\x1b[1m1 Pending\x1b[0m | \x1b[38;5;14m\x1b[1m1 Skipped\x1b[0m\n"
	var lines []line
	for l := range strings.Lines(text) {
		lines = append(lines, line{"TestSpecs", l})
	}
	got := ginkgoSkips("p", lines)
	want := skip{"p", "catalogue [It] crash mid-batch", "needs containers: no Docker answers"}
	if len(got) != 2 || got[0] != want || got[1].test != "a Ginkgo spec" {
		t.Errorf("%+v", got)
	}
}
