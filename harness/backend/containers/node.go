package containers

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/kafka"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
)

//go:embed adapter
var adapter embed.FS

// publicPort is the module's port for clients outside, in the container.
const publicPort = "9093/tcp"

// node is one broker and its container.
type node struct {
	id        int32  // broker id, from 1
	addr      string // 127.0.0.1:port, the same for its whole life
	container *kafka.KafkaContainer
	keeper    testcontainers.Container // has the same disk; nil where that is not limited
}

// portAttempts bounds how often another port is tried when somebody takes ours
// between the choice and the start.
const portAttempts = 5

// run makes the container of a node and starts it.
func (c *Cluster) run(ctx context.Context, n *node) error {
	for attempt := 1; ; attempt++ {
		port, err := c.choosePort()
		if err != nil {
			return err
		}
		n.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		opts, err := c.options(n, port)
		if err != nil {
			return err
		}
		n.container, err = kafka.Run(ctx, c.cfg.Image, opts...)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("broker %d: %w%s", n.id, err, c.logTail(n))
		if !portTaken(err) || attempt == portAttempts {
			return err
		}
		if n.container != nil {
			if err := testcontainers.TerminateContainer(n.container, testcontainers.StopTimeout(0)); err != nil {
				return fmt.Errorf("broker %d: remove the container whose port was taken: %w", n.id, err)
			}
		}
	}
}

// freePort chooses a port of 127.0.0.1 below the range from which systems take
// ports for outgoing connections (from 32768 on Linux), so that it is still free
// after the broker was down for a while.
func freePort() (int, error) {
	const low, high = 15000, 30000
	var last error
	for range 200 {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port on 127.0.0.1 between %d and %d: %w", low, high, last)
}

func portTaken(err error) bool {
	return strings.Contains(err.Error(), "port is already allocated") || strings.Contains(err.Error(), "address already in use")
}

func (c *Cluster) options(n *node, port int) ([]testcontainers.ContainerCustomizer, error) {
	public, err := network.ParsePort(publicPort)
	if err != nil {
		return nil, err
	}
	opts := []testcontainers.ContainerCustomizer{
		testcontainers.WithLogger(tclog.NewNoopLogger()),
		testcontainers.WithName(c.nodeName(n)),
		testcontainers.WithLabels(c.labels()),
		testcontainers.WithEnv(c.env(n)),
		kafka.WithClusterID(c.uuid),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.PortBindings = network.PortMap{public: {{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), HostPort: strconv.Itoa(port)}}}
			c.disk(h)
		}),
	}
	for _, name := range []string{"bash-config", "configure", "launch"} {
		content, err := adapter.ReadFile("adapter/" + name)
		if err != nil {
			return nil, err
		}
		opts = append(opts, testcontainers.WithFiles(testcontainers.ContainerFile{
			Reader: bytes.NewReader(content), ContainerFilePath: "/etc/confluent/docker/" + name, FileMode: 0o755,
		}))
	}
	if c.cfg.Brokers > 1 {
		opts = append(opts, tcnetwork.WithNetworkName([]string{alias(n.id)}, c.network()))
	}
	return opts, nil
}

// shellIn runs a command of the shell in a container and fails if that fails.
func shellIn(ctx context.Context, in testcontainers.Container, script string) error {
	code, out, err := in.Exec(ctx, []string{"sh", "-c", script}, exec.Multiplexed())
	if err != nil {
		return err
	}
	_, _ = in.Inspect(ctx) // closes the connection to Docker, which Exec leaves open
	text, err := io.ReadAll(io.LimitReader(out, 4096))
	if code != 0 {
		return errors.Join(fmt.Errorf("%s: status %d: %s", script, code, text), err)
	}
	return err
}
