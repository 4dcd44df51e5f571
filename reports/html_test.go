package reports_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/reports"
)

func render(t testing.TB, run harness.Run) (string, *html.Node) {
	t.Helper()
	var b bytes.Buffer
	if err := reports.HTML(&b, run); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), doc
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// all returns the elements of that name, in order.
func all(doc *html.Node, name string) []*html.Node {
	var out []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			out = append(out, n)
		}
	}
	return out
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

func byID(t *testing.T, doc *html.Node, id string) *html.Node {
	t.Helper()
	for n := range doc.Descendants() {
		if attr(n, "id") == id {
			return n
		}
	}
	t.Fatalf("no element %s", id)
	return nil
}

// The page asks for nothing, and runs nothing but what its policy names.
func TestPageIsSelfContained(t *testing.T) {
	text, doc := render(t, sampleRun(t, t.TempDir()))
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if slices.Contains([]string{"link", "img", "iframe", "object", "embed", "form", "base", "image", "use"}, n.Data) {
			t.Errorf("the page has a <%s>", n.Data)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "srcset" {
				t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
			}
			if a.Key == "href" && strings.Contains(a.Val, ":") {
				t.Errorf("a link leaves the report: %s", a.Val)
			}
		}
	}
	styles := all(doc, "style")
	if len(styles) != 1 {
		t.Fatalf("%d style elements", len(styles))
	}
	style := textOf(styles[0])
	for _, u := range regexp.MustCompile(`url\([^)]*\)|@import[^;]*`).FindAllString(style, -1) {
		if !strings.HasPrefix(u, "url(#") {
			t.Errorf("the style asks for %s", u)
		}
	}
	want := "default-src 'none'; style-src " + hash(style) + "; script-src"
	for _, program := range programs(t, doc) {
		want += " " + hash(program)
	}
	want += "; base-uri 'none'; form-action 'none'"
	var csp string
	for _, m := range all(doc, "meta") {
		if attr(m, "http-equiv") == "Content-Security-Policy" {
			csp = attr(m, "content")
		}
	}
	if csp != want {
		t.Errorf("CSP is %q, want %q", csp, want)
	}
	if !strings.Contains(style, "prefers-color-scheme: dark") || strings.Contains(text, "ZgotmplZ") {
		t.Error("no dark mode, or the template refused a value")
	}
}

// hash names a text as a Content-Security-Policy does.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// programs are all that the page runs: its own script, and those that it unpacks.
func programs(t *testing.T, doc *html.Node) []string {
	t.Helper()
	var own, packed []string
	for _, s := range all(doc, "script") {
		switch attr(s, "type") {
		case "":
			own = append(own, textOf(s))
		case "text/plain":
			for line := range strings.Lines(textOf(s)) {
				z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(strings.TrimSpace(line))))
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(z)
				if err != nil {
					t.Fatal(err)
				}
				packed = append(packed, string(text))
			}
		case "application/json":
		default:
			t.Errorf("a script of type %q", attr(s, "type"))
		}
	}
	if len(own) != 1 || len(packed) != 3 {
		t.Errorf("%d scripts of its own, %d packed", len(own), len(packed))
	}
	return append(own, packed...)
}

// People who do not see the page, or use no mouse, get all of it.
func TestPageIsAccessible(t *testing.T) {
	_, doc := render(t, sampleRun(t, t.TempDir()))
	for _, name := range []string{"main", "h1", "head", "header", "footer"} {
		if n := len(all(doc, name)); n != 1 {
			t.Errorf("%d elements <%s>", n, name)
		}
	}
	if attr(all(doc, "html")[0], "lang") != "en" {
		t.Error("the page has no language")
	}
	ids := map[string]bool{}
	for n := range doc.Descendants() {
		if id := attr(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("id %s is used twice", id)
			}
			ids[id] = true
		}
	}
	for _, a := range all(doc, "a") {
		if target, ok := strings.CutPrefix(attr(a, "href"), "#"); ok && !ids[target] {
			t.Errorf("link to %q leads nowhere", target)
		}
	}
	for _, th := range all(doc, "th") {
		if attr(th, "scope") == "" {
			t.Errorf("header %q has no scope", textOf(th))
		}
	}
	for _, s := range all(doc, "svg") {
		if attr(s, "aria-hidden") != "true" && (attr(s, "role") != "img" || attr(s, "aria-label") == "") {
			t.Errorf("a picture says nothing to a screen reader: %v", s.Attr)
		}
	}
	for _, d := range all(doc, "div") {
		if strings.HasPrefix(attr(d, "class"), "scroll") && (attr(d, "tabindex") != "0" || attr(d, "role") != "group" || attr(d, "aria-label") == "") {
			t.Error("a stretch that scrolls cannot be reached by keyboard")
		}
	}
}

// titles are the tooltips in a part of the page: what the pictures say.
func titles(n *html.Node) string {
	var out []string
	for _, x := range all(n, "title") {
		out = append(out, textOf(x))
	}
	return strings.Join(out, "\n")
}

