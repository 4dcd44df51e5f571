package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// Every link between files of this repository leads somewhere.
func TestLinks(t *testing.T) {
	root := filepath.Join("..", "..")
	pages := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || slices.Contains([]string{"testdata", "node_modules", "target", "ksim-out"}, d.Name())):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		pages++
		for _, broken := range deadLinks(path) {
			t.Errorf("%s: %s", path, broken)
		}
		return nil
	})
	if err != nil || pages < 10 {
		t.Fatalf("%d pages: %v", pages, err)
	}
}

// deadLinks returns the links of a page to what is not there.
func deadLinks(path string) (out []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return []string{err.Error()}
	}
	for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
		target, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		to := path
		if target != "" {
			to = filepath.Join(filepath.Dir(path), target)
		}
		there, err := os.ReadFile(to)
		if info, statErr := os.Stat(to); err != nil && (statErr != nil || !info.IsDir()) {
			out = append(out, "there is no "+m[1])
			continue
		}
		if anchor != "" && filepath.Ext(to) == ".md" && !slices.Contains(anchors(string(there)), anchor) {
			out = append(out, m[1]+": no such heading")
		}
	}
	return out
}

// anchors are the names by which the headings of a page can be linked to.
func anchors(text string) (out []string) {
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		out = append(out, strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, strings.TrimSpace(m[1])))
	}
	return out
}

func TestDeadLinksAreFound(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"page.md":  "# A page, *here*\n[a](other.md) [b](gone.md) [c](#a-page-here) [d](other.md#part-2) [e](other.md#part-3) [f](https://example.org/x)\n```\n[g](code.md)\n```\n",
		"other.md": "## Part 2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"there is no gone.md", "other.md#part-3: no such heading"}
	if got := deadLinks(filepath.Join(dir, "page.md")); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
