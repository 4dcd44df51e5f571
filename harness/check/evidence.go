package check

import (
	"fmt"

	"github.com/ksim-dev/ksim/harness/history"
)

// A subject that never calls the sink can still be judged by what others see of it: the wire, its dead
// letters, and its outputs, if there are any. What they do not show is unknown.

// blind tells whether the subject is judged without effects.
func (f *Facts) blind() bool {
	return f.Header.Evidence != history.EvidenceEffects && len(f.effects) == 0
}

// unseen says why a check that needs to see so much cannot judge; "" if it can.
func (f *Facts) unseen(s Sight) string {
	outputs := f.Header.Evidence == history.EvidenceOutputs
	switch {
	case !f.blind(), s == NoEffects, s == NeedsEnds && outputs:
		return ""
	case outputs:
		return "no effects are seen: the subject is judged by its outputs, which do not tell who made them and how often it was tried"
	}
	return "no effects are seen: the subject is judged by its commits, which tell that a record is over, not what was done and when"
}

// Judgeable are the names of the checks that can judge by the given evidence.
func Judgeable(evidence string) []string {
	f := Facts{Header: history.Header{Evidence: evidence}}
	var names []string
	for _, c := range All() {
		if f.unseen(c.Sight) == "" {
			names = append(names, c.Name)
		}
	}
	return names
}

// accepted tells whether a commit was accepted.
func (f *Facts) accepted() bool {
	for i := range f.commits {
		if f.commits[i].accepted {
			return true
		}
	}
	return false
}

// endedUnseen tells whether other evidence than an effect shows that a record came to an end.
func (f *Facts) endedUnseen(r *record) bool {
	switch {
	case !f.blind():
		return false
	case f.Header.Evidence == history.EvidenceOutputs:
		return r.outputs > 0
	}
	return r.part != none && f.parts[r.part].committed > r.offset
}

// thinEvidence says why the evidence that was chosen in place of effects shows too little.
func (f *Facts) thinEvidence() string {
	if f.Header.Evidence == history.EvidenceCommits {
		if !f.accepted() {
			return "no accepted commit was seen, and the subject is judged by its commits"
		}
		return ""
	}
	stray := 0
	for i := range f.outputs {
		if f.outputs[i].rec == none {
			stray++
		}
	}
	switch _, read := f.phases[history.PhaseOutputs]; {
	case !read:
		return "the outputs were not read to their end, and the subject is judged by them"
	case len(f.outputs) == 0:
		return "no output was seen, and the subject is judged by its outputs"
	case stray > 0:
		return fmt.Sprintf("%s to no record that can be told", num(stray, "output belongs", "outputs belong"))
	}
	return ""
}
