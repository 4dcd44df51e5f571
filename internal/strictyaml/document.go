// Package strictyaml reads YAML that people write by hand: every error at once, each
// with its line, with what was probably meant. A field that nobody knows is an error,
// a number with quotes is one, a duration without a unit is one.
package strictyaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing wrong with a text; of the whole of it if Line is 0.
type Problem struct {
	Line int
	Text string
}

// Problems collects what is wrong with a text.
type Problems []Problem

// Add notes a problem.
func (p *Problems) Add(line int, format string, args ...any) {
	*p = append(*p, Problem{line, fmt.Sprintf(format, args...)})
}

// Err joins the problems in the order of their lines, nil if there are none. Where a
// line number follows in a message, at stands before it: "ksim.yaml:", or "line ".
func (p Problems) Err(at string) error {
	sorted := slices.Clone(p)
	slices.SortStableFunc(sorted, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(sorted))
	for i, problem := range sorted {
		errs[i] = errors.New(problem.message(at))
	}
	return errors.Join(errs...)
}

func (p Problem) message(at string) string {
	if p.Line > 0 {
		return fmt.Sprintf("%s%d: %s", at, p.Line, p.Text)
	}
	if name, ok := strings.CutSuffix(at, ":"); ok {
		return name + ": " + p.Text
	}
	return p.Text
}

// Document is one of a text.
type Document struct {
	Line int // at which it begins
	Root *yaml.Node
}

// Documents returns the documents in text, each a mapping. An empty text has none; a document
// that is empty or no mapping is a problem, and so is text that is not UTF-8 or not YAML.
// wanted says by an example what fields look like: "group: billing".
func Documents(text []byte, wanted string, problems *Problems) (found []Document) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if i := notUTF8(text); i >= 0 {
		problems.Add(1+bytes.Count(text[:i], []byte("\n")), "this is not UTF-8: save the file in that encoding")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return found
		case err != nil:
			problems.syntax(err, text)
			return found
		}
		root := doc.Content[0]
		switch {
		case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		case root.Kind != yaml.MappingNode:
			problems.Add(root.Line, "fields are wanted here (%s), and this is %s", wanted, Describe(root))
		default:
			found = append(found, Document{doc.Line, root})
		}
	}
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax puts an error of the YAML reader into our form.
func (p *Problems) syntax(err error, text []byte) {
	said := err.Error()
	match := yamlError.FindStringSubmatch(said)
	line := 0
	if match != nil {
		said = said[len(match[0]):]
		line, _ = strconv.Atoi(match[1])
	}
	for i, l := range bytes.Split(text, []byte("\n")) {
		if indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]; len(indent) < len(l) && bytes.ContainsRune(indent, '\t') {
			p.Add(i+1, "this line is indented with a tab: YAML wants spaces (%s)", said)
			return
		}
	}
	p.Add(line, "not YAML: %s", said)
}

// notUTF8 returns where text stops to be UTF-8; -1 if it does not.
func notUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

// Describe says what a node is, where something else is wanted.
func Describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return Describe(n.Alias)
	}
	if n.ShortTag() == "!!null" {
		return "empty"
	}
	return strconv.Quote(n.Value)
}