func TestLanes(t *testing.T) {
	_, doc := render(t, sampleRun(t, t.TempDir()))
	crash := byID(t, doc, "s3")
	got := titles(crash)
	for _, want := range []string{
		"m1, 0.500 s to 2.300 s, killed",    // ends with its process, before the group knows
		"m3, 2.900 s to 3.300 s, revoked",   // taken over, given back
		"m1#2, 3.500 s to 6.300 s, stopped", // the second life
		"crash-mid-batch m1, 2.200 s to 3.200 s: m1 was killed after effect 7 of a batch of 20",
		"no-loss orders/0@40 at 2.250 s",
		"9 repeats", "commits refused: 1", "records dead-lettered: 1",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the picture does not say %q:\n%s", want, got)
		}
	}
	if open := slices.ContainsFunc(crash.Attr, func(a html.Attribute) bool { return a.Key == "open" }); !open {
		t.Error("a violated scenario is folded")
	}
	zombie := titles(byID(t, doc, "s4"))
	if !strings.Contains(zombie, "m2 was frozen") {
		t.Errorf("the frozen time is not drawn:\n%s", zombie)
	}
	// The same as tables.
	table := textOf(crash)
	for _, want := range []string{"Owners", "m1#2", "By partition", "Faults", "happened", "ksim run --scenario crash-mid-batch --seed 42", "11 more of them", "2 more are not listed"} {
		if !strings.Contains(table, want) {
			t.Errorf("the section does not say %q", want)
		}
	}
}

// Whoever sees no colours reads the same from symbols and words.
func TestVerdictsHaveASecondChannel(t *testing.T) {
	_, doc := render(t, sampleRun(t, t.TempDir()))
	for i, want := range []string{"✓ held", "✓ held", "✗ violated✗ 18✗ 1✓·✓", "? unknown✓✓?·✓", "! error"} {
		row := textOf(all(all(doc, "tbody")[0], "tr")[i])
		if !strings.Contains(row, want) {
			t.Errorf("row %d is %q, want %q in it", i, row, want)
		}
	}
}

func TestHistoryMissingOrCorrupt(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	path := filepath.Join(run.Dir, "crash-mid-batch", "history.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(run.Dir, "steady", "history.jsonl")); err != nil {
		t.Fatal(err)
	}
	_, doc := render(t, run)
	if got := textOf(byID(t, doc, "s1")); !strings.Contains(got, "There is no history at") {
		t.Errorf("a missing history is not said: %s", got)
	}
	cut := byID(t, doc, "s3")
	if got := textOf(cut); !strings.Contains(got, "history is corrupt at line") || !strings.Contains(titles(cut), "m1, 0.500 s") {
		t.Errorf("a cut history is not said or not drawn as far as it goes")
	}
}

// bigHistory has more of everything than a picture can show.
func bigHistory(t testing.TB, dir string) {
	s := newScript(t, dir, "big", 40)
	s.add(0.01, history.Event{Kind: history.Phase, Note: history.PhaseWarmUp})
	for m := range 8 {
		s.start(0.1, fmt.Sprintf("m%d", m))
	}
	for round := range 5 {
		base := 0.2 + float64(round)
		f := s.add(base, history.Event{Kind: history.FaultBegan, Fault: "rolling-restart", Member: fmt.Sprintf("m%d", round%8)})
		for p := range int32(40) {
			s.own(base, history.Assigned, fmt.Sprintf("m%d", (int(p)+round)%8), p)
		}
		s.work(base+0.01, base+1, 0.02, 40)
		for p := range int32(40) {
			s.effect(base+0.99, s.owners[p], p, s.seq[p]-1, 1)
		}
		s.add(base+0.9, history.Event{Kind: history.FaultEnded, Fault: "rolling-restart", Ref: f.Seq, Outcome: history.Happened, Note: "restarted"})
	}
	s.close(t)
}

// 200 busy scenarios, half of them violated, still make a page that opens at
// once; a single one is shown in full.
func TestSizeOfManyScenarios(t *testing.T) {
	dir := t.TempDir()
	bigHistory(t, filepath.Join(dir, "big"))
	sample := sampleRun(t, filepath.Join(dir, "sample"))
	for _, n := range []int{1, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			run := sample
			run.Dir, run.Scenarios = dir, nil
			for i := range n {
				one := sample.Scenarios[2-2*(i%2)] // violated, held, violated, …
				one.Dir, one.Scenario = "big", fmt.Sprintf("scenario-%03d", i)
				run.Scenarios = append(run.Scenarios, one)
			}
			text, doc := render(t, run)
			t.Logf("%d bytes", len(text))
			if len(text) > 1_500_000 {
				t.Errorf("%d bytes", len(text))
			}
			pictures := 0
			for _, s := range all(doc, "svg") {
				if strings.HasPrefix(attr(s, "aria-label"), "Owners of") {
					pictures++
				}
			}
			if pictures != n {
				t.Errorf("%d pictures of %d scenarios", pictures, n)
			}
			for _, p := range all(doc, "path") {
				if points := strings.Count(attr(p, "d"), "M"); points > 500 {
					t.Errorf("a series of %d points: %s", points, attr(p, "class"))
				}
			}
			if said := strings.Contains(text, "This run has much to show"); said != (n == 200) {
				t.Errorf("the page says that it shows less: %v", said)
			}
		})
	}
}

// A run of load alone, and one of nothing at all, are pages too.
func TestPageWithoutScenarios(t *testing.T) {
	text, _ := render(t, harness.Run{Load: sampleLoad()})
	if !strings.Contains(text, "no scenario ran, so there is no verdict") || strings.Contains(text, "What was checked") {
		t.Error("a run of load alone does not say so")
	}
	text, doc := render(t, harness.Run{})
	if !strings.Contains(text, "Nothing ran") {
		t.Error("an empty run does not say so")
	}
	if len(all(doc, "script")) != 0 || strings.Contains(text, "script-src") {
		t.Error("a page without charts brings programs")
	}
}

// A whole run that held says so in one sentence.
func TestHeadlineOfHeldRun(t *testing.T) {
	run := sampleRun(t, t.TempDir())
	run.Scenarios = run.Scenarios[:2]
	text, _ := render(t, run)
	if run.Verdict() != check.Held || !strings.Contains(text, "This consumer kept every promise that was checked, in all 2 scenarios.") {
		t.Error("the headline does not say that it held")
	}
}
