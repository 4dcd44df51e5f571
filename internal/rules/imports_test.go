package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const ginkgo = "github.com/onsi/ginkgo/v2"

// dockerModules are the ways to reach Docker from Go.
var dockerModules = []string{
	"github.com/testcontainers/", "github.com/docker/docker", "github.com/moby/moby",
}

// impure are packages of the standard library that a judge must not reach for:
// its verdict depends on the history and nothing else. It may use time for durations;
// that it does not ask for the time is checked in its source (see sources_test.go).
var impure = []string{"net", "os", "testing", "math/rand", "crypto/rand", "plugin", "syscall", "runtime/debug"}

// breaches returns every import that breaks a rule of DESIGN.md.
func breaches(pkgs []pkg) []string {
	standard := make(map[string]bool)
	for _, p := range pkgs {
		standard[p.ImportPath] = p.Standard
	}
	var out []string
	for _, p := range pkgs {
		if !p.ours() {
			continue
		}
		for _, rule := range []func(pkg, map[string]bool) []string{leaf, judge, docker, apart, tools} {
			for _, breach := range rule(p, standard) {
				out = append(out, strings.ReplaceAll(breach, module+"/", ""))
			}
		}
	}
	return out
}

// leaf: history imports only the standard library.
func leaf(p pkg, standard map[string]bool) (out []string) {
	if !p.within("harness/history") {
		return nil
	}
	for _, imported := range p.Imports {
		if !standard[imported] {
			out = append(out, fmt.Sprintf("%s imports %s: the vocabulary is a leaf, it imports only the standard library", p.ImportPath, imported))
		}
	}
	return out
}

// judge: check imports only history and pure parts of the standard library.
func judge(p pkg, standard map[string]bool) (out []string) {
	if !p.within("harness/check") {
		return nil
	}
	for _, imported := range p.Imports {
		switch {
		case within(imported, "harness/history"), within(imported, "harness/check"):
		case !standard[imported]:
			out = append(out, fmt.Sprintf("%s imports %s: a judge imports only history", p.ImportPath, imported))
		case slices.ContainsFunc(impure, func(root string) bool { return imported == root || strings.HasPrefix(imported, root+"/") }):
			out = append(out, fmt.Sprintf("%s imports %s: a judge has no network, no files, no chance, no testing", p.ImportPath, imported))
		}
	}
	return out
}

// docker: containers is the only package that reaches Docker, tests included.
func docker(p pkg, _ map[string]bool) (out []string) {
	if p.within("harness/backend/containers") {
		return nil
	}
	for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
		for _, root := range dockerModules {
			if strings.HasPrefix(imported, root) {
				out = append(out, fmt.Sprintf("%s imports %s: only harness/backend/containers does", p.ImportPath, imported))
			}
		}
	}
	return out
}

// apart: harness never meets consumer or reports; consumer and harness meet only in
// cmd/ksim, in tests of scenarios and consumer's external tests, and in examples, so that the
// harness cannot favour the reference consumer.
func apart(p pkg, _ map[string]bool) (out []string) {
	inHarness, inConsumer := p.within("harness"), p.within("consumer")
	own := slices.Concat(p.Imports, p.TestImports)
	for _, imported := range slices.Concat(own, p.XTestImports, p.Deps) {
		if inHarness && (within(imported, "consumer") || within(imported, "reports")) {
			out = append(out, fmt.Sprintf("%s needs %s: nothing in harness does", p.ImportPath, imported))
		}
	}
	for _, imported := range slices.Concat(own, p.Deps) {
		if inConsumer && within(imported, "harness") {
			out = append(out, fmt.Sprintf("%s needs %s: consumer imports nothing of harness, but in its external tests", p.ImportPath, imported))
		}
	}
	mayMeet := inHarness || inConsumer || p.within("cmd/ksim") || p.within("examples")
	meets := func(imports []string) bool {
		return slices.ContainsFunc(imports, func(i string) bool { return within(i, "consumer") }) &&
			slices.ContainsFunc(imports, func(i string) bool { return within(i, "harness") })
	}
	if !mayMeet && meets(slices.Concat(p.Imports, p.Deps)) {
		out = append(out, p.ImportPath+" brings consumer and harness together: only cmd/ksim and tests do")
	}
	if !mayMeet && !p.within("scenarios") && meets(slices.Concat(own, p.XTestImports)) {
		out = append(out, p.ImportPath+" brings consumer and harness together in its tests: only those of scenarios and consumer do")
	}
	slices.Sort(out)
	return slices.Compact(out) // a direct import is among Deps too
}

