package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/backend"
)

const readyPoll = 50 * time.Millisecond

// poll repeats try until it returns nil or ctx ends; the last error is told.
func poll(ctx context.Context, what string, try func(context.Context) error) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (%w)", what, err, ctx.Err())
		case <-tick.C:
		}
	}
}

// awaitReady waits until the broker itself answers and names all brokers, itself among them.
// The container's log is no sign of it: after a restart the line of the first start is still there.
func (c *Cluster) awaitReady(ctx context.Context, n *node) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.DialTimeout(time.Second), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	return poll(ctx, fmt.Sprintf("broker %d at %s is not ready", n.id, n.addr), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		resp, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl.SeedBrokers()[0])
		if err != nil {
			return err
		}
		for _, b := range resp.Brokers {
			if b.NodeID == n.id {
				return nil
			}
		}
		return fmt.Errorf("it knows of %d brokers, but not yet of itself", len(resp.Brokers))
	})
}

// warmGroups makes the broker create the offsets topic: the first group would wait for it otherwise.
func (c *Cluster) warmGroups(ctx context.Context) error {
	if err := poll(ctx, "brokers are not all there", func(ctx context.Context) error {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{} // none: brokers only
		meta, err := req.RequestWith(ctx, c.admin)
		if err == nil && len(meta.Brokers) < c.cfg.Brokers {
			err = fmt.Errorf("%d of %d brokers", len(meta.Brokers), c.cfg.Brokers)
		}
		return err
	}); err != nil {
		return err
	}
	return poll(ctx, "groups are not ready", func(ctx context.Context) error {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKeys = []string{"ksim-warm"}
		resp, err := req.RequestWith(ctx, c.admin)
		if err != nil {
			return err
		}
		for _, k := range resp.Coordinators {
			if err := kerr.ErrorForCode(k.ErrorCode); err != nil {
				return err
			}
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
}

var versionLine = regexp.MustCompile(`Kafka version: (\S+)`)

// maxLog bounds what is read of a container's log.
const maxLog = 4 << 20

// versionBound is how long the broker's log is asked for its version: the line
// comes just after the one that says that it runs.
const versionBound = 10 * time.Second

// readVersion takes the version from the broker's log; where the log is in
// another form, from the requests the broker knows.
func (c *Cluster) readVersion(ctx context.Context, n *node) error {
	bounded, cancel := context.WithTimeout(ctx, versionBound)
	defer cancel()
	err := poll(bounded, "no version in the log", func(ctx context.Context) error {
		text, err := n.log(ctx)
		if err != nil {
			return err
		}
		m := versionLine.FindSubmatch(text)
		if m == nil {
			return errors.New("no line like " + versionLine.String())
		}
		c.version = "Apache Kafka " + string(m[1])
		return nil
	})
	if err == nil {
		return nil
	}
	guess, _, err := backend.GuessVersion(ctx, c.admin)
	if err != nil {
		return err
	}
	c.version = "Apache Kafka " + guess + " (by its API versions)"
	return nil
}

// log is the start of what the container has printed.
func (n *node) log(ctx context.Context) ([]byte, error) {
	logs, err := n.container.Logs(ctx)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(logs, maxLog))
	return text, errors.Join(err, logs.Close())
}

// logTail is the end of a broker's log, for errors; "" where there is none.
func (c *Cluster) logTail(n *node) string {
	if n.container == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	text, err := n.log(ctx)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "\nlast lines of its log:\n" + strings.Join(lines[max(0, len(lines)-15):], "\n")
}
