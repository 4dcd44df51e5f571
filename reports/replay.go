package reports

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ksim-dev/ksim/harness"
)

// chosen are the flags of ksim run that a replay sets itself, or that would
// make it run something else or overwrite the run that it replays. Each takes
// a value.
var chosen = []string{"--scenario", "--scenarios", "--tag", "--tags", "--groups", "--seed", "--out"}

// replayRun is the command that runs one scenario of the run again: the
// user's own command with the scenario and the seed pinned. It is "" where that
// command is not known, or where no ksim run runs such a thing by itself: a
// made-up command would run something else.
func replayRun(run harness.Run, r harness.Result) string {
	if len(run.Command) == 0 || filepath.Base(filepath.Dir(r.Dir)) == "load" {
		return ""
	}
	flags, subject := commandParts(run)
	args := append([]string{"ksim", "run", "--scenario", r.Scenario, "--seed", strconv.FormatInt(run.Seed, 10)}, flags...)
	if len(subject) > 0 {
		args = append(append(args, "--"), subject...)
	}
	return Shell(args)
}

// replayCheck is the command that judges the history of one scenario again.
func replayCheck(run harness.Run, r harness.Result) string {
	return Shell([]string{"ksim", "check", historyPath(run, r)})
}

// commandParts splits Run.Command, which is "ksim run [flags] [-- subject…]",
// into the flags worth repeating and the subject's command.
func commandParts(run harness.Run) (flags, subject []string) {
	args := run.Command
	if len(args) > 0 {
		args = args[1:] // the program, under whatever name
	}
	if i := slices.Index(args, "--"); i >= 0 {
		args, subject = args[:i], args[i+1:]
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		args = args[1:] // the verb
	}
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		if !slices.Contains(chosen, name) {
			flags = append(flags, args[i])
			continue
		}
		if !joined {
			i++ // its value
		}
	}
	return flags, subject
}

// Shell joins args so that a POSIX shell splits them again.
func Shell(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = quote(a)
	}
	return strings.Join(quoted, " ")
}

func quote(a string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if a != "" && !strings.ContainsFunc(a, func(r rune) bool { return !safe(r) }) {
		return a
	}
	return "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
}
