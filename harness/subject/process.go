package subject

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Process is a consumer in any language: a command.
//
// Command and the values of Env may hold placeholders for what is in [Env]:
// {{.BootstrapServers}} (text/template) or {bootstrap_servers} (the variable's
// name without KSIM_, in lower case); see [Variables]. The process gets the
// environment of the harness without KSIM_* variables, then those of the
// member, then Env.
type Process struct {
	Command []string          // program and arguments
	Env     map[string]string // more variables, or other values
	Dir     string            // working directory, "" for that of the harness
}

// Name implements Subject.
func (p Process) Name() string { return strings.Join(p.Command, " ") }

// Start implements Subject. A subject that starts and ends at once is no error
// here: its Exit tells.
func (p Process) Start(ctx context.Context, env Env, logPath string) (Instance, error) {
	if len(p.Command) == 0 || p.Command[0] == "" {
		return nil, errors.New("subject: no command is given: name it after --, as in: ksim run -- python3 worker.py")
	}
	x := newExpander(env)
	args := make([]string, 0, len(p.Command))
	for _, arg := range p.Command {
		s, err := x.expand(arg)
		if err != nil {
			return nil, fmt.Errorf("subject: in the command: %w", err)
		}
		args = append(args, s)
	}
	environ := append(inherited(), env.Environ()...)
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		s, err := x.expand(p.Env[name])
		if err != nil {
			return nil, fmt.Errorf("subject: in the variable %s: %w", name, err)
		}
		environ = append(environ, name+"="+s)
	}
	path, err := p.find(args[0])
	if err != nil {
		return nil, fmt.Errorf("subject: cannot start %q: %w", args[0], err)
	}
	cmd := &exec.Cmd{Path: path, Args: args, Env: environ, Dir: p.Dir}
	instance, err := launch(ctx, cmd, logPath)
	if err != nil {
		return nil, fmt.Errorf("subject: cannot start %q: %w", args[0], explain(path, err))
	}
	return instance, nil
}

// find resolves the program as a shell in Dir would, with errors that say what
// to do. A path that is relative is relative to Dir.
func (p Process) find(name string) (string, error) {
	if p.Dir != "" {
		if info, err := os.Stat(p.Dir); err != nil {
			return "", fmt.Errorf("its working directory: %w", err)
		} else if !info.IsDir() {
			return "", fmt.Errorf("its working directory %s is not a directory", p.Dir)
		}
	}
	if !strings.Contains(name, "/") {
		path, err := exec.LookPath(name)
		if errors.Is(err, exec.ErrDot) {
			return "", fmt.Errorf("it is in the current directory, which is not searched: write ./%s", name)
		}
		if err != nil {
			return "", errors.New("not found in PATH; check the spelling, install it, or give its path")
		}
		return filepath.Abs(path)
	}
	path := name
	if !filepath.IsAbs(path) {
		var err error
		if path, err = filepath.Abs(filepath.Join(p.Dir, name)); err != nil {
			return "", err
		}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("no such file: %s", path)
	case err != nil:
		return "", err
	case info.IsDir():
		return "", fmt.Errorf("%s is a directory", path)
	case info.Mode().Perm()&0o111 == 0:
		return "", fmt.Errorf("%s is not executable; chmod +x it, or name its interpreter first (python3 %s)", path, name)
	}
	return path, nil
}

// explain adds what the kernel's terse errors mean.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: %s is neither a binary of this machine nor a script with a #! line; name its interpreter first (python3 %s)", err, path, path)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w: the interpreter in the #! line of %s, or its dynamic loader, does not exist", err, path)
	}
	return err
}
