package consumer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"
)

// read sets the field of c to a value of a document.
func (f *field) read(c *Config, n *yaml.Node) error {
	if f.kind() == kindList {
		return f.readList(c, n)
	}
	text, quoted, err := scalar(n)
	if err != nil {
		return err
	}
	v := f.in(c)
	switch f.kind() {
	case kindText:
		v.SetString(text)
	case kindBool:
		if quoted || text != "true" && text != "false" {
			return fmt.Errorf("%s is wanted, and this is %s", "true or false", show(text, quoted))
		}
		v.SetBool(text == "true")
	case kindInt:
		n, err := strconv.Atoi(text)
		if quoted || err != nil || !whole.MatchString(text) {
			return fmt.Errorf("a whole number is wanted, and this is %s", show(text, quoted))
		}
		v.SetInt(int64(n))
	case kindFloat:
		x, err := strconv.ParseFloat(text, 64)
		if quoted || err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("a number is wanted, and this is %s", show(text, quoted))
		}
		v.SetFloat(x)
	case kindDuration:
		return readDuration(v, text)
	case kindBytes:
		return readBytes(v, text)
	}
	return nil
}

// whole is a number that nobody reads as octal.
var whole = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (f *field) readList(c *Config, n *yaml.Node) error {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	list := reflect.MakeSlice(f.in(c).Type(), 0, len(items))
	for _, item := range items {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		text, _, err := scalar(item)
		if err != nil {
			return err
		}
		// Neither a broker nor a topic has a comma in its name, and a variable can
		// hold several only like this.
		for part := range strings.SplitSeq(text, ",") {
			list = reflect.Append(list, reflect.ValueOf(strings.TrimSpace(part)).Convert(list.Type().Elem()))
		}
	}
	f.in(c).Set(list)
	return nil
}

func readDuration(v reflect.Value, text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil:
		v.SetInt(int64(d))
		return nil
	case whole.MatchString(text):
		return fmt.Errorf("%s has no unit: write %[1]ss for seconds, %[1]sms for milliseconds", text)
	}
	return fmt.Errorf("a duration is wanted, like 250ms, 30s or 1m30s, and this is %q", text)
}

// byteCount is a number with a unit or without. humanize would take a comma for
// nothing: 1,5MiB would be 15.
var byteCount = regexp.MustCompile(`^[0-9]+(\.[0-9]+)? ?([kKmMgGtT]i?)?[bB]?$`)

func readBytes(v reflect.Value, text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || !byteCount.MatchString(text) {
		return fmt.Errorf("a number of bytes is wanted, like 65536, 512KiB or 16MiB, and this is %q", text)
	}
	if n > math.MaxInt32 {
		return fmt.Errorf("%s is more than %d bytes", text, math.MaxInt32)
	}
	v.SetInt(int64(n))
	return nil
}

// scalar returns the text of a single value, its variables replaced, and whether
// it was quoted as it stands.
func scalar(n *yaml.Node) (text string, quoted bool, err error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", false, fmt.Errorf("a single value is wanted, and this is %s", describe(n))
	case n.ShortTag() == "!!null":
		return "", false, errors.New("it has no value: leave it out for the default")
	case n.Style&yaml.TaggedStyle != 0:
		return "", false, fmt.Errorf("a plain value is wanted, without the tag %s", n.Tag)
	}
	text, err = expand(n.Value)
	quoted = n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && text == n.Value
	return text, quoted, err
}

var variable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// expand replaces ${NAME} and ${NAME:-text} by environment variables, and $${ by ${.
func expand(text string) (string, error) {
	var b strings.Builder
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			break
		}
		b.WriteString(text[:i])
		text = text[i:]
		switch {
		case strings.HasPrefix(text, "$${"):
			b.WriteString("${")
			text = text[3:]
		case strings.HasPrefix(text, "${"):
			m := variable.FindStringSubmatch(text)
			if m == nil {
				return "", fmt.Errorf("%q: a variable is written ${NAME} or ${NAME:-default}, and a ${ that is none $${", text)
			}
			value, set := os.LookupEnv(m[1])
			switch {
			case m[2] != "" && value == "":
				value = m[3]
			case !set:
				return "", fmt.Errorf("the environment variable %s is not set: set it, or write ${%[1]s:-default}", m[1])
			}
			b.WriteString(value)
			text = text[len(m[0]):]
		default:
			b.WriteByte('$')
			text = text[1:]
		}
	}
	b.WriteString(text)
	return b.String(), nil
}

// show is a value as a message quotes it.
func show(text string, quoted bool) string {
	if quoted {
		return fmt.Sprintf("the text %q: write it without quotes", text)
	}
	return strconv.Quote(text)
}

// describe says what a node is, where something else is wanted.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return describe(n.Alias)
	}
	if n.ShortTag() == "!!null" {
		return "empty"
	}
	return strconv.Quote(n.Value)
}
