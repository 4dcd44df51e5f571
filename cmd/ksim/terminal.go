package main

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ksim-dev/ksim/harness"
)

// isTerminal tells whether w is a screen that a person looks at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("CI") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// useColour obeys NO_COLOR (no-color.org), CI and TERM=dumb.
func useColour(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(w) }

func thisMachine() harness.Machine {
	return harness.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), GoVersion: runtime.Version()}
}

// progress tells of scenarios as they end: a bar below the lines on a
// terminal, the lines alone elsewhere.
type progress struct {
	w    io.Writer
	bars *mpb.Progress
	bar  *mpb.Bar
}

func newProgress(w io.Writer, scenarios int) *progress {
	p := &progress{w: w}
	if scenarios > 0 && isTerminal(w) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
		p.bar = p.bars.AddBar(int64(scenarios),
			mpb.PrependDecorators(decor.CountersNoUnit("%d/%d scenarios")),
			mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO)))
		p.w = p.bars
	}
	return p
}

func (p *progress) ended(r harness.Result) {
	word := string(r.Verdict)
	if r.Err != nil {
		word = "failed"
	}
	_, _ = fmt.Fprintf(p.w, "%-8s  %-22s %5.1f s\n", word, r.Scenario, r.Seconds)
	if p.bar != nil {
		p.bar.Increment()
	}
}

// say prints one line of progress.
func (p *progress) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *progress) close() {
	if p.bar != nil {
		p.bar.Abort(false) // a run that ended early leaves it unfinished
		p.bars.Wait()
	}
}
