package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness"
)

// Group is one way in which a consumer group shares partitions out.
type Group struct {
	Name     string // as in zombie@eager
	Doc      string
	Protocol string // classic or consumer
	Assignor string // given as KSIM_ASSIGNOR
	Static   bool
}

// Groups lists the kinds of groups, the most usual first.
func Groups() []Group {
	return []Group{
		{Name: "cooperative", Doc: "classic, members keep what they retain (KIP-429)", Protocol: "classic", Assignor: "cooperative-sticky"},
		{Name: "eager", Doc: "classic, every rebalance takes everything from everybody", Protocol: "classic", Assignor: "eager"},
		{Name: "consumer", Doc: "the broker assigns (KIP-848)", Protocol: "consumer"},
		{Name: "static", Doc: "classic and cooperative, members keep their place over a restart (KIP-345)", Protocol: "classic", Assignor: "cooperative-sticky", Static: true},
		{Name: "consumer-static", Doc: "KIP-848 with static members", Protocol: "consumer", Static: true},
	}
}

// staticSession bounds how long what a static member leaves behind is nobody's.
const staticSession = 3 * time.Second

// In returns the scenario in a group of that kind, called name@kind. false if it is not
// about such groups.
func (g Group) In(s harness.Scenario) (harness.Scenario, bool) {
	if len(s.Groups) > 0 && !slices.Contains(s.Groups, g.Name) {
		return s, false
	}
	s.Name += "@" + g.Name
	s.Protocol, s.Assignor, s.Static = g.Protocol, g.Assignor, g.Static
	if g.Static && (s.SessionTimeout == 0 || s.SessionTimeout > staticSession) {
		s.SessionTimeout = staticSession
	}
	return s, true
}

// Each returns every scenario in a group of each kind that is named, where it is about such groups; "all"
// names all of them.
func Each(chosen []harness.Scenario, kinds []string) ([]harness.Scenario, error) {
	var groups []Group
	for _, kind := range kinds {
		if kind == "all" {
			groups = append(groups, Groups()...)
			continue
		}
		g, err := groupNamed(kind)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	var out []harness.Scenario
	for _, s := range chosen {
		for _, g := range groups {
			if in, ok := g.In(s); ok && !slices.ContainsFunc(out, func(o harness.Scenario) bool { return o.Name == in.Name }) {
				out = append(out, in)
			}
		}
	}
	return out, nil
}

func groupNamed(kind string) (Group, error) {
	var names []string
	for _, g := range Groups() {
		if g.Name == kind {
			return g, nil
		}
		names = append(names, g.Name)
	}
	return Group{}, fmt.Errorf("there is no kind of group %q; choose all, or some of %s", kind, strings.Join(names, ", "))
}
