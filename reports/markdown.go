package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
)

// Bounds of report.md, which people read in a pull request: the whole story is
// in report.html and report.json.
const (
	mdEvidence = 5  // records of one violated check
	mdStories  = 2  // of them told with what led to them
	mdTold     = 25 // scenarios told in full
	mdCauses   = 50
)

// Markdown writes report.md in GitHub's dialect.
func Markdown(w io.Writer, run harness.Run) error {
	var b bytes.Buffer
	s := runState(run)
	title := "no verdict"
	if s != stateNone {
		title = s.Symbol + " " + s.Word
	}
	fmt.Fprintf(&b, "# ksim: %s\n\n%s\n\n", title, headline(run))
	fmt.Fprintf(&b, "%s on %s, seed %d, %.1f s. ksim %s, %s, run %s.\n",
		mdCode(run.Subject), mdText(run.Kafka), run.Seed, run.Seconds, mdText(run.Version), machine(run.Machine), mdCode(run.ID))
	mdScenarios(&b, run)
	mdViolations(&b, run)
	mdOpen(&b, run)
	mdCausesTable(&b, run)
	mdLoad(&b, run)
	mdTune(&b, run.Tune)
	_, err := w.Write(b.Bytes())
	return err
}

func mdScenarios(b *bytes.Buffer, run harness.Run) {
	if len(run.Scenarios) == 0 {
		return
	}
	b.WriteString("\n## Scenarios\n\n| | scenario | verdict | seconds | produced | effects | reprocessed | dead-lettered | |\n|---|---|---|--:|--:|--:|--:|--:|---|\n")
	for _, r := range run.Scenarios {
		s := scenarioState(r)
		fmt.Fprintf(b, "| %s | %s | %s | %.1f | %d | %d | %d | %d | %s |\n", s.Symbol, mdText(r.Scenario), s.Word, r.Seconds,
			r.Counts.Produced, r.Counts.Effects, r.Counts.Reprocessed, r.Counts.DeadLettered, mdText(why(r)))
	}
}

func mdViolations(b *bytes.Buffer, run harness.Run) {
	told := 0
	for _, r := range run.Scenarios {
		if scenarioState(r) != stateViolated {
			continue
		}
		if told++; told == 1 {
			b.WriteString("\n## Violations\n")
		}
		if told > mdTold {
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n", mdText(r.Scenario))
		if r.Doc != "" {
			fmt.Fprintf(b, "%s\n\n", mdText(r.Doc))
		}
		for _, c := range checksOf(r, check.Violated) {
			mdCheck(b, c)
		}
		if replay := replayRun(run, r); replay != "" {
			fmt.Fprintf(b, "Run it again, or judge its history again:\n\n%s", mdBlock(replay+"\n"+replayCheck(run, r)))
		} else {
			fmt.Fprintf(b, "Judge its history again:\n\n%s", mdBlock(replayCheck(run, r)))
		}
	}
	if told > mdTold {
		fmt.Fprintf(b, "\nAnd %s more: see report.html.\n", plural(told-mdTold, "violated scenario"))
	}
}

func mdCheck(b *bytes.Buffer, c check.Result) {
	fmt.Fprintf(b, "**%s**: %s. %s\n\n", mdText(c.Check), plural(c.Count, "violation"), mdText(c.Reason))
	if len(c.Evidence) == 0 {
		return
	}
	b.WriteString("| record | message | key | member | at | what | events |\n|---|---|---|---|--:|---|---|\n")
	shown := c.Evidence[:min(mdEvidence, len(c.Evidence))]
	for _, e := range shown {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", mdCell(e.Where), mdCell(e.Message), mdCell(e.Key),
			mdText(e.Member), seconds(e.At), mdText(e.What), numbers(e.Events))
	}
	if more := c.Count - len(shown); more > 0 {
		fmt.Fprintf(b, "\n%d more are not shown here.\n", more)
	}
	for _, e := range shown[:min(mdStories, len(shown))] {
		mdStory(b, e)
	}
	b.WriteByte('\n')
}

// mdStory tells the events that led to a violation.
func mdStory(b *bytes.Buffer, e check.Evidence) {
	if len(e.Story) == 0 {
		return
	}
	of := cmp.Or(e.Message, e.Where, e.Member, "it")
	fmt.Fprintf(b, "\nWhat led to it (%s):\n\n", mdText(of))
	for _, s := range e.Story {
		fmt.Fprintf(b, "- %s\n", mdText(s))
	}
}

