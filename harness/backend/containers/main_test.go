package containers

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/reexec"
)

const (
	victimRun = "KSIM_TEST_RUN" // RunID of the victim's cluster
	noDocker  = "no-docker"
	victim    = "victim"
)

func TestMain(m *testing.M) {
	reexec.Main(ReaperMode(),
		reexec.Mode{Name: victim, Run: runVictim},
		reexec.Mode{Name: noDocker, Run: runNoDocker})
	goleak.VerifyTestMain(m)
}

// runVictim starts Kafka, says so and waits to be killed.
func runVictim(ctx context.Context) int {
	if _, err := Start(ctx, Config{RunID: os.Getenv(victimRun), Brokers: 3}); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println("up")
	<-ctx.Done()
	return 0
}

// runNoDocker shows what a machine without Docker gets to see.
func runNoDocker(ctx context.Context) int {
	_, err := Start(ctx, Config{})
	fmt.Printf("start: %v\n", err)
	fmt.Printf("available: %v\n", Available(ctx))
	Require(printTB{})
	return 0
}

type printTB struct{}

func (printTB) Helper()                           {}
func (printTB) Skipf(format string, args ...any)  { fmt.Printf("skip: "+format+"\n", args...) }
func (printTB) Fatalf(format string, args ...any) { fmt.Printf("fail: "+format+"\n", args...) }

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func docker(t *testing.T) *client.Client {
	t.Helper()
	cli, err := connect(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	return cli
}

// left counts containers and networks with a label.
func left(t *testing.T, cli *client.Client, label string) int {
	t.Helper()
	filters := make(client.Filters).Add("label", label)
	list, err := cli.ContainerList(bounded(t), client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		t.Fatal(err)
	}
	networks, err := cli.NetworkList(bounded(t), client.NetworkListOptions{Filters: filters})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items) + len(networks.Items)
}

func start(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	begun := time.Now()
	c, err := Start(bounded(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %d broker(s), ready in %s", c.Version(), len(c.Brokers()), time.Since(begun).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
