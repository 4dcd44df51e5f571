package consumer

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ksim-dev/ksim/internal/strictyaml"
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
	if err := d.problems.Err(at); err != nil {
		return Config{}, err
	}
	return d.cfg, nil
}

// document is a file being read.
type document struct {
	cfg      Config
	lines    map[string]int  // where each key stands
	bad      map[string]bool // fields that could not be read, by their names in Go
	problems strictyaml.Problems
}

const emptyFile = "there is nothing in it: give at least brokers, topics and group"

// root returns the mapping that the text consists of, or nil after saying what else it is.
func (d *document) root(text []byte) *yaml.Node {
	found := strictyaml.Documents(text, "group: billing", &d.problems)
	switch {
	case len(d.problems) > 0:
		return nil
	case len(found) == 0:
		d.problems.Add(0, emptyFile)
		return nil
	case len(found) > 1:
		d.problems.Add(found[1].Line, "a second document begins here: a file holds one")
		return nil
	}
	return found[0].Root
}

// section reads the mapping of a section; prefix is its name and a dot, or empty.
func (d *document) section(prefix string, m *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, value := m.Content[i], m.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.problems.Add(k.Line, "the name of a field is wanted here, and this is %s", strictyaml.Describe(k))
			continue
		}
		name, line := prefix+k.Value, k.Line
		if strings.Contains(k.Value, ".") {
			d.problems.Add(line, "%s: %s", name, unknown(prefix, k.Value))
			continue
		}
		if first, twice := d.lines[name]; twice {
			d.problems.Add(line, "%s: it stands here again, first on line %d", name, first)
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
				d.problems.Add(line, "%s: %v", name, err)
			}
		case prefix != "" || len(keysIn(name+".")) == 0:
			d.problems.Add(line, "%s: %s", name, unknown(prefix, k.Value))
		case value.Kind != yaml.MappingNode:
			d.problems.Add(line, "%s: fields are wanted here (%s), and this is %s", name, strings.Join(keysIn(name+"."), ", "), strictyaml.Describe(value))
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
		d.problems.Add(line, "%s", e.inFile())
	}
}
