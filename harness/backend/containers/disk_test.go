package containers

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// A broker without room ends, keeps what it has, and works again once there is room. Nothing is left of its volume.
func TestFullDisk(t *testing.T) {
	Require(t)
	ctx := bounded(t)
	c := start(t, Config{DiskBytes: 256 << 20})
	cli := docker(t)
	if err := c.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, c, "t", "before")
	info, err := cli.ContainerInspect(ctx, c.nodes[0].container.GetContainerID(), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	volume := ""
	for _, m := range info.Container.Mounts {
		if m.Destination == diskPath {
			volume = m.Name
		}
	}
	if volume == "" {
		t.Fatalf("nothing is mounted at %s: %v", diskPath, info.Container.Mounts)
	}
	begun := time.Now()
	if err := c.FillDisk(ctx, 1); err != nil {
		t.Fatal(err)
	}
	t.Logf("ended %s after its disk was full", time.Since(begun).Round(time.Millisecond))
	if conn, err := net.DialTimeout("tcp", c.Brokers()[0], time.Second); err == nil {
		_ = conn.Close()
		t.Error("the port still answers")
	}
	if err := c.EmptyDisk(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.StartBroker(ctx, 1); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, c, "t", "after")
	if got, _ := consume(ctx, t, c, "t", 2); strings.Join(got, " ") != "before after" {
		t.Errorf("records %q", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := cli.VolumeInspect(ctx, volume, client.VolumeInspectOptions{}); !errdefs.IsNotFound(err) {
		t.Errorf("the volume is still there: %v", err)
	}
}

func TestDiskThatCannotBeFilled(t *testing.T) {
	Require(t)
	c := start(t, Config{})
	if c.Capabilities().FillDisk {
		t.Error("a disk without a limit is said to be one that can be filled")
	}
	if err := c.FillDisk(bounded(t), 1); err == nil || !strings.Contains(err.Error(), "not limited") {
		t.Errorf("%v", err)
	}
}
