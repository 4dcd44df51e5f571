package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/ksim-dev/ksim/internal/strictyaml"
)

// configPage lists the fields of ksim.yaml.
func configPage() string {
	var b strings.Builder
	b.WriteString("# ksim.yaml\n\nWhat a consumer promises, and how ksim starts it. `ksim init` writes one; `ksim run` and `ksim load` read `ksim.yaml` in the working\n" +
		"directory, or the file that `--config` names. Flags override it. All that is wrong with it is told at once, with lines. `${NAME}` stands for an\n" +
		"environment variable. Secrets never stand in it. Editors complete it by [ksim.schema.json](ksim.schema.json).\n\n| field | | |\n|---|---|---|\n")
	configRows(&b, "", reflect.TypeFor[configFile]())
	return b.String()
}

func configRows(b *strings.Builder, prefix string, t reflect.Type) {
	for _, f := range strictyaml.Fields(t) {
		what := strictyaml.Kind(f.Type)
		if f.Values != nil {
			what = strings.Join(f.Values, ", ")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", prefix+f.Name, what, f.Doc)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			configRows(b, prefix+f.Name+".", strictyaml.Settable(inner))
		}
	}
}

// configSchema is the JSON Schema of ksim.yaml, for editors.
func configSchema() ([]byte, error) {
	return strictyaml.SchemaOf(configFile{}).Text("ksim.yaml")
}
