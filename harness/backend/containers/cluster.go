// Package containers runs real Apache Kafka in Docker, through
// testcontainers-go's kafka module. It is the only package that imports
// testcontainers.
//
// The module is used unmodified: three small files (adapter/) let its starter
// script run an image with the layout of apache/kafka. Every broker is published
// on a port of 127.0.0.1 that is chosen beforehand and stays the same when the
// broker is stopped, killed and started again. Whatever way this process ends,
// a child process (reaper.go) removes its containers and networks.
package containers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/ksim-dev/ksim/harness/backend"
)

// Labels of everything that ksim makes in Docker.
const (
	labelKsim    = "ksim"         // "1"
	labelRun     = "ksim.run"     // Config.RunID
	labelCluster = "ksim.cluster" // one for each Start: what its reaper may remove
)

// Config is what Start starts. The zero value is one broker of the default image.
type Config struct {
	// Image names the image; see Prepare for "".
	Image string
	// Brokers is 1 (also for 0) or 3; with three, topics have three replicas.
	Brokers int
	// RunID labels containers and networks; "" means one that is made up.
	RunID string
	// Env are further settings of the brokers (KAFKA_…), over those for tests.
	Env map[string]string
	// ConsumerSession and ConsumerHeartbeat are imposed on KIP-848 groups; 0
	// means 3 s and 300 ms.
	ConsumerSession, ConsumerHeartbeat time.Duration
	// DiskBytes limits what a broker may keep, in a file system of its own in memory, which FillDisk
	// fills; at least 64 MiB. 0: no limit, and its disk cannot be filled.
	DiskBytes int64
	// StartTimeout bounds everything until Kafka is ready, but for the pull of
	// an image; 0 means 2 minutes.
	StartTimeout time.Duration
}

func (c Config) withDefaults() (Config, error) {
	switch c.Brokers {
	case 0:
		c.Brokers = 1
	case 1, 3:
	default:
		return c, fmt.Errorf("containers: %d brokers; choose 1 or 3", c.Brokers)
	}
	if c.DiskBytes != 0 && c.DiskBytes < MinDisk {
		return c, fmt.Errorf("containers: a disk of %d bytes for a broker is too small; at least %d", c.DiskBytes, MinDisk)
	}
	if c.ConsumerSession == 0 {
		c.ConsumerSession = 3 * time.Second
	}
	if c.ConsumerHeartbeat == 0 {
		c.ConsumerHeartbeat = 300 * time.Millisecond
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 2 * time.Minute
	}
	return c, nil
}

// Cluster is a running Kafka in containers.
type Cluster struct {
	cfg     Config
	id      string // value of labelCluster, part of names
	uuid    string // Kafka's cluster id
	docker  *client.Client
	reaper  *reaper
	admin   *kgo.Client
	version string

	choosePort func() (int, error)

	mu     sync.Mutex // guards what follows against Close and lifecycle calls at once
	nodes  []*node
	closed bool
}

var (
	_ backend.Kafka     = (*Cluster)(nil)
	_ backend.Restarter = (*Cluster)(nil)
	_ backend.Pauser    = (*Cluster)(nil)
)

// Start starts Kafka and returns when all brokers serve requests and groups can
// be formed. The binary must have called reexec.Main with ReaperMode.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	docker, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	c := newCluster(cfg, docker)
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("kafka in containers: %w", err), c.Close())
	}
	return c, nil
}

