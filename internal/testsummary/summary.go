package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// need is something that tests are skipped for the lack of, with "needs" and what in their
// reason, and the targets of make that get it (on Debian, as root).
type need struct{ what, targets string }

var needs = []need{
	{"containers", "docker kafka-image"}, // no Docker answered, or no Kafka image was there
	{"a schema registry", "registry"},
	{"PostgreSQL", "postgres"},
}

// event is one line of `go test -json`; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output
	Test       string
	Output     string
}

// skip is a test that did not run.
type skip struct{ pkg, test, reason string }

type summary struct {
	out      io.Writer
	packages map[string]*result
	passed   int
	failed   int
	skipped  []skip
}

// result is what one package has printed and come to so far.
type result struct {
	lines  []line
	status map[string]string // by test: pass, fail, skip; "" while it runs
	order  []string          // tests in the order they began
}

type line struct{ test, text string }

func newSummary(out io.Writer) *summary {
	return &summary{out: out, packages: make(map[string]*result)}
}

// read follows the stream to its end. Lines that are not JSON are passed on.
func (s *summary) read(r io.Reader) error {
	br := bufio.NewReader(r)
	for {
		text, err := br.ReadBytes('\n')
		if len(bytes.TrimSpace(text)) > 0 {
			var e event
			if json.Unmarshal(text, &e) != nil || e.Action == "" {
				fmt.Fprintf(s.out, "%s", text)
			} else {
				s.add(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) add(e event) {
	if e.Action == "build-output" {
		fmt.Fprint(s.out, e.Output)
		return
	}
	if e.Package == "" {
		return // build-fail: the package says so itself
	}
	p := s.packages[e.Package]
	if p == nil {
		p = &result{status: make(map[string]string)}
		s.packages[e.Package] = p
	}
	switch e.Action {
	case "run":
		p.status[e.Test] = ""
		p.order = append(p.order, e.Test)
	case "output":
		p.lines = append(p.lines, line{e.Test, e.Output})
	case "pass", "fail", "skip":
		if e.Test != "" {
			p.status[e.Test] = e.Action
			return
		}
		s.finish(e.Package, p, e.Action == "fail")
		delete(s.packages, e.Package)
	}
}

// finish prints a package that has ended and counts its tests.
func (s *summary) finish(pkg string, p *result, failed bool) {
	before := s.failed
	for _, test := range p.order {
		if p.hasSubtests(test) && p.status[test] != "skip" {
			continue // its subtests are counted
		}
		switch p.status[test] {
		case "pass":
			s.passed++
		case "skip":
			s.skipped = append(s.skipped, skip{pkg, test, p.reason(test)})
		default: // failed, or cut short by a panic or the timeout
			s.failed++
		}
	}
	s.skipped = append(s.skipped, ginkgoSkips(pkg, p.lines)...)
	if failed && s.failed == before {
		s.failed++ // the package itself: it did not build, or failed outside its tests
	}
	for _, l := range p.lines {
		switch {
		case noise(l.text):
		case l.test == "" && (strings.HasPrefix(l.text, "ok  \t") || strings.HasPrefix(l.text, "FAIL\t")):
			fmt.Fprint(s.out, l.text)
		case failed && (l.test == "" || (p.status[l.test] != "pass" && p.status[l.test] != "skip")):
			fmt.Fprint(s.out, l.text)
		}
	}
}

// hasSubtests tells whether subtests of test were run.
func (p *result) hasSubtests(test string) bool {
	for _, other := range p.order {
		if strings.HasPrefix(other, test+"/") {
			return true
		}
	}
	return false
}

// noise is what -json implies by its -v and nobody wants to read.
func noise(text string) bool {
	for _, prefix := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

// reason finds the message of t.Skip: "    file_test.go:12: message".
func (p *result) reason(test string) string {
	for _, l := range p.lines {
		if l.test != test || noise(l.text) {
			continue
		}
		if at := skipMessage.FindStringSubmatch(l.text); at != nil {
			return at[1]
		}
	}
	return "no reason given"
}

var (
	skipMessage = regexp.MustCompile(`^\s+\S+\.go:\d+: (.+)\n?$`)
	colours     = regexp.MustCompile("\x1b\\[[0-9;]*m")
	ginkgoTotal = regexp.MustCompile(`\d+ Passed \| \d+ Failed \| (\d+) Pending \| (\d+) Skipped`)
)

// ginkgoSkips finds specs that were skipped: to go test a whole Ginkgo suite is one test
// that passed. A suite that runs verbosely prints, for each of them:
//
//	S [SKIPPED] [0.001 seconds]
//	container [It] name
//	file:line
//
//	  [SKIPPED] reason
//
// Every suite prints at its end how many there were; those without a name are
// reported as a number.
func ginkgoSkips(pkg string, lines []line) []skip {
	var found []skip
	open, unnamed := -1, 0
	for _, l := range lines {
		text := strings.TrimSpace(colours.ReplaceAllString(l.text, ""))
		if total := ginkgoTotal.FindStringSubmatch(text); total != nil {
			for _, digits := range total[1:] {
				n, _ := strconv.Atoi(digits) // the pattern lets only digits through
				unnamed += n
			}
		}
		switch {
		case strings.HasPrefix(text, "S [SKIPPED]"):
			found = append(found, skip{pkg: pkg, reason: "no reason given"})
			open = len(found) - 1
		case open < 0:
		case found[open].test == "" && text != "":
			found[open].test = text
		case strings.HasPrefix(text, "[SKIPPED] "):
			found[open].reason = strings.TrimPrefix(text, "[SKIPPED] ")
			open = -1
		}
	}
	for range unnamed - len(found) {
		found = append(found, skip{pkg, "a Ginkgo spec", "skipped or pending; -ginkgo.v names it"})
	}
	return found
}

// cutShort counts the packages that did not end as failed: go test was killed.
func (s *summary) cutShort() {
	for pkg, p := range s.packages {
		s.finish(pkg, p, true)
		delete(s.packages, pkg)
	}
}

// print writes the counts, and what did not run and why.
func (s *summary) print(strict bool) {
	fmt.Fprintf(s.out, "\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, len(s.skipped))
	lacking := make([][]skip, len(needs))
	var others []skip
	for _, k := range s.skipped {
		if i := slices.IndexFunc(needs, func(n need) bool { return strings.Contains(k.reason, "needs "+n.what) }); i >= 0 {
			lacking[i] = append(lacking[i], k)
		} else {
			others = append(others, k)
		}
	}
	list := func(title string, skips []skip) {
		if len(skips) == 0 {
			return
		}
		fmt.Fprintf(s.out, "\n%s:\n", title)
		for _, k := range skips {
			fmt.Fprintf(s.out, "  %s %s\n      %s\n", k.pkg, k.test, k.reason)
		}
	}
	list("Did not run", others)
	targets := ""
	for i, n := range needs {
		list("Did not run for lack of "+n.what, lacking[i])
		if len(lacking[i]) > 0 {
			targets += " " + n.targets
		}
	}
	if strict && len(s.skipped) > 0 {
		fmt.Fprintln(s.out, "\nKSIM_REQUIRE_CONTAINERS=1: a test that did not run is a failure.")
	}
	if targets != "" {
		fmt.Fprintf(s.out, "\nThis command gets what they need (on Debian, as root): make%s\n", targets)
	}
}
