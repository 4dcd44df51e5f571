package scenarios_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/scenarios"
)

func names(all []harness.Scenario) (out []string) {
	for _, s := range all {
		out = append(out, s.Name)
	}
	return out
}

func TestSelect(t *testing.T) {
	all := []harness.Scenario{
		{Name: "a", Tags: []string{"x"}}, {Name: "b", Tags: []string{"x", "y"}, SessionTimeout: 2 * time.Second}, {Name: "c", Groups: []string{"consumer"}},
	}
	for patterns, want := range map[string]string{
		"":                     "a b c",
		"c a":                  "a c",
		"tag:y":                "b",
		"a@eager a a@eager":    "a@eager a",
		"tag:x@static b":       "a@static b@static b",
		"tag:x@consumer c@all": "a@consumer b@consumer c@consumer",
	} {
		got, err := scenarios.SelectFrom(all, strings.Fields(patterns))
		if err != nil || strings.Join(names(got), " ") != want {
			t.Errorf("%s: %v, %v", patterns, names(got), err)
		}
	}
	for pattern, want := range map[string]string{
		"d": `no scenario "d"; the scenarios are a, b, c; the tags are tag:x, tag:y`, "tag:z": `no scenario "tag:z"`,
		"a@x": `no kind of group "x"; choose all, or some of cooperative, eager`, "c@eager": "about groups of that kind",
	} {
		if got, err := scenarios.SelectFrom(all, []string{pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", pattern, names(got), err)
		}
	}
	every, err := scenarios.Each(all, []string{"eager", "all"})
	want := "a@eager a@cooperative a@consumer a@static a@consumer-static b@eager b@cooperative b@consumer b@static b@consumer-static c@consumer"
	if err != nil || strings.Join(names(every), " ") != want {
		t.Errorf("%v, %v", names(every), err)
	}
	for _, s := range every {
		kind := strings.TrimLeft(s.Name, "abc")
		short := s.SessionTimeout == 3*time.Second || s.Name[0] == 'b' && s.SessionTimeout == 2*time.Second
		if (s.Protocol == "consumer") != strings.HasPrefix(kind, "@consumer") || s.Static != strings.HasSuffix(kind, "static") || (s.Assignor == "eager") != (kind == "@eager") || s.Static && !short {
			t.Errorf("%+v", s)
		}
	}
}

// The catalogue can be found one's way in: names once, tags that exist, a tier each.
func TestCatalogue(t *testing.T) {
	families := []string{
		"crash", "zombie", "rebalance", "poison", "retry", "order", "broker", "network", "sink", "dead-letter", "schema", "exactly-once", "shutdown", "data-shape",
	}
	seen := map[string]bool{}
	for _, s := range scenarios.All() {
		if seen[s.Name] || s.Doc == "" {
			t.Errorf("%s: there twice, or without a doc", s.Name)
		}
		seen[s.Name] = true
		tiers := 0
		for _, tag := range s.Tags {
			switch {
			case tag == "smoke" || tag == "ci" || tag == "full":
				tiers++
			case !slices.Contains(families, tag):
				t.Errorf("%s: %s is neither a tier nor a family", s.Name, tag)
			}
		}
		if tiers == 0 {
			t.Errorf("%s is in no tier", s.Name)
		}
		for _, g := range s.Groups {
			if !slices.ContainsFunc(scenarios.Groups(), func(known scenarios.Group) bool { return known.Name == g }) {
				t.Errorf("%s is about groups of the kind %s, which there is not", s.Name, g)
			}
		}
	}
}
