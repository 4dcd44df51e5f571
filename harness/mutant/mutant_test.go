package mutant

import (
	"os"
	"strings"
	"testing"

	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/subject"
)

// Each mutant tells all that the docs and the matrix need, and its mistake stands in
// a file of its own.
func TestEveryMutantIsTold(t *testing.T) {
	checks := map[string]bool{}
	for _, c := range check.All() {
		checks[c.Name] = true
	}
	seen := map[string]bool{}
	for _, m := range append(Careful(), All()...) {
		f, ok := m.Subject.(subject.Func)
		switch {
		case seen[m.Name]:
			t.Errorf("%s is there twice", m.Name)
		case ok && f.Label != "mutant/"+m.Name:
			t.Errorf("%s is run as %q", m.Name, m.Subject.Name())
		case m.Doc == "":
			t.Errorf("%s has no doc", m.Name)
		}
		seen[m.Name] = true
	}
	for _, m := range All() {
		if m.Mistake == "" || !strings.HasSuffix(m.Mistake, ".") || strings.Contains(m.Mistake, "\n") {
			t.Errorf("%s: the mistake is %q, want a sentence", m.Name, m.Mistake)
		}
		if !strings.Contains(m.Doc, "](https://") && !strings.Contains(m.Doc, "`Kafka") {
			t.Errorf("%s: the doc names no source", m.Name)
		}
		if len(m.Caught) == 0 || len(m.Scenarios) == 0 {
			t.Errorf("%s: no check or no scenario is meant for it", m.Name)
		}
		for _, name := range append(m.Caught, m.AlsoAllowed...) {
			if !checks[name] {
				t.Errorf("%s: there is no check %s", m.Name, name)
			}
		}
		file := strings.ReplaceAll(m.Name, "-", "_") + ".go"
		if _, ok := m.Subject.(subject.Func); !ok {
			continue // it is in another language, and elsewhere
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}
