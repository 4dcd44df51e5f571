package consumer

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// fieldError says what is wrong with a field of a Config. In a file fields have
// other names, so it is put into words late: in the format, fields stand by their
// names in Go.
type fieldError struct {
	field  string // "Retry.Attempts"
	format string
	args   []any
}

// Error implements error.
func (e *fieldError) Error() string {
	return "consumer: " + e.field + ": " + fmt.Sprintf(e.format, e.args...)
}

var goName = regexp.MustCompile(`\b[A-Z]\w*(\.[A-Z]\w*)*`)

// inFile is the error in the words of a file.
func (e *fieldError) inFile() string {
	format := goName.ReplaceAllStringFunc(e.format, func(name string) string {
		if fieldNamed(name) == nil {
			return name
		}
		return key(name)
	})
	return key(e.field) + ": " + fmt.Sprintf(format, e.args...)
}

// mentions are the fields that it is about, the one at fault first.
func (e *fieldError) mentions() []string {
	return append([]string{e.field}, goName.FindAllString(e.format, -1)...)
}

// validation gathers what is wrong with a Config.
type validation []*fieldError

func (v validation) join() error {
	errs := make([]error, len(v))
	for i, e := range v {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// need notes an error unless ok. The format begins with the name of the field and
// a colon, and calls other fields by their names in Go too.
func (v *validation) need(ok bool, format string, args ...any) {
	if !ok {
		field, rest, _ := strings.Cut(format, ": ")
		*v = append(*v, &fieldError{field, rest, args})
	}
}

// fields holds every field to its own bounds, which the table gives.
func (v *validation) fields(c *Config) {
	for i := range fields {
		f := &fields[i]
		value := f.in(c)
		switch f.kind() {
		case kindDuration:
			d := time.Duration(value.Int())
			switch least := time.Duration(f.least * float64(time.Second)); {
			case f.above:
				v.need(d > 0, f.name+": %v is not more than 0", d)
			case least > 0:
				v.need(d >= least, f.name+": %v is less than %v", d, least)
			default:
				v.need(d >= 0, f.name+": %v is negative", d)
			}
		case kindInt, kindBytes:
			n := int(value.Int())
			v.need(n >= int(f.least), f.name+": %d is less than %d", n, int(f.least))
			v.need(f.most == 0 || n <= int(f.most), f.name+": %d is more than %d", n, int(f.most))
		case kindFloat:
			x := value.Float()
			v.need(x >= f.least && (f.most == 0 || x <= f.most) && !math.IsInf(x, 0), f.name+": %v is not %s", x, f.bounds())
		case kindText:
			if f.values != nil {
				v.oneOf(f.name, value.String(), f.values)
			}
		case kindList:
			for i := range value.Len() {
				if f.values != nil {
					v.oneOf(f.name, value.Index(i).String(), f.values)
				}
			}
		}
	}
}

func (v *validation) oneOf(field, got string, allowed []string) {
	var names []string
	for _, a := range allowed {
		if got == a {
			return
		}
		if a != "" {
			names = append(names, a)
		}
	}
	v.need(false, field+": %q is none of %s", got, strings.Join(names, ", "))
}

// legalTopic is what Kafka takes for the name of a topic.
var legalTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (v *validation) names(c *Config) {
	v.need(len(c.Brokers) > 0, "Brokers: give host:port of at least one broker")
	for _, b := range c.Brokers {
		v.need(broker.MatchString(b), "Brokers: %q is not host:port", b)
	}
	v.need(len(c.Topics) > 0, "Topics: give at least one topic")
	for _, t := range c.Topics {
		v.need(legalTopic.MatchString(t) && t != "." && t != "..", "Topics: %q cannot be a topic: its name has 1 to 249 letters, digits, dots, underscores and hyphens", t)
	}
	v.need(c.Group != "", "Group: give the name of the consumer group")
	if c.Poison.policy() != PoisonDeadLetter {
		v.need(c.Poison.Topic == "", "Poison.Topic: %q is set, but the policy is %s", c.Poison.Topic, c.Poison.policy())
		v.need(len(c.Poison.Headers) == 0, "Poison.Headers: %v is set, but the policy is %s", c.Poison.Headers, c.Poison.policy())
		return
	}
	for i, style := range c.Poison.Headers {
		v.need(!slices.Contains(c.Poison.Headers[:i], style), "Poison.Headers: %q is there twice", style)
	}
	for _, t := range c.Topics {
		letters := c.deadLetterTopic(t)
		v.need(letters != t, "Poison.Topic: %s would be its own dead-letter topic", t)
		v.need(!legalTopic.MatchString(t) || legalTopic.MatchString(letters),
			"Poison.Topic: %q, for the dead letters of %s, cannot be a topic: its name has 1 to 249 letters, digits, dots, underscores and hyphens", letters, t)
	}
}

// broker is a host and maybe a port, without a scheme, a path or a second one.
var broker = regexp.MustCompile(`^(\[[0-9a-fA-F:.%a-z]+\]|[^\s:/,\[\]@]+)(:[0-9]{1,5})?$`)
