package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/ksim-dev/ksim"

// pkg is what `go list -json` tells of a package. Imports are those of its own
// files, TestImports and XTestImports those of its tests in the package and in its
// external test package, Deps all that it needs, directly or not.
type pkg struct {
	ImportPath, Dir                              string
	Standard                                     bool
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports, Deps     []string
	IgnoredGoFiles                               []string
}

// within tells whether the package is path (below the module) or lies below it.
func (p pkg) within(path string) bool { return within(p.ImportPath, path) }

func within(importPath, path string) bool {
	full := module + "/" + path
	return importPath == full || strings.HasPrefix(importPath, full+"/")
}

// ours tells whether the package belongs to this module.
func (p pkg) ours() bool {
	return p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/")
}

// files returns the Go files of the package, tests and files for other systems included.
func (p pkg) files() []string {
	var out []string
	for _, names := range [][]string{p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles, p.IgnoredGoFiles} {
		for _, name := range names {
			out = append(out, filepath.Join(p.Dir, name))
		}
	}
	return out
}

// load lists the module's packages and all that they need.
func load() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json", module+"/...")
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go list: %w: %s", err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return pkgs, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}
