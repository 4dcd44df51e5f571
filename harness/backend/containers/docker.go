package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// ErrNoDocker is in the chain of every error that is there because Docker does
// not answer. Its text says how to go on.
var ErrNoDocker = errors.New("docker does not answer, and Kafka in containers needs it; start it (`make docker` installs and starts it on Debian), or go on with --kafka embedded")

// ErrNoImage is in the chain of every error that is there because no image
// with Kafka can be had. Its text says how to go on.
var ErrNoImage = errors.New("there is no Kafka image here and none can be pulled; build one with `make kafka-image`, name another with --kafka-image, or go on with --kafka embedded")

const (
	// KafkaVersion is the release that ksim is tested with, and that
	// deploy/kafka-image builds.
	KafkaVersion = "4.4.0"
	// LocalImage is what `make kafka-image` builds. It is preferred: it is made for quick starts.
	LocalImage = "ksim/kafka:" + KafkaVersion
	// OfficialImage is Apache's own, taken where there is no local one.
	OfficialImage = "apache/kafka:" + KafkaVersion
)

const (
	probeTimeout = 5 * time.Second
	pullTimeout  = 5 * time.Minute
)

// settle sets what testcontainers reads once, at its first use: where published
// ports are (inside a container it would take the gateway), and that its own
// reaper, an image from a registry, is not wanted: ours is a process (reaper.go).
// Variables that the user has set stay.
var settle = sync.OnceValue(func() error {
	var errs []error
	for name, value := range map[string]string{"TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1", "TESTCONTAINERS_RYUK_DISABLED": "true"} {
		if _, set := os.LookupEnv(name); !set {
			errs = append(errs, os.Setenv(name, value))
		}
	}
	tclog.SetDefault(tclog.NewNoopLogger()) // stderr is for ksim's own progress
	return errors.Join(errs...)
})

// connect opens a Docker client, by the same rules as testcontainers finds Docker.
func connect(ctx context.Context) (*client.Client, error) {
	if err := settle(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := checkNamedHost(ctx); err != nil {
		return nil, err
	}
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDocker, err)
	}
	if _, err := cli.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDocker, errors.Join(err, cli.Close()))
	}
	return cli.Client, nil
}

// checkNamedHost fails if the user names a daemon that does not answer:
// testcontainers would silently look for another one.
func checkNamedHost(ctx context.Context) error {
	host := os.Getenv(client.EnvOverrideHost)
	if host == "" {
		return nil
	}
	cli, err := client.New(client.FromEnv)
	if err == nil {
		_, err = cli.Ping(ctx, client.PingOptions{})
		err = errors.Join(err, cli.Close())
	}
	if err != nil {
		return fmt.Errorf("%w: %s=%s: %w", ErrNoDocker, client.EnvOverrideHost, host, err)
	}
	return nil
}

// Available is a quick probe (bounded by 5 s): nil if Docker answers, else an
// error with ErrNoDocker. It does not look for an image, see Prepare.
func Available(ctx context.Context) error {
	cli, err := connect(ctx)
	if err != nil {
		return err
	}
	return cli.Close()
}

// Prepare makes sure that there is an image to start, and returns its name:
// the named one, or, for "", LocalImage if it is there and OfficialImage
// otherwise. An image that is not there is pulled, once; if that fails the
// error has ErrNoImage in its chain. Start does the same; Prepare is for those
// who want to know beforehand.
func Prepare(ctx context.Context, image string) (string, error) {
	cli, err := connect(ctx)
	if err != nil {
		return "", err
	}
	image, err = prepare(ctx, cli, image)
	return image, errors.Join(err, cli.Close())
}

func prepare(ctx context.Context, cli *client.Client, image string) (string, error) {
	candidates := []string{image}
	if image == "" {
		candidates = []string{LocalImage, OfficialImage}
	}
	for _, c := range candidates {
		if _, err := cli.ImageInspect(ctx, c); err == nil {
			return c, nil
		}
	}
	// Not testcontainers' own pull: it tries for a quarter of an hour where no registry is reachable.
	last := candidates[len(candidates)-1]
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	pull, err := cli.ImagePull(ctx, last, client.ImagePullOptions{})
	if err != nil {
		return "", fmt.Errorf("%w: pull %s: %w", ErrNoImage, last, err)
	}
	if err := errors.Join(pull.Wait(ctx), pull.Close()); err != nil {
		return "", fmt.Errorf("%w: pull %s: %w", ErrNoImage, last, err)
	}
	return last, nil
}

// RequireVariable makes Require fail instead of skipping when it is 1.
const RequireVariable = "KSIM_REQUIRE_CONTAINERS"

// TB is the part of testing.TB that Require uses; the package itself does not import testing.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// prepared remembers what Prepare said: a suite asks in each of its tests.
var prepared = sync.OnceValues(func() (string, error) { return Prepare(context.Background(), "") })

// Require is the first statement of a test that needs real Kafka. Where Docker
// or an image is missing it skips, saying "needs containers" and why; with
// KSIM_REQUIRE_CONTAINERS=1 it fails.
func Require(t TB) {
	t.Helper()
	_, err := prepared()
	switch {
	case err == nil:
	case os.Getenv(RequireVariable) == "1":
		t.Fatalf("needs containers, and %s=1 forbids to skip: %v", RequireVariable, err)
	default:
		t.Skipf("needs containers: %v", err)
	}
}
