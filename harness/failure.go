package harness

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/subject"
)

// SubjectError says that the subject could not be judged because of what it
// did itself: it does not start, exits for ever, or never joins its group.
type SubjectError struct {
	Reason      string
	Tail        string // last lines of its log
	CannotStart bool   // the command itself is wrong: nothing ran
}

func (e *SubjectError) Error() string {
	if e.Tail == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s; its last output:\n%s", e.Reason, e.Tail)
}

// exitText tells how a process ended, in a few words: "exit status 1",
// "signal killed".
func exitText(e subject.Exit) string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != "":
		return "signal " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}
