package subject

import (
	"fmt"
	"regexp"
	"strings"
	"text/template"

	"github.com/ksim-dev/ksim/internal/edits"
)

// A command that has its own names for things takes them by placeholders, in
// its arguments and in the environment that is given with it. Both spellings
// stand for the text of the environment variable:
//
//	{{.BootstrapServers}}   text/template, with all that it can do
//	{bootstrap_servers}     the variable's name without KSIM_, in lower case
//
// {{.Extra.NAME}} is a variable of Env.Extra. A field that does not exist is
// an error. Braces around another word are left alone (awk '{print}' stays what
// it is), unless the word is so near to a placeholder that it must be a slip of
// the pen; ${topic} is the shell's and is left alone too.

// simple finds {name}, and the dollar before it if there is one.
var simple = regexp.MustCompile(`\$?\{[a-z][a-z0-9_]*\}`)

// maxSlip is the edit distance up to which an unknown {name} is taken for a
// misspelt placeholder.
const maxSlip = 2

// expander replaces placeholders by the values of one Env.
type expander struct {
	values map[string]any    // by field, what templates see
	fields map[string]string // field of a simple name
}

func newExpander(env Env) *expander {
	x := &expander{values: map[string]any{"Extra": env.Extra}, fields: map[string]string{}}
	for _, v := range Variables() {
		x.values[v.Field], x.fields[v.Placeholder] = v.value(&env).String(), v.Field
	}
	return x
}

// expand replaces the placeholders of one argument or value. Simple names
// become template actions, so that everything is replaced in one go and no
// value is ever read as a placeholder.
func (x *expander) expand(s string) (string, error) {
	source, err := x.actions(s)
	if err != nil || !strings.Contains(source, "{{") {
		return source, err
	}
	t, err := template.New("placeholder").Option("missingkey=error").Parse(source)
	if err != nil {
		return "", fmt.Errorf("%q: %w; %s", s, err, validPlaceholders())
	}
	var out strings.Builder
	if err := t.Execute(&out, x.values); err != nil {
		return "", fmt.Errorf("%q: %w; %s", s, err, validPlaceholders())
	}
	return out.String(), nil
}

// actions writes {name} as {{.Name}}.
func (x *expander) actions(s string) (string, error) {
	var err error
	out := simple.ReplaceAllStringFunc(s, func(found string) string {
		if strings.HasPrefix(found, "$") {
			return found
		}
		name := strings.Trim(found, "{}")
		if field, ok := x.fields[name]; ok {
			return "{{." + field + "}}"
		}
		for known := range x.fields {
			if len(name) > maxSlip+1 && edits.Distance(name, known) <= maxSlip {
				err = fmt.Errorf("%s in %q: did you mean {%s}? %s", found, s, known, validPlaceholders())
			}
		}
		return found
	})
	return out, err
}

func validPlaceholders() string {
	var names []string
	for _, v := range Variables() {
		names = append(names, "{{."+v.Field+"}} or {"+v.Placeholder+"}")
	}
	return "the placeholders are " + strings.Join(names, ", ") + ", and {{.Extra.NAME}}"
}