// tools: ginkgo itself, which adds 50 flags to a binary, is imported only by
// scenarios/spec and by tests. Its reporters and types add none. What only
// tests of the module need must not get into what is built.
func tools(p pkg, _ map[string]bool) (out []string) {
	for _, imported := range p.Imports {
		if imported == ginkgo && !p.within("scenarios/spec") {
			out = append(out, fmt.Sprintf("%s imports %s: only scenarios/spec and tests do", p.ImportPath, imported))
		}
		if imported == "testing" && !p.within("scenarios/spec") && p.within("cmd") {
			out = append(out, fmt.Sprintf("%s imports testing: it adds its flags to the command", p.ImportPath))
		}
	}
	if p.within("cmd") && slices.Contains(p.Deps, ginkgo) {
		out = append(out, fmt.Sprintf("%s needs %s: its flags would be those of the command", p.ImportPath, ginkgo))
	}
	return out
}

func TestImports(t *testing.T) {
	pkgs, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, breach := range breaches(pkgs) {
		t.Error(breach)
	}
}

// Each rule can fail, and lets pass what it should.
func TestRulesCanFail(t *testing.T) {
	const kgo, containers = "github.com/twmb/franz-go/pkg/kgo", "github.com/testcontainers/testcontainers-go"
	m := func(path string) string { return module + "/" + path }
	std := []pkg{{ImportPath: "time", Standard: true}, {ImportPath: "net/http", Standard: true}, {ImportPath: "os", Standard: true}, {ImportPath: "testing", Standard: true}}
	cases := []struct {
		p    pkg
		want string // part of the one breach; "" for none
	}{
		{pkg{ImportPath: m("harness/history"), Imports: []string{"os", "time"}, TestImports: []string{"go.uber.org/goleak"}}, ""},
		{pkg{ImportPath: m("harness/history"), Imports: []string{kgo}}, "harness/history imports " + kgo},
		{pkg{ImportPath: m("harness/history"), Imports: []string{m("harness/check")}}, "harness/history imports harness/check"},
		{pkg{ImportPath: m("harness/check"), Imports: []string{"time", m("harness/history")}}, ""},
		{pkg{ImportPath: m("harness/check"), Imports: []string{m("harness/tap")}}, "harness/check imports harness/tap"},
		{pkg{ImportPath: m("harness/check"), Imports: []string{"net/http"}}, "harness/check imports net/http"},
		{pkg{ImportPath: m("harness/backend/containers"), Imports: []string{containers}}, ""},
		{pkg{ImportPath: m("harness/backend"), Imports: []string{containers}}, "harness/backend imports " + containers},
		{pkg{ImportPath: m("scenarios"), XTestImports: []string{containers + "/modules/kafka"}}, "scenarios imports " + containers},
		{pkg{ImportPath: m("harness/subject"), XTestImports: []string{m("consumer")}}, "harness/subject needs consumer"},
		{pkg{ImportPath: m("harness/load"), Imports: []string{m("reports")}}, "harness/load needs reports"},
		{pkg{ImportPath: m("harness/load"), Imports: []string{m("scenarios")}, Deps: []string{m("scenarios"), m("consumer/x")}}, "harness/load needs consumer/x"},
		{pkg{ImportPath: m("consumer"), Imports: []string{kgo}, XTestImports: []string{m("harness"), m("consumer")}}, ""},
		{pkg{ImportPath: m("consumer"), TestImports: []string{m("harness/history")}}, "consumer needs harness/history"},
		{pkg{ImportPath: m("cmd/ksim"), Imports: []string{m("harness"), m("consumer")}, Deps: []string{ginkgo + "/types"}}, ""},
		{pkg{ImportPath: m("internal/x"), Imports: []string{m("harness"), m("consumer")}}, "internal/x brings consumer and harness together"},
		{pkg{ImportPath: m("scenarios"), Imports: []string{m("harness")}, XTestImports: []string{m("consumer")}}, ""},
		{pkg{ImportPath: m("scenarios"), Imports: []string{m("harness"), m("consumer")}}, "scenarios brings consumer and harness together"},
		{pkg{ImportPath: m("reports"), Imports: []string{m("harness")}, TestImports: []string{m("consumer")}}, "reports brings consumer and harness together in its tests"},
		{pkg{ImportPath: m("scenarios/spec"), Imports: []string{ginkgo}}, ""},
		{pkg{ImportPath: m("reports"), Imports: []string{ginkgo + "/reporters", ginkgo + "/types"}, TestImports: []string{ginkgo}}, ""},
		{pkg{ImportPath: m("reports"), Imports: []string{ginkgo}}, "reports imports " + ginkgo},
		{pkg{ImportPath: m("cmd/ksim"), Imports: []string{m("scenarios/spec")}, Deps: []string{ginkgo}}, "cmd/ksim needs " + ginkgo},
		{pkg{ImportPath: "github.com/other/harness/history", Imports: []string{kgo}}, ""},
	}
	for _, c := range cases {
		got := breaches(append(slices.Clone(std), c.p))
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: should pass: %q", c.p.ImportPath, got)
		case c.want != "" && (len(got) == 0 || !strings.HasPrefix(got[0], c.want)):
			t.Errorf("%s: want %q…, got %q", c.p.ImportPath, c.want, got)
		}
	}
}
