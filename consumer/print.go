package consumer

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// YAML returns the configuration as a file that [LoadConfig] reads back as the same
// one: every field in a fixed order, with what it means. There are no secrets in
// it, and what was set in code (hooks, for example) is only named at its end. The error
// tells of text that is not UTF-8.
func (c Config) YAML() ([]byte, error) { return c.yaml(true) }

// String returns the configuration as YAML without comments.
func (c Config) String() string {
	text, err := c.yaml(false)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// LogValue makes a group of the configuration, without secrets, by the names of the file.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for i := range fields {
		if f := &fields[i]; !f.absent(&c) {
			attrs = append(attrs, slog.Any(key(f.name), f.in(&c).Interface()))
		}
	}
	if set := c.setInCode(); set != nil {
		attrs = append(attrs, slog.Any("set-in-code", set))
	}
	return slog.GroupValue(attrs...)
}

func (c Config) yaml(comments bool) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sections := map[string]*yaml.Node{"": root}
	for i := range fields {
		f := &fields[i]
		if f.absent(&c) {
			continue
		}
		section, name, nested := strings.Cut(key(f.name), ".")
		if !nested {
			section, name = "", section
		}
		to := sections[section]
		if to == nil {
			to = &yaml.Node{Kind: yaml.MappingNode}
			sections[section] = to
			root.Content = append(root.Content, textNode(section), to)
		}
		value, err := f.node(&c)
		if err != nil {
			return nil, fmt.Errorf("consumer: %s: %w", f.name, err)
		}
		k := textNode(name)
		if comments {
			k.HeadComment = f.comment()
		}
		to.Content = append(to.Content, k, value)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	if set := c.setInCode(); set != nil {
		fmt.Fprintf(&b, "# Set in code: %s\n", strings.Join(set, ", "))
	}
	return b.Bytes(), nil
}

// absent tells whether a field says nothing: it is empty, and so is its default.
func (f *field) absent(c *Config) bool {
	defaults := DefaultConfig()
	switch v := f.in(c); f.kind() {
	case kindText, kindList:
		return v.Len() == 0 && f.in(&defaults).Len() == 0
	case kindBool:
		return f.name == "TLS.Enabled" && c.TLS == TLS{}
	}
	return false
}

// node is the value of the field.
func (f *field) node(c *Config) (*yaml.Node, error) {
	v := f.in(c)
	switch f.kind() {
	case kindList:
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			item := v.Index(i).String()
			if !utf8.ValidString(item) {
				return nil, fmt.Errorf("%q is not UTF-8", item)
			}
			list.Content = append(list.Content, textNode(escape(item)))
		}
		return list, nil
	case kindText:
		if !utf8.ValidString(v.String()) {
			return nil, fmt.Errorf("%q is not UTF-8", v.String())
		}
		return textNode(escape(v.String())), nil
	case kindDuration:
		return plainNode(duration(time.Duration(v.Int()))), nil
	case kindBytes:
		return plainNode(byteSize(v.Int())), nil
	case kindBool:
		return plainNode(strconv.FormatBool(v.Bool())), nil
	case kindFloat:
		return plainNode(strconv.FormatFloat(v.Float(), 'g', -1, 64)), nil
	}
	return plainNode(strconv.FormatInt(v.Int(), 10)), nil
}

// plainNode is a value without quotes, whatever it looks like.
func plainNode(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: value}
}

// textNode is a string; quoted, with escapes, where it holds anything unusual.
func textNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// escape writes ${ so that it stands for itself.
func escape(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// duration is d without zeros at its end: 1m and not 1m0s.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// byteSize is n with the largest unit that leaves it whole.
func byteSize(n int64) string {
	units := []string{"", "KiB", "MiB", "GiB"}
	i := 0
	for ; n != 0 && n%1024 == 0 && i < len(units)-1; i++ {
		n /= 1024
	}
	return strconv.FormatInt(n, 10) + units[i]
}

func (f *field) comment() string {
	var allowed []string
	for _, v := range f.values {
		if v != "" {
			allowed = append(allowed, v)
		}
	}
	if allowed == nil {
		return f.doc
	}
	return f.doc + ": " + strings.Join(allowed, ", ")
}

// setInCode names the fields that are set and do not stand in a file.
func (c Config) setInCode() []string {
	var set []string
	for name := range codeOnly {
		if f := (&field{name: name}).in(&c); !f.IsZero() {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	return set
}
