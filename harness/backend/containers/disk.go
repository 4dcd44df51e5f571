package containers

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/ksim-dev/ksim/harness/backend"
)

// A broker whose disk can be filled keeps its logs in a file system of its own, of limited size, in memory.
// Docker unmounts such a volume, and with it all that it holds, when the last container that has it
// ends, and a broker without room does end. So a second container, which does nothing, has it too, and it is
// the one in which room is made again.
const (
	diskPath   = "/mnt/ksim"
	diskLogs   = diskPath + "/logs"
	diskFiller = diskPath + "/filler"
)

// MinDisk is how many bytes a broker takes to start and work for a while.
const MinDisk = 64 << 20

var _ backend.Filler = (*Cluster)(nil)

// disk mounts the volume into the container of a broker. Docker gives it a name and removes it with the containers.
func (c *Cluster) disk(h *container.HostConfig) {
	if c.cfg.DiskBytes == 0 {
		return
	}
	h.Mounts = append(h.Mounts, mount.Mount{Type: mount.TypeVolume, Target: diskPath, VolumeOptions: &mount.VolumeOptions{
		NoCopy: true,
		DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{
			"type": "tmpfs", "device": "tmpfs", "o": "uid=1000,gid=1000,mode=0755,size=" + strconv.FormatInt(c.cfg.DiskBytes, 10),
		}},
	}})
}

// keepDisk starts what holds the volume of a broker while that is down.
func (c *Cluster) keepDisk(ctx context.Context, n *node) error {
	if c.cfg.DiskBytes == 0 {
		return nil
	}
	var err error
	n.keeper, err = testcontainers.Run(ctx, c.cfg.Image,
		testcontainers.WithLogger(tclog.NewNoopLogger()),
		testcontainers.WithName(c.nodeName(n)+"-disk"),
		testcontainers.WithLabels(c.labels()),
		testcontainers.WithEntrypoint("sh", "-c", "while :; do sleep 3600; done"),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.VolumesFrom, h.NetworkMode = []string{n.container.GetContainerID()}, "none"
		}))
	if err != nil {
		return fmt.Errorf("keep the disk of broker %d: %w", n.id, err)
	}
	return nil
}

// FillDisk implements backend.Filler. A broker that cannot write its log any more ends by itself: it has no
// other directory (KIP-112).
func (c *Cluster) FillDisk(ctx context.Context, id int32) error {
	return c.on(ctx, id, "fill the disk of", func(ctx context.Context, n *node) error {
		if n.keeper == nil {
			return errors.New("its size is not limited (Config.DiskBytes)")
		}
		if err := shellIn(ctx, n.keeper, "cat /dev/zero >"+diskFiller+" 2>/dev/null; test -s "+diskFiller); err != nil {
			return err
		}
		return c.awaitExit(ctx, n)
	})
}

// EmptyDisk implements backend.Filler.
func (c *Cluster) EmptyDisk(ctx context.Context, id int32) error {
	return c.on(ctx, id, "make room on the disk of", func(ctx context.Context, n *node) error {
		if n.keeper == nil {
			return nil
		}
		return shellIn(ctx, n.keeper, "rm -f "+diskFiller)
	})
}