func newCluster(cfg Config, docker *client.Client) *Cluster {
	c := &Cluster{cfg: cfg, id: randomID(), uuid: randomUUID(), docker: docker, choosePort: freePort}
	if c.cfg.RunID == "" {
		c.cfg.RunID = c.id
	}
	return c
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.cfg.Image, err = prepare(ctx, c.docker, c.cfg.Image); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.StartTimeout)
	defer cancel()
	if c.reaper, err = startReaper(c.id); err != nil {
		return err
	}
	if c.cfg.Brokers > 1 {
		_, err := c.docker.NetworkCreate(ctx, c.network(), client.NetworkCreateOptions{Driver: "bridge", Labels: c.labels()})
		if err != nil {
			return fmt.Errorf("create network: %w", err)
		}
	}
	for i := range c.cfg.Brokers {
		c.nodes = append(c.nodes, &node{id: int32(i + 1)})
	}
	// At once: no controller is elected before a majority is there.
	group, groupCtx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		group.Go(func() error {
			if err := c.run(groupCtx, n); err != nil {
				return err
			}
			return c.keepDisk(groupCtx, n)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if c.admin, err = kgo.NewClient(c.ClientOpts()...); err != nil {
		return err
	}
	group, groupCtx = errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		group.Go(func() error { return c.awaitReady(groupCtx, n) })
	}
	group.Go(func() error { return c.warmGroups(groupCtx) })
	group.Go(func() error { return c.readVersion(groupCtx, c.nodes[0]) })
	return group.Wait()
}

func (c *Cluster) network() string         { return "ksim-" + c.id }
func (c *Cluster) nodeName(n *node) string { return fmt.Sprintf("ksim-%s-%d", c.id, n.id) }
func alias(id int32) string                { return fmt.Sprintf("kafka-%d", id) }

func (c *Cluster) labels() map[string]string {
	return map[string]string{labelKsim: "1", labelRun: c.cfg.RunID, labelCluster: c.id}
}

// Name implements backend.Kafka.
func (c *Cluster) Name() string { return "containers" }

// Version implements backend.Kafka: what the broker says of itself in its log.
func (c *Cluster) Version() string { return c.version }

// Image is the image that runs.
func (c *Cluster) Image() string { return c.cfg.Image }

// Brokers implements backend.Kafka.
func (c *Cluster) Brokers() []string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = n.addr
	}
	return addrs
}

// Dial implements backend.Kafka.
func (c *Cluster) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return backend.Plain(ctx, addr)
}

// ClientOpts implements backend.Kafka.
func (c *Cluster) ClientOpts() []kgo.Opt { return []kgo.Opt{kgo.SeedBrokers(c.Brokers()...)} }

// Capabilities implements backend.Kafka.
func (c *Cluster) Capabilities() backend.Capabilities {
	return backend.Capabilities{
		GroupMinSession: groupMinSession, ConsumerSession: c.cfg.ConsumerSession, ConsumerHeartbeat: c.cfg.ConsumerHeartbeat,
		KIP848: true, Transactions: true, ShareGroups: true, LogAppendTime: true, OffsetsTopic: true, Throttling: true,
		Replicas: c.cfg.Brokers, PauseBroker: true, RestartBroker: true, FillDisk: c.cfg.DiskBytes > 0, Move: c.cfg.Brokers > 1,
	}
}

// CreateTopic implements backend.Kafka.
func (c *Cluster) CreateTopic(ctx context.Context, name string, partitions int32, configs map[string]*string) error {
	return backend.CreateTopic(ctx, c.admin, name, partitions, configs)
}

// DeleteTopic implements backend.Kafka.
func (c *Cluster) DeleteTopic(ctx context.Context, name string) error {
	return backend.DeleteTopic(ctx, c.admin, name)
}

// closeTimeout bounds the removal of containers and networks in Close.
const closeTimeout = time.Minute

// Close implements backend.Kafka: when it returns, containers and network are
// gone. What it cannot remove, the reaper tries again.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.admin != nil {
		c.admin.Close()
	}
	var errs []error
	if c.reaper != nil { // without one, nothing was made
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err := c.remove(ctx)
		errs = append(errs, err, c.reaper.dismiss(err == nil))
	}
	return errors.Join(append(errs, c.docker.Close())...)
}

// remove sweeps until there is nothing more to find.
func (c *Cluster) remove(ctx context.Context) error {
	for {
		found, err := sweep(ctx, c.docker, c.id)
		if found == 0 || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// randomID is short and fit for names in Docker.
func randomID() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// randomUUID is a Kafka Uuid: 16 bytes in URL-safe base64. The first character
// must not be "-", which tools take for a flag.
func randomUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return "A" + strings.TrimRight(base64.URLEncoding.EncodeToString(b[:]), "=")[1:]
}
