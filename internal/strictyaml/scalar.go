package strictyaml

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

	"go.yaml.in/yaml/v3"
)

// Scalar returns the text of a single value, its variables replaced (${NAME},
// ${NAME:-text}, $${ for itself), and whether it was quoted as it stands.
func Scalar(n *yaml.Node) (text string, quoted bool, err error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", false, fmt.Errorf("a single value is wanted, and this is %s", Describe(n))
	case n.ShortTag() == "!!null":
		return "", false, errors.New("it has no value: leave it out for the default")
	case n.Style&yaml.TaggedStyle != 0:
		return "", false, fmt.Errorf("a plain value is wanted, without the tag %s", n.Tag)
	}
	text, err = expand(n.Value)
	quoted = n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && text == n.Value
	return text, quoted, err
}

var durationType = reflect.TypeFor[time.Duration]()

// SetScalar sets v, a string, bool, number or [time.Duration], to a single value.
func SetScalar(v reflect.Value, n *yaml.Node) error {
	text, quoted, err := Scalar(n)
	if err != nil {
		return err
	}
	switch {
	case v.Type() == durationType:
		return setDuration(v, text)
	case v.Kind() == reflect.String:
		v.SetString(text)
		return nil
	case v.Kind() == reflect.Bool:
		if quoted || text != "true" && text != "false" {
			return fmt.Errorf("%s is wanted, and this is %s", "true or false", show(text, quoted))
		}
		v.SetBool(text == "true")
		return nil
	case v.CanInt():
		i, err := strconv.ParseInt(text, 10, 64)
		if quoted || err != nil || !Whole.MatchString(text) {
			return fmt.Errorf("a whole number is wanted, and this is %s", show(text, quoted))
		}
		if v.OverflowInt(i) {
			return fmt.Errorf("%s is too large", text)
		}
		v.SetInt(i)
		return nil
	case v.CanFloat():
		x, err := strconv.ParseFloat(text, 64)
		if quoted || err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("a number is wanted, and this is %s", show(text, quoted))
		}
		v.SetFloat(x)
		return nil
	}
	return fmt.Errorf("strictyaml: nothing is known of values of the type %s", v.Type())
}

// Whole is a number that nobody reads as octal.
var Whole = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func setDuration(v reflect.Value, text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil:
		v.SetInt(int64(d))
		return nil
	case Whole.MatchString(text):
		return fmt.Errorf("%s has no unit: write %[1]ss for seconds, %[1]sms for milliseconds", text)
	}
	return fmt.Errorf("a duration is wanted, like 250ms, 30s or 1m30s, and this is %q", text)
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
