package reports

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/load"
)

// Bounds of the text, which has to fit on a few screens.
const (
	textEvidence = 3 // records of one violated check
	textTold     = 8 // scenarios told in full
	textUnknown  = 3 // unknown or failed scenarios told in full: the reason is often the same
	textLines    = 14
	textWhy      = 90
	textStory    = 160

	textAttribution = 240
)

// Text writes the summary for a terminal. The caller decides about color from
// NO_COLOR, TERM and whether w is a terminal; without it the symbols and words
// say the same.
func Text(w io.Writer, run harness.Run, color bool) error {
	p := &printer{color: color}
	p.line("%s  ·  %s  ·  seed %d  ·  ksim %s", plain(run.Subject, 120), plain(run.Kafka, 80), run.Seed, run.Version)
	p.line("")
	p.scenarios(run)
	p.repeats(run)
	p.waived(run)
	p.violations(run)
	p.unknowns(run)
	p.load(run)
	p.tune(run.Tune)
	s := runState(run)
	word := "NO VERDICT"
	if s != stateNone {
		word = s.Symbol + " " + strings.ToUpper(s.Word)
	}
	p.line("%s  %s", p.paint(s, word), headline(run))
	if run.Dir != "" {
		p.line("report  %s", filepath.Join(run.Dir, "report.html"))
	}
	_, err := w.Write(p.Bytes())
	return err
}

type printer struct {
	bytes.Buffer
	color bool
}

func (p *printer) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.WriteString(strings.TrimRight(text, " "))
	p.WriteByte('\n')
}

