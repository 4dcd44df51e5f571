package consumer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	proof    = regexp.MustCompile(`\[((?:Test|Fuzz|Example|Benchmark)[\w/]*)\]\(([^)]+)\)`)
	footnote = regexp.MustCompile(`\[\^([\w-]+)\](:?)`)
)

// In the table of features each claim of ours names its tests, which are there, and each
// word about others says where it was seen, or is a question mark.
func TestFeaturesAreProved(t *testing.T) {
	const page = "../docs/consumer-features.md"
	text := readPage(t, page)
	declared := make(map[string]map[string]bool) // by file: its functions and its texts
	for _, m := range proof.FindAllStringSubmatch(text, -1) {
		name, file := m[1], filepath.Join(filepath.Dir(page), m[2])
		if declared[file] == nil {
			declared[file] = namesIn(t, file)
		}
		for _, part := range strings.Split(name, "/") {
			if !declared[file][part] {
				t.Errorf("%s has no %s", m[2], name)
			}
		}
	}
	rows := 0
	for _, row := range featureRows(text) {
		rows++
		if !proof.MatchString(row[1]) {
			t.Errorf("%q names no test of ours", row[0])
		}
		for i, cell := range row[2:] {
			if cell != "?" && !footnote.MatchString(cell) {
				t.Errorf("%q, column %d: %q does not say where it was seen", row[0], i+2, cell)
			}
		}
	}
	if rows == 0 || len(declared) == 0 {
		t.Errorf("%s has %d features, proved by %d files", page, rows, len(declared))
	}
	checkFootnotes(t, text)
}

// featureRows are the rows of all tables whose second column is ksim.
func featureRows(text string) (rows [][]string) {
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) > 2 && cells[1] == "ksim":
			inside = true
		case inside && strings.Trim(cells[0], "-") != "":
			rows = append(rows, cells)
		}
	}
	return rows
}

func checkFootnotes(t *testing.T, text string) {
	t.Helper()
	used, defined := make(map[string]bool), make(map[string]bool)
	for _, m := range footnote.FindAllStringSubmatch(text, -1) {
		if m[2] == ":" {
			if defined[m[1]] {
				t.Errorf("footnote %s is there twice", m[1])
			}
			defined[m[1]] = true
			continue
		}
		used[m[1]] = true
	}
	for name := range used {
		if !defined[name] {
			t.Errorf("there is no footnote %s", name)
		}
	}
	for name := range defined {
		if !used[name] {
			t.Errorf("nothing refers to footnote %s", name)
		}
	}
}

// namesIn returns the functions of a Go file, and its string literals: the names of
// subtests are among them.
func namesIn(t *testing.T, file string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return names
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			names[n.Name.Name] = true
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				names[strings.ReplaceAll(s, " ", "_")] = true
			}
		}
		return true
	})
	return names
}

// Every piece of Go in the guide is quoted from code that is compiled.
func TestGuideIsQuoted(t *testing.T) {
	var code []string
	for _, root := range []string{".", "../examples"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".go" {
				code = append(code, unindented(readPage(t, path)))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readPage(t, "../docs/consumer.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("the guide has no code")
	}
	for _, b := range blocks {
		if want := unindented(b[1]); !slices.ContainsFunc(code, func(c string) bool { return strings.Contains(c, want) }) {
			t.Errorf("in no Go file:\n%s", b[1])
		}
	}
}

func unindented(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimSpace(line) + "\n")
	}
	return out.String()
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