// mdOpen tells what could not be judged, and why.
func mdOpen(b *bytes.Buffer, run harness.Run) {
	var lines []string
	for _, r := range run.Scenarios {
		if r.Err != nil {
			lines = append(lines, fmt.Sprintf("- %s **%s**: the harness failed: %s. Its history: %s\n", stateError.Symbol, mdText(r.Scenario), mdText(r.Err.Error()), mdCode(historyPath(run, r))))
			continue
		}
		unknown := checksOf(r, check.Unknown)
		for _, c := range unknown {
			lines = append(lines, fmt.Sprintf("- %s **%s**, %s: %s\n", stateUnknown.Symbol, mdText(r.Scenario), mdText(c.Check), mdText(c.Reason)))
		}
		if len(unknown) == 0 && r.Verdict == check.Unknown {
			lines = append(lines, fmt.Sprintf("- %s **%s**: %s\n", stateUnknown.Symbol, mdText(r.Scenario), mdText(why(r))))
		}
	}
	if len(lines) == 0 {
		return
	}
	b.WriteString("\n## Not judged\n\n")
	for i, l := range lines {
		if i == mdCauses {
			fmt.Fprintf(b, "- and %d more: see report.html\n", len(lines)-i)
			return
		}
		b.WriteString(l)
	}
}

func mdCausesTable(b *bytes.Buffer, run harness.Run) {
	rows := 0
	for _, r := range run.Scenarios {
		for _, c := range r.Causes {
			if rows++; rows == 1 {
				b.WriteString("\n## Reprocessing by cause\n\n| scenario | cause | member | at | effects repeated | may repeat |\n|---|---|---|--:|--:|---|\n")
			}
			if rows <= mdCauses {
				fmt.Fprintf(b, "| %s | %s | %s | %s | %d | %s |\n", mdText(r.Scenario), mdText(c.Kind), mdText(c.Member), seconds(c.At), c.Count, mdText(windows(c.Windows, 4)))
			}
		}
	}
	if rows > mdCauses {
		fmt.Fprintf(b, "\n%s more: see report.html.\n", plural(rows-mdCauses, "cause"))
	}
	mdAttributions(b, run)
	if n := tallyOf(run).Counts.Unexplained; n > 0 {
		fmt.Fprintf(b, "\n%s without any cause.\n", plural(n, "repeated effect"))
	}
}

// mdAttributions tells of each scenario in one sentence what was repeated and why.
func mdAttributions(b *bytes.Buffer, run harness.Run) {
	told := 0
	for _, r := range run.Scenarios {
		if r.Err != nil || r.Attribution == "" {
			continue
		}
		if told++; told == 1 {
			b.WriteByte('\n')
		}
		if told <= mdCauses {
			fmt.Fprintf(b, "- %s: %s\n", mdText(r.Scenario), mdText(r.Attribution))
		}
	}
}

func mdLoad(b *bytes.Buffer, run harness.Run) {
	if len(run.Load) == 0 {
		return
	}
	b.WriteString("\n## Load\n\nLatency counts from the moment a message was due to its effect done.\n\n" +
		"| batch size | offered /s | done /s | p50 ms | p99 ms | p99.9 ms | peak lag | repeated after a crash | predicted | |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, l := range run.Load {
		l = believable(l)
		valid := ""
		if !l.Valid {
			valid = "**invalid**: " + mdText(l.Reason)
		}
		fmt.Fprintf(b, "| %d | %s | %s | %s | %s | %s | %d | %s | %s | %s |\n", l.BatchSize, number(l.Rate), number(l.Through),
			number(l.Latency.P50), number(l.Latency.P99), number(l.Latency.P999), l.PeakLag, measured(l.Reprocessed), predicted(l.Reprocessed), valid)
	}
}

// mdText escapes what could be taken for markup, end a table cell, or make
// GitHub notify somebody or link an issue.
func mdText(s string) string {
	s = mdEscapes.Replace(plain(s, 400))
	return mdReference.ReplaceAllStringFunc(s, func(m string) string {
		before, sign := m[:len(m)-1], m[len(m)-1:]
		if sign == "@" {
			return before + "@\u200b" // GitHub looks for names after it has read the escapes
		}
		return before + `\` + sign
	})
}

var (
	mdEscapes   = strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "&", "&amp;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`)
	mdReference = regexp.MustCompile(`(^|[^\pL\pN_])[@#]`)
)

// mdCell is s as code in a table; what holds characters that end a code span or
// a cell is escaped text instead.
func mdCell(s string) string {
	if s == "" || strings.ContainsAny(s, "`|<@") && !mdPlace.MatchString(s) {
		return mdText(s)
	}
	return mdCode(s)
}

// mdPlace is topic/partition@offset.
var mdPlace = regexp.MustCompile(`^[\w.-]+/\d+@-?\d+$`)

// mdCode is s as code, with a fence longer than any run of backticks in it.
func mdCode(s string) string {
	s = plain(s, 400)
	if s == "" {
		return "(none)"
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		s = " " + s + " "
	}
	return fence + s + fence
}

func mdBlock(s string) string {
	fence := "```"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	return fence + "sh\n" + s + "\n" + fence + "\n"
}

// numbers prints sequence numbers, the first few of them.
func numbers(seqs []int64) string {
	var parts []string
	for i, n := range seqs {
		if i == 4 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, " ")
}