// paint colours s with the 16 colours every terminal has.
func (p *printer) paint(s state, text string) string {
	codes := map[state]string{stateHeld: "32", stateViolated: "1;31", stateUnknown: "33", stateError: "1;35"}
	code, ok := codes[s]
	if !p.color || !ok {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *printer) scenarios(run harness.Run) {
	if len(run.Scenarios) == 0 {
		return
	}
	width := len("scenario")
	for _, r := range run.Scenarios {
		width = max(width, utf8.RuneCountInString(r.Scenario))
	}
	p.line("%-10s  %-*s  %8s  %9s  %9s  %9s  %9s", "", width, "scenario", "time", "produced", "effects", "repeated", "dead ltrs")
	for _, r := range run.Scenarios {
		s := scenarioState(r)
		p.line("%s  %-*s  %7.1fs  %9d  %9d  %9d  %9d  %s", p.paint(s, fmt.Sprintf("%s %-8s", s.Symbol, s.Word)), width, r.Scenario, r.Seconds,
			r.Counts.Produced, r.Counts.Effects, r.Counts.Reprocessed, r.Counts.DeadLettered, plain(why(r), textWhy))
	}
	p.line("")
}

// unknowns tells in full why nothing can be said, the last output of the subject included.
func (p *printer) unknowns(run harness.Run) {
	told, rest := 0, 0
	for _, r := range run.Scenarios {
		s := scenarioState(r)
		if s != stateUnknown && s != stateError {
			continue
		}
		if told == textUnknown {
			rest++
			continue
		}
		told++
		p.line("%s", p.paint(s, s.Symbol+" "+r.Scenario))
		lines := strings.Split(strings.TrimSpace(why(r)), "\n")
		for _, l := range lines[:min(textLines, len(lines))] {
			p.line("  %s", plain(l, 300))
		}
		if r.Dir != "" && run.Dir != "" {
			p.line("  logs    %s", filepath.Join(run.Dir, r.Dir, "logs"))
		}
		p.line("")
	}
	if rest > 0 {
		p.line("and %s more of which nothing can be said: see the report", plural(rest, "scenario"))
		p.line("")
	}
}

func (p *printer) violations(run harness.Run) {
	told, rest := 0, 0
	for _, r := range run.Scenarios {
		s := scenarioState(r)
		if s != stateViolated {
			continue
		}
		if told == textTold {
			rest++
			continue
		}
		told++
		p.line("%s", p.paint(s, s.Symbol+" "+r.Scenario))
		for _, c := range checksOf(r, check.Violated) {
			p.line("  %s: %s. %s", c.Check, plural(c.Count, "violation"), plain(c.Reason, 200))
			shown := c.Evidence[:min(textEvidence, len(c.Evidence))]
			for i, e := range shown {
				p.line("    %s", evidenceLine(e))
				if i == 0 {
					p.story(e)
				}
			}
			if more := c.Count - len(shown); more > 0 {
				p.line("    and %d more", more)
			}
		}
		if replay := replayRun(run, r); replay != "" {
			p.line("  replay  %s", replay)
		}
		p.line("  judge   %s", replayCheck(run, r))
		p.line("")
	}
	if rest > 0 {
		p.line("and %s more: see the report", plural(rest, "violated scenario"))
		p.line("")
	}
}

// story tells the events that led to a violation.
func (p *printer) story(e check.Evidence) {
	for _, s := range e.Story {
		p.line("        %s", plain(s, textStory))
	}
}

// repeats tells of each scenario that repeated something what it was due to, held or not.
func (p *printer) repeats(run harness.Run) {
	told := 0
	for _, r := range run.Scenarios {
		if r.Err != nil || r.Attribution == "" {
			continue
		}
		told++
		p.line("%s: %s", r.Scenario, plain(r.Attribution, textAttribution))
	}
	if told > 0 {
		p.line("")
	}
}

// waived names the promises that were not judged, and where.
func (p *printer) waived(run harness.Run) {
	where := map[string][]string{} // scenarios, by their promises
	for _, r := range run.Scenarios {
		if len(r.Waived) > 0 && r.Err == nil {
			promises := strings.Join(slices.Sorted(maps.Keys(r.Waived)), ", ")
			where[promises] = append(where[promises], r.Scenario)
		}
	}
	for _, promises := range slices.Sorted(maps.Keys(where)) {
		p.line("not judged, since nobody can keep it there: %s in %s", promises, plain(strings.Join(where[promises], ", "), textAttribution))
	}
	if len(where) > 0 {
		p.line("")
	}
}

func (p *printer) load(run harness.Run) {
	if len(run.Load) == 0 {
		return
	}
	wrong := 0
	p.line("%10s  %9s  %9s  %9s  %9s  %9s  %9s  %16s", "batch size", "offered/s", "done/s", "p50 ms", "p99 ms", "p99.9 ms", "repeated", "predicted")
	for _, l := range run.Load {
		l = believable(l)
		invalid := ""
		if !l.Valid {
			wrong++
			invalid = p.paint(stateUnknown, "invalid: "+plain(l.Reason, 120))
		}
		p.line("%10d  %9s  %9s  %9s  %9s  %9s  %9s  %16s  %s", l.BatchSize, number(l.Rate), number(l.Through),
			number(l.Latency.P50), number(l.Latency.P99), number(l.Latency.P999), measured(l.Reprocessed), predicted(l.Reprocessed), invalid)
	}
	p.line("latency from due to effect done; repeated per crash in the middle of a batch")
	if wrong > 0 {
		p.line("%s", p.paint(stateUnknown, fmt.Sprintf("%d of %s invalid and must not be used", wrong, plural(len(run.Load), "load measurement")+map[bool]string{true: " is", false: " are"}[len(run.Load) == 1])))
	}
	p.line("")
}

// measured prints what a crash made the subject repeat; without a crash there is nothing to print.
func measured(r load.Reprocessed) string {
	if r.Crashes == 0 {
		return "–"
	}
	return fmt.Sprint(r.Measured)
}

func predicted(r load.Reprocessed) string {
	if r.Crashes == 0 {
		return "–"
	}
	return fmt.Sprintf("%s [%d, %d]", number(r.Predicted), r.Low, r.High)
}
