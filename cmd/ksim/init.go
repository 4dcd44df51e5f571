package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/reports"
)

//go:embed init_templates
var initTemplates embed.FS

var initPages = template.Must(template.New("").Funcs(template.FuncMap{"list": flowList}).ParseFS(initTemplates, "init_templates/*"))

// initFile is one file that ksim init writes.
type initFile struct{ path, template string }

// pipelines are the CI systems that ksim init knows.
var pipelines = map[string]initFile{
	"github": {".github/workflows/ksim.yaml", "github.yaml"},
	"gitlab": {"ksim.gitlab-ci.yaml", "gitlab.yaml"},
}

func initVerb() *cobra.Command {
	var ci, name string
	var force bool
	cmd := &cobra.Command{
		Use:   "init [flags] [-- command…]",
		Short: "Write ksim.yaml and a CI workflow for the consumer in this directory",
		Long: "Write ksim.yaml and a CI workflow for the consumer in this directory. What it is written in is found out by its files\n" +
			"(go.mod, package.json, pyproject.toml, pom.xml, Cargo.toml…), and so is the command that starts it, unless one is given.\n" +
			"Files that exist are left alone, and the exit status is then 3; --force writes over them.",
		Example: "  ksim init\n  ksim init -- python3 -m billing.worker\n  ksim init --ci gitlab --language go",
		RunE: func(cmd *cobra.Command, command []string) error {
			if err := checkCommand(cmd, command); err != nil {
				return err
			}
			p, err := findProject(".", name)
			if err != nil {
				return err
			}
			if len(command) > 0 {
				p.Command = command
			}
			files := []initFile{{defaultConfig, "ksim.yaml"}}
			switch pipeline, known := pipelines[ci]; {
			case known:
				files = append(files, pipeline)
			case ci != "none":
				return fmt.Errorf("there is no CI system %q for which there is a workflow; choose github, gitlab or none", ci)
			}
			if err := writeInit(files, p, force); err != nil {
				return err
			}
			return p.tell(cmd, files)
		},
	}
	cmd.Flags().StringVar(&ci, "ci", "github", "whose workflow to write: github, gitlab or none")
	cmd.Flags().StringVar(&name, "language", "", "what the consumer is written in, instead of finding it out: "+strings.Join(languageNames(), ", "))
	cmd.Flags().BoolVar(&force, "force", false, "write over files that exist")
	return cmd
}

// writeInit writes all files or, if one of them exists, none.
func writeInit(files []initFile, p project, force bool) error {
	var exist []string
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil && !force {
			exist = append(exist, f.path)
		}
	}
	if len(exist) > 0 {
		return fmt.Errorf("%s exists already, so nothing was written; --force writes over it", strings.Join(exist, " and "))
	}
	for _, f := range files {
		var text strings.Builder
		if err := initPages.ExecuteTemplate(&text, f.template, p); err != nil {
			return err
		}
		err := errors.Join(os.MkdirAll(filepath.Dir(f.path), 0o755), os.WriteFile(f.path, []byte(text.String()), 0o644))
		if err != nil {
			return err
		}
	}
	return nil
}

// tell says what was written, and what is left to do.
func (p project) tell(cmd *cobra.Command, files []initFile) error {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "wrote   %s\n", f.path)
	}
	how := "as its files say"
	if p.Guessed {
		how = "a guess: put yours into " + defaultConfig
	}
	fmt.Fprintf(&b, "%-7s is started by %s (%s)\n", p.Language, reports.Shell(p.Command), how)
	fmt.Fprintf(&b, "\nNext: let it read KSIM_BOOTSTRAP_SERVERS, KSIM_TOPIC and KSIM_GROUP_ID, and POST each record that it has processed to KSIM_SINK_URL\n"+
		"(names of its own: env in %s). Then\n\n", defaultConfig)
	for _, line := range slices.Concat(p.Build, []string{"ksim run --scenario steady", "ksim run"}) {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}

// flowList writes words as a YAML list on one line.
func flowList(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = "'" + strings.ReplaceAll(w, "'", "''") + "'"
	}
	return "[" + strings.Join(out, ", ") + "]"
}
