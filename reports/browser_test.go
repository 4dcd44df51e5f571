package reports_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/reports"
)

// chromium is the browser of the machine. Where there is none the test is skipped, unless KSIM_REQUIRE_CHROMIUM=1.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const advice = "no Chromium is installed, so nobody looked at report.html in a browser. On Debian, as root: apt-get install -y --no-install-recommends chromium"
	if os.Getenv("KSIM_REQUIRE_CHROMIUM") == "1" {
		t.Fatal(advice)
	}
	t.Skip(advice)
	return ""
}

// visit is a tab in which nothing may go wrong.
type visit struct {
	context.Context
	mu       sync.Mutex
	wrong    []string // what the page said or did that it must not
	requests []string
}

func (v *visit) heard(ev any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		var args []string
		for _, a := range e.Args {
			args = append(args, string(a.Value)+a.Description)
		}
		v.wrong = append(v.wrong, fmt.Sprintf("console.%s: %s", e.Type, strings.Join(args, " ")))
	case *runtime.EventExceptionThrown:
		v.wrong = append(v.wrong, fmt.Sprintf("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded: // violations of the policy are told here
		v.wrong = append(v.wrong, fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		v.requests = append(v.requests, e.Request.URL)
	}
}

// open shows the run in a browser, in one colour scheme.
func open(t *testing.T, run harness.Run, scheme string) (*visit, string) {
	t.Helper()
	var b bytes.Buffer
	if err := reports.HTML(&b, run); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes())
	}))
	t.Cleanup(server.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to run as root with one
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // CI machines are busy
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	v := &visit{Context: ctx}
	if err := chromedp.Listen(ctx, v.heard); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		t.Fatal(err)
	}
	return v, server.URL + "/report.html"
}

// finished waits until the charts are drawn, or have failed.
func (v *visit) finished(t *testing.T, url string) string {
	t.Helper()
	if err := chromedp.Do(v, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	got, err := chromedp.Run(v, chromedp.Poll[string]("document.documentElement.dataset.charts", chromedp.WithPollingTimeout(2*time.Minute)))
	if err != nil {
		t.Fatalf("the charts are never finished: %v; %q", err, v.wrong)
	}
	return got
}

func ask[T any](t *testing.T, v *visit, expression string) T {
	t.Helper()
	got, err := chromedp.Run(v, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression[:min(len(expression), 200)], err)
	}
	return got
}

// The page in a real browser: every chart is drawn, nothing is asked for, the policy is kept, and axe finds no barrier,
// in light and in dark. KSIM_SCREENSHOTS=DIR keeps what it looks like.
func TestBrowserShowsThePage(t *testing.T) {
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			v, url := open(t, sampleRun(t, t.TempDir()), scheme)
			if got := v.finished(t, url); got != "drawn" {
				t.Fatalf("the charts are %s: %s", got, ask[string](t, v, "document.getElementById('charts-note').textContent"))
			}
			for _, fault := range ask[[]string](t, v, `[...document.querySelectorAll(".chart")].filter((f) => f.querySelectorAll(".vega svg path[d]").length < 3 || f.querySelector("details").open).map((f) => f.id)`) {
				t.Errorf("%s is not drawn, or its table is not folded", fault)
			}
			if shown := ask[bool](t, v, `document.getElementById("charts-note").checkVisibility()`); shown {
				t.Error("the page says that it has no charts")
			}
			wide := ask[float64](t, v, "document.documentElement.scrollWidth")
			if wide > 1200 {
				t.Errorf("the page is %v wide", wide)
			}
			screenshot(t, v, scheme)
			const hover = `(() => { for (const kind of ["pointerover", "pointermove"]) document.querySelector("#throughput .mark-rect path").dispatchEvent(new PointerEvent(kind, { bubbles: true, clientX: 300, clientY: 300 })); return document.querySelector(".tip").innerText; })()`
			if tip := ask[string](t, v, hover); !strings.Contains(tip, "1712") {
				t.Errorf("a bar says %q to the mouse", tip)
			}
			ask[chromedp.Void](t, v, `document.querySelectorAll("details").forEach((d) => { d.open = true; })`)
			ask[chromedp.Void](t, v, string(axe))
			for _, violation := range ask[[]string](t, v, `axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 5).map((n) => "    " + n.html.slice(0, 200) + " " + n.failureSummary).join("\n")))`) {
				t.Errorf("axe: %s", violation)
			}
			v.clean(t, url)
		})
	}
}

// clean fails the test for everything that the page must not do.
func (v *visit) clean(t *testing.T, url string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.wrong {
		t.Error(w)
	}
	if want := []string{url}; !slices.Equal(v.requests, want) {
		t.Errorf("requests %q, want only the page itself", v.requests)
	}
}

func screenshot(t *testing.T, v *visit, name string) {
	t.Helper()
	dir := os.Getenv("KSIM_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(v, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Who has no script, or an old browser, reads the tables.
func TestBrowserWithoutCharts(t *testing.T) {
	const tables = `[...document.querySelectorAll("details.numbers")].filter((d) => !d.open || !d.querySelector("td").checkVisibility()).length`
	run := harness.Run{Load: sampleLoad()}
	t.Run("no script", func(t *testing.T) {
		v, url := open(t, run, "light")
		if _, err := chromedp.Call(v, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
			t.Fatal(err)
		}
		if err := chromedp.Do(v, chromedp.Navigate(url)); err != nil {
			t.Fatal(err)
		}
		if folded := ask[int](t, v, tables); folded != 0 {
			t.Errorf("%d tables are folded", folded)
		}
		if note := ask[string](t, v, `document.getElementById("charts-note").innerText`); !strings.Contains(note, "the tables have the same numbers") {
			t.Errorf("the page says %q", note)
		}
		v.clean(t, url)
	})
	t.Run("old browser", func(t *testing.T) {
		v, url := open(t, run, "light")
		if _, err := chromedp.Call(v, page.Enable, page.EnableParams{}); err != nil {
			t.Fatal(err)
		}
		if _, err := chromedp.Call(v, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: "delete window.DecompressionStream"}); err != nil {
			t.Fatal(err)
		}
		if got := v.finished(t, url); got != "failed" {
			t.Errorf("the charts are %s", got)
		}
		if folded := ask[int](t, v, tables); folded != 0 {
			t.Errorf("%d tables are folded", folded)
		}
		if note := ask[string](t, v, `document.getElementById("charts-note").innerText`); !strings.Contains(note, "DecompressionStream") || !strings.Contains(note, "The tables have the same numbers") {
			t.Errorf("the page says %q", note)
		}
	})
}
