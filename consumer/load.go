package consumer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// LoadConfig reads a configuration from a YAML file:
//
//	# yaml-language-server: $schema=consumer.schema.json
//	brokers: [kafka-1:9092, kafka-2:9092]
//	topics: [invoices]
//	group: billing
//	order: key
//	retry:
//	  attempts: 8
//	  max: 30s
//	sasl:
//	  mechanism: SCRAM-SHA-512
//	  user: billing
//	  password-file: /run/secrets/kafka
//
// The fields are those of [Config], in lower case with hyphens; what the file does
// not name keeps its value of [DefaultConfig]. docs/consumer-config.md describes them
// all, docs/consumer.schema.json is for editors. Durations have a unit (250ms, 1m30s),
// byte counts may have one (16MiB). ${NAME} stands for an environment variable, which
// must be set, ${NAME:-text} for one that need not be, and $${ for itself. Secrets, and
// what is a function or a client's option, cannot stand in a file.
//
// The error lists everything that is wrong, each with file and line: fields that do
// not exist or occur twice, values that cannot be read, and what
// [Config.Validate] finds.
func LoadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("consumer: %w", err)
	}
	return parse(path+":", text)
}

// ParseConfig is [LoadConfig] for a text that the program has already. Errors have
// lines, but no file.
func ParseConfig(text []byte) (Config, error) { return parse("line ", text) }

// parse reads text; where a line number follows in a message, at stands before it.
func parse(at string, text []byte) (Config, error) {
	d := &document{cfg: DefaultConfig(), lines: make(map[string]int), bad: make(map[string]bool)}
	if root := d.root(text); root != nil {
		d.section("", root)
		d.validate()
	}
	if len(d.problems) == 0 {
		return d.cfg, nil
	}
	slices.SortStableFunc(d.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	errs := make([]error, len(d.problems))
	for i, p := range d.problems {
		errs[i] = errors.New(p.message(at))
	}
	return Config{}, errors.Join(errs...)
}

// problem is one thing wrong with a document; of the whole of it if line is 0.
type problem struct {
	line int
	text string
}

func (p problem) message(at string) string {
	if p.line > 0 {
		return fmt.Sprintf("%s%d: %s", at, p.line, p.text)
	}
	if name, ok := strings.CutSuffix(at, ":"); ok {
		return name + ": " + p.text
	}
	return p.text
}

// document is a file being read.
type document struct {
	cfg      Config
	lines    map[string]int  // where each key stands
	bad      map[string]bool // fields that could not be read, by their names in Go
	problems []problem
}

func (d *document) wrong(line int, format string, args ...any) {
	d.problems = append(d.problems, problem{line, fmt.Sprintf(format, args...)})
}

const emptyFile = "there is nothing in it: give at least brokers, topics and group"

// root returns the mapping that the text consists of, or nil after saying what else it is.
func (d *document) root(text []byte) *yaml.Node {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if i := notUTF8(text); i >= 0 {
		d.wrong(1+bytes.Count(text[:i], []byte("\n")), "this is not UTF-8: save the file in that encoding")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.wrong(0, emptyFile)
		return nil
	case err != nil:
		d.syntax(err, text)
		return nil
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		d.wrong(second.Line, "a second document begins here: a file holds one")
	case !errors.Is(err, io.EOF):
		d.syntax(err, text)
	}
	root := doc.Content[0]
	switch {
	case len(d.problems) > 0:
		return nil
	case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		d.wrong(0, emptyFile)
		return nil
	case root.Kind != yaml.MappingNode:
		d.wrong(root.Line, "fields are wanted here (group: billing), and this is %s", describe(root))
		return nil
	}
	return root
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax puts an error of the YAML reader into our form.
func (d *document) syntax(err error, text []byte) {
	said := err.Error()
	match := yamlError.FindStringSubmatch(said)
	line := 0
	if match != nil {
		said = said[len(match[0]):]
		line, _ = strconv.Atoi(match[1])
	}
	for i, l := range bytes.Split(text, []byte("\n")) {
		if indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]; len(indent) < len(l) && bytes.ContainsRune(indent, '\t') {
			d.wrong(i+1, "this line is indented with a tab: YAML wants spaces (%s)", said)
			return
		}
	}
	d.wrong(line, "not YAML: %s", said)
}

// section reads the mapping of a section; prefix is its name and a dot, or empty.
func (d *document) section(prefix string, m *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, value := m.Content[i], m.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.wrong(k.Line, "the name of a field is wanted here, and this is %s", describe(k))
			continue
		}
		name, line := prefix+k.Value, k.Line
		if strings.Contains(k.Value, ".") {
			d.wrong(line, "%s: %s", name, unknown(prefix, k.Value))
			continue
		}
		if first, twice := d.lines[name]; twice {
			d.wrong(line, "%s: it stands here again, first on line %d", name, first)
			continue
		}
		d.lines[name] = line
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		} else {
			line = value.Line
		}
		f := fieldWhere(func(f *field) bool { return key(f.name) == name })
		switch {
		case f != nil:
			if err := f.read(&d.cfg, value); err != nil {
				d.bad[f.name] = true
				d.wrong(line, "%s: %v", name, err)
			}
		case prefix != "" || len(keysIn(name+".")) == 0:
			d.wrong(line, "%s: %s", name, unknown(prefix, k.Value))
		case value.Kind != yaml.MappingNode:
			d.wrong(line, "%s: fields are wanted here (%s), and this is %s", name, strings.Join(keysIn(name+"."), ", "), describe(value))
			d.spoil(name)
		default:
			d.section(name+".", value)
		}
	}
}

// spoil marks all fields of a section as not read.
func (d *document) spoil(section string) {
	for i := range fields {
		if strings.HasPrefix(key(fields[i].name), section+".") {
			d.bad[fields[i].name] = true
		}
	}
}

// validate adds what [Config.Validate] finds, as far as it is not about a field
// that could not be read.
func (d *document) validate() {
	for _, e := range d.cfg.validate() {
		about := e.mentions()
		if slices.ContainsFunc(about, func(name string) bool { return d.bad[name] }) {
			continue
		}
		line := 0
		for _, name := range about {
			section, _, _ := strings.Cut(key(name), ".")
			if line = cmp.Or(d.lines[key(name)], d.lines[section]); line > 0 {
				break
			}
		}
		d.wrong(line, "%s", e.inFile())
	}
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
