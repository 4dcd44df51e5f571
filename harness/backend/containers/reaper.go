package containers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/ksim-dev/ksim/harness/reexec"
)

// reaperMode is the name of the child mode that removes what a dead ksim left.
const reaperMode = "container-reaper"

const (
	reaperStart = 15 * time.Second // until the child has reached Docker
	sweepBound  = 90 * time.Second // for all sweeps after the parent is gone
	sweepPause  = 300 * time.Millisecond
	// sweepQuiet is how many sweeps in a row must find nothing: a request that
	// the parent sent just before it died may still be making a container.
	sweepQuiet = 4
)

// ReaperMode must be given to reexec.Main by every binary that calls Start.
func ReaperMode() reexec.Mode { return reexec.Mode{Name: reaperMode, Run: reap} }

// reaper is the parent's side. The child reads from a pipe whose other end only
// this process holds (Go's pipes are closed on exec), so the end of this
// process, however it comes, is the end of the file for the child.
type reaper struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func startReaper(cluster string) (*reaper, error) {
	cmd, err := reexec.Command(reaperMode)
	if err != nil {
		return nil, fmt.Errorf("container reaper: %w", err)
	}
	// A session of its own: Ctrl-C in the terminal and a signal to our group do not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = string(filepath.Separator)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("container reaper: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("container reaper: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("container reaper: %w", err)
	}
	r := &reaper{cmd: cmd, pipe: pipe}
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			line = "it ended without a word"
		}
		answer <- strings.TrimSpace(line)
	}()
	if _, err := fmt.Fprintln(pipe, cluster); err != nil {
		return nil, errors.Join(fmt.Errorf("container reaper: %w", err), r.kill())
	}
	select {
	case line := <-answer:
		if line != "ready" {
			return nil, errors.Join(fmt.Errorf("container reaper: %s", line), r.kill())
		}
	case <-time.After(reaperStart):
		return nil, errors.Join(fmt.Errorf("container reaper: not ready after %s", reaperStart), r.kill())
	}
	return r, nil
}

func (r *reaper) kill() error {
	err := r.cmd.Process.Kill()
	_ = r.cmd.Wait() // killed is its regular end here
	return err
}

// dismiss ends the reaper. With clean it has nothing to do; otherwise it sweeps
// first, as if we had died.
func (r *reaper) dismiss(clean bool) error {
	var errs []error
	if clean {
		_, err := fmt.Fprintln(r.pipe, "done")
		errs = append(errs, err)
	}
	errs = append(errs, r.pipe.Close())
	if err := r.cmd.Wait(); err != nil {
		errs = append(errs, fmt.Errorf("container reaper: %w", err))
	}
	return errors.Join(errs...)
}

// reap is the child. It gets the label value of the cluster on its first line,
// then either "done" or the end of the file.
func reap(context.Context) int {
	// It must outlive whatever ends its parent; the bound below ends it.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	in := bufio.NewScanner(os.Stdin)
	if !in.Scan() {
		return 0 // the parent died before it said anything, so there is nothing yet
	}
	cluster := in.Text()
	cli, err := connect(context.Background())
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	defer func() { _ = cli.Close() }() // the process ends
	fmt.Println("ready")
	if in.Scan() && in.Text() == "done" {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), sweepBound)
	defer cancel()
	if err := sweepUntilQuiet(ctx, cli, cluster); err != nil {
		return 1
	}
	return 0
}

// sweepUntilQuiet sweeps until several sweeps in a row found nothing.
func sweepUntilQuiet(ctx context.Context, cli *client.Client, cluster string) error {
	tick := time.NewTicker(sweepPause)
	defer tick.Stop()
	for quiet := 0; quiet < sweepQuiet; {
		found, err := sweep(ctx, cli, cluster)
		if err == nil && found == 0 {
			quiet++
		} else {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// sweep removes the containers and networks of one cluster and returns how many
// it found. It goes by ksim's own label and touches nothing else.
func sweep(ctx context.Context, cli *client.Client, cluster string) (found int, err error) {
	filters := make(client.Filters).Add("label", labelCluster+"="+cluster)
	var errs []error
	list, err := cli.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	errs = append(errs, err)
	for _, c := range list.Items {
		found++
		_, err := cli.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		errs = append(errs, unlessGone(err))
	}
	networks, err := cli.NetworkList(ctx, client.NetworkListOptions{Filters: filters})
	errs = append(errs, err)
	for _, n := range networks.Items {
		found++
		_, err := cli.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		errs = append(errs, unlessGone(err))
	}
	return found, errors.Join(errs...)
}

// unlessGone forgives that something is gone already, or going.
func unlessGone(err error) error {
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil
	}
	return err
}
