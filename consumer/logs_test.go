package consumer_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// logbook is a log that a test reads while it is written.
type logbook struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced with each line
}

func newLogbook() *logbook { return &logbook{grown: make(chan struct{})} }

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.text.Write(line)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logbook) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// await waits for a line with all of these words.
func (l *logbook) await(t *testing.T, words ...string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		grown := l.grown
		l.mu.Unlock()
		if l.has(words...) {
			return
		}
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("no line of the log has %q:\n%s", words, l)
		}
	}
}

func (l *logbook) has(words ...string) bool {
	for line := range strings.Lines(l.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

// At Info, the log tells the life of a member, in order.
func TestLogTellsTheLife(t *testing.T) {
	k := startKafka(t)
	k.produce(0, 20)
	book := newLogbook()
	cfg := k.config()
	cfg.Logger = book.logger(slog.LevelInfo)
	r := k.start(cfg, newEffects().handler(0, false))
	k.until("the commit of all", func() bool { return k.committed() == 20 })
	r.finish()
	rest := book.String()
	for _, line := range []string{
		`level=INFO msg=joining group=billing topics=[orders] protocol=cooperative-sticky`,
		`level=INFO msg=assigned topic=orders partitions="[0 1 2 3]"`,
		`level=INFO msg=stopping timeout=10s`,
		`level=INFO msg=revoked topic=orders partitions="[0 1 2 3]" committed=true`,
		`level=INFO msg=stopped group=billing`,
	} {
		_, after, ok := strings.Cut(rest, line)
		if !ok {
			t.Fatalf("%s does not come next in\n%s", line, rest)
		}
		rest = after
	}
}

// logged is a call of a logger in the source.
type logged struct{ level, message, attributes string }

// calls finds what the package logs: a method of something called log or Logger, a
// text, and names and values in turns.
func calls(t *testing.T) map[logged]token.Position {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[logged]token.Position)
	fset := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) {
				return true
			}
			on := strings.ToLower(types.ExprString(method.X))
			if message := text(call.Args[0]); message != "" && (strings.HasSuffix(on, "log") || strings.HasSuffix(on, "logger")) {
				var attrs []string
				for i := 1; i < len(call.Args); i += 2 {
					attrs = append(attrs, "`"+text(call.Args[i])+"`")
				}
				out[logged{strings.ToUpper(method.Sel.Name), message, strings.Join(attrs, " ")}] = fset.Position(call.Pos())
			}
			return true
		})
	}
	return out
}

// text is the value of a literal; empty if it is none.
func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value)
	return s
}

// docs/consumer-logs.md lists every message with its level and attributes, and
// every attribute.
func TestLogsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/consumer-logs.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[logged]bool)
	row := regexp.MustCompile("(?m)^\\| ([A-Z]+) \\| `([^`]+)` \\| ?(.*?) \\| [^|]+ \\|$")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		listed[logged{m[1], m[2], m[3]}] = true
	}
	attributes, _, _ := strings.Cut(string(page), "\n## Messages")
	found := calls(t)
	for l, at := range found {
		if !listed[l] {
			t.Errorf("%v: docs/consumer-logs.md lacks the row\n| %s | `%s` | %s | WHAT IT MEANS |", at, l.level, l.message, l.attributes)
		}
		for name := range strings.FieldsSeq(l.attributes) {
			if !strings.Contains(attributes, name) {
				t.Errorf("%v: docs/consumer-logs.md does not say what the attribute %s is", at, name)
			}
		}
	}
	for l := range listed {
		if _, ok := found[l]; !ok {
			t.Errorf("docs/consumer-logs.md lists what nothing logs: %v", l)
		}
	}
	if len(found) < 15 {
		t.Errorf("only %d calls were found", len(found))
	}
}
