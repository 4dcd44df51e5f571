package consumer

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"

	"github.com/ksim-dev/ksim/internal/strictyaml"
)

// read sets the field of c to a value of a document.
func (f *field) read(c *Config, n *yaml.Node) error {
	switch f.kind() {
	case kindList:
		return f.readList(c, n)
	case kindBytes:
		text, _, err := strictyaml.Scalar(n)
		if err != nil {
			return err
		}
		return readBytes(f.in(c), text)
	default:
		return strictyaml.SetScalar(f.in(c), n)
	}
}

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
		text, _, err := strictyaml.Scalar(item)
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
