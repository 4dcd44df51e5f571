package containers

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// lifecycleTimeout bounds each stop and start of a broker.
const lifecycleTimeout = 3 * time.Minute

// Nodes implements backend.Restarter.
func (c *Cluster) Nodes() []int32 {
	ids := make([]int32, len(c.nodes))
	for i, n := range c.nodes {
		ids[i] = n.id
	}
	return ids
}

// on does something to a broker, not at the same time as Close or something else.
func (c *Cluster) on(ctx context.Context, id int32, what string, do func(context.Context, *node) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("%s broker %d: the cluster is closed", what, id)
	}
	ctx, cancel := context.WithTimeout(ctx, lifecycleTimeout)
	defer cancel()
	for _, n := range c.nodes {
		if n.id != id {
			continue
		}
		if err := do(ctx, n); err != nil {
			return fmt.Errorf("%s broker %d: %w", what, id, err)
		}
		return nil
	}
	return fmt.Errorf("%s broker %d: there are brokers %v", what, id, c.Nodes())
}

// StopBroker implements backend.Restarter. Docker's own stop would signal the
// starter's shell, which passes nothing on.
func (c *Cluster) StopBroker(ctx context.Context, id int32) error {
	return c.on(ctx, id, "stop", func(ctx context.Context, n *node) error {
		if err := shellIn(ctx, n.container, "kill -TERM $(cat /tmp/ksim-kafka.pid)"); err != nil {
			return err
		}
		return c.awaitExit(ctx, n)
	})
}

// KillBroker implements backend.Restarter.
func (c *Cluster) KillBroker(ctx context.Context, id int32) error {
	return c.on(ctx, id, "kill", func(ctx context.Context, n *node) error {
		_, err := c.docker.ContainerKill(ctx, n.container.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"})
		if err != nil {
			return err
		}
		return c.awaitExit(ctx, n)
	})
}

// awaitExit waits until the container does not run any more.
func (c *Cluster) awaitExit(ctx context.Context, n *node) error {
	wait := c.docker.ContainerWait(ctx, n.container.GetContainerID(), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case err := <-wait.Error:
		return err
	case <-wait.Result:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// StartBroker implements backend.Restarter: same container, data and address.
func (c *Cluster) StartBroker(ctx context.Context, id int32) error {
	return c.on(ctx, id, "start", func(ctx context.Context, n *node) error {
		if err := n.container.Start(ctx); err != nil {
			return fmt.Errorf("%w%s", err, c.logTail(n))
		}
		return c.awaitReady(ctx, n)
	})
}

// pauseAttempts bounds how often a freeze is tried: the kernel may fail to stop all threads of a busy process in time.
const pauseAttempts = 5

// PauseBroker implements backend.Pauser.
func (c *Cluster) PauseBroker(ctx context.Context, id int32) error {
	return c.on(ctx, id, "pause", func(ctx context.Context, n *node) error {
		var err error
		for range pauseAttempts {
			if _, err = c.docker.ContainerPause(ctx, n.container.GetContainerID(), client.ContainerPauseOptions{}); err == nil || ctx.Err() != nil {
				break
			}
		}
		return err
	})
}

// UnpauseBroker implements backend.Pauser. One that runs is left as it is: its pause may have failed.
func (c *Cluster) UnpauseBroker(ctx context.Context, id int32) error {
	return c.on(ctx, id, "unpause", func(ctx context.Context, n *node) error {
		info, err := c.docker.ContainerInspect(ctx, n.container.GetContainerID(), client.ContainerInspectOptions{})
		if err != nil || info.Container.State != nil && !info.Container.State.Paused {
			return err
		}
		_, err = c.docker.ContainerUnpause(ctx, n.container.GetContainerID(), client.ContainerUnpauseOptions{})
		return err
	})
}
