package rules

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const maxLines = 500

// vague are names that say nothing of what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "misc"}

// clock are the names in package time by which a program asks for the time or waits.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// faults returns what is wrong with one Go file; path is relative to the module.
func faults(path string, text []byte) []string {
	var out []string
	if n := bytes.Count(text, []byte("\n")); n > maxLines {
		out = append(out, fmt.Sprintf("%s has %d lines, over %d: it holds more than one thing", path, n, maxLines))
	}
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".go"), "_test")
	for _, part := range append(strings.Split(filepath.ToSlash(filepath.Dir(path)), "/"), name) {
		if slices.Contains(vague, part) {
			out = append(out, fmt.Sprintf("%s: %q says nothing of what is inside", path, part))
		}
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return append(out, err.Error())
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			out = append(out, fmt.Sprintf("%s: func init: registries are exported values", fset.Position(f.Pos())))
		}
	}
	if strings.HasPrefix(filepath.ToSlash(path), "harness/check/") && !strings.HasSuffix(path, "_test.go") {
		out = append(out, askedForTheTime(fset, file)...)
	}
	return out
}

// askedForTheTime finds uses of the clock in a judge.
func askedForTheTime(fset *token.FileSet, file *ast.File) (out []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, sel.Sel.Name) {
			out = append(out, fmt.Sprintf("%s: time.%s: a judge has no clock", fset.Position(sel.Pos()), sel.Sel.Name))
		}
		return true
	})
	return out
}

func TestSources(t *testing.T) {
	pkgs, err := load()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, p := range pkgs {
		if !p.ours() {
			continue
		}
		for _, path := range p.files() {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			short, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range faults(short, text) {
				t.Error(fault)
			}
			seen++
		}
	}
	if seen < 10 {
		t.Errorf("only %d files were looked at", seen)
	}
}

func TestSourceRulesCanFail(t *testing.T) {
	const fine = "package p\n\nimport \"time\"\n\nfunc f(d time.Duration) time.Duration { return d }\n"
	cases := []struct{ path, text, want string }{
		{"harness/tap/frames.go", fine, ""},
		{"harness/tap/clock.go", "package p\n\nimport \"time\"\n\nvar now = time.Now\n", ""},
		{"harness/check/lost.go", fine, ""},
		{"harness/check/lost.go", "package p\n\nimport \"time\"\n\nvar now = time.Now\n", "time.Now"},
		{"harness/tap/util.go", fine, `"util"`},
		{"harness/common/frames.go", fine, `"common"`},
		{"harness/tap/helpers_test.go", fine, `"helpers"`},
		{"harness/tap/long.go", fine + strings.Repeat("// more\n", maxLines), "over 500"},
		{"harness/tap/start.go", "package p\n\nfunc init() {}\n", "func init"},
		{"harness/tap/init.go", "package p\n\ntype t int\n\nfunc (t) init() {}\n", ""},
		{"harness/tap/broken.go", "package", "expected"},
	}
	for _, c := range cases {
		got := faults(c.path, []byte(c.text))
		if (c.want == "") != (len(got) == 0) || (c.want != "" && !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: want %q, got %q", c.path, c.want, got)
		}
	}
}
