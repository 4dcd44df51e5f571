package containers

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/reexec"
)

func produce(ctx context.Context, t *testing.T, c *Cluster, topic, value string) {
	t.Helper()
	cl, err := kgo.NewClient(c.ClientOpts()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatalf("produce %s: %v", value, err)
	}
}

// consume reads values until it has n of them; appended tells whether all carry the broker's time.
func consume(ctx context.Context, t *testing.T, c *Cluster, topic string, n int) (values []string, appended bool) {
	t.Helper()
	cl, err := kgo.NewClient(append(c.ClientOpts(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Dialer(func(ctx context.Context, _, addr string) (net.Conn, error) { return c.Dial(ctx, addr) }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	appended = true
	for len(values) < n {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(values), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			values = append(values, string(r.Value))
			appended = appended && r.Attrs.TimestampType() == 1
		})
	}
	return values, appended
}

func TestOneBroker(t *testing.T) {
	Require(t)
	ctx := bounded(t)
	c := start(t, Config{RunID: "one-broker"})
	cli := docker(t)
	if want := "Apache Kafka " + KafkaVersion; c.Version() != want {
		t.Errorf("version %q, want %q", c.Version(), want)
	}
	addrs := c.Brokers()
	if len(addrs) != 1 || !strings.HasPrefix(addrs[0], "127.0.0.1:") {
		t.Fatalf("brokers %v", addrs)
	}
	checkInspect(ctx, t, c, cli)

	stamp := "LogAppendTime"
	if err := c.CreateTopic(ctx, "t", 1, map[string]*string{"message.timestamp.type": &stamp}); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, c, "t", "first")
	want := []string{"first"}
	for name, down := range map[string]func(context.Context, int32) error{"stop": c.StopBroker, "kill": c.KillBroker} {
		begun := time.Now()
		if err := down(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if conn, err := net.DialTimeout("tcp", addrs[0], time.Second); err == nil {
			_ = conn.Close()
			t.Errorf("%s: the port still answers", name)
		}
		gone := time.Now()
		if err := c.StartBroker(ctx, 1); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s took %s, start %s", name, gone.Sub(begun).Round(time.Millisecond), time.Since(gone).Round(time.Millisecond))
		if !slices.Equal(c.Brokers(), addrs) {
			t.Errorf("%s: brokers %v, were %v", name, c.Brokers(), addrs)
		}
		produce(ctx, t, c, "t", name)
		want = append(want, name)
	}
	got, appended := consume(ctx, t, c, "t", len(want))
	if !slices.Equal(got, want) || !appended {
		t.Errorf("records %v (append time: %v), want %v: data must outlive the broker", got, appended, want)
	}
	checkPause(ctx, t, c)
	if err := c.StopBroker(ctx, 7); err == nil || !strings.Contains(err.Error(), "there are brokers [1]") {
		t.Errorf("a broker that is not there: %v", err)
	}
	if err := c.DeleteTopic(ctx, "t"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := left(t, cli, labelRun+"=one-broker"); n != 0 {
		t.Errorf("%d things are left after Close", n)
	}
}

func checkInspect(ctx context.Context, t *testing.T, c *Cluster, cli *client.Client) {
	t.Helper()
	info, err := cli.ContainerInspect(ctx, c.nodes[0].container.GetContainerID(), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for port, bindings := range info.Container.NetworkSettings.Ports {
		for _, b := range bindings {
			if b.HostIP.String() != "127.0.0.1" {
				t.Errorf("port %v is published on %s", port, b.HostIP)
			}
		}
	}
	if !strings.HasPrefix(info.Container.Name, "/ksim-") || info.Container.Config.Labels[labelKsim] != "1" || info.Container.Config.Labels[labelRun] != "one-broker" {
		t.Errorf("name %s, labels %v", info.Container.Name, info.Container.Config.Labels)
	}
}

// checkPause: a paused broker takes connections and answers nothing; then goes
// on, on the same connection.
func checkPause(ctx context.Context, t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.PauseBroker(ctx, 1); err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(ctx, c.Brokers()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	request := kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 7)
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	read := func(bound time.Duration) error {
		if err := conn.SetReadDeadline(time.Now().Add(bound)); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 8))
		return err
	}
	if err := read(500 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a paused broker: %v, want silence", err)
	}
	if err := c.UnpauseBroker(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := read(20 * time.Second); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	if err := c.UnpauseBroker(ctx, 1); err != nil {
		t.Errorf("a broker that is not paused: %v", err)
	}
}

func TestThreeBrokersSurviveOne(t *testing.T) {
	Require(t)
	ctx := bounded(t)
	c := start(t, Config{Brokers: 3})
	if err := c.CreateTopic(ctx, "t", 3, nil); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(c.ClientOpts()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range topics["t"].Partitions {
		if len(p.Replicas) != 3 {
			t.Errorf("partition %d has replicas %v, want three", p.Partition, p.Replicas)
		}
	}
	checkMoves(ctx, t, c, cl)
	p, err := backend.DescribePartition(ctx, cl, "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	leader := p.Leader
	if err := c.KillBroker(ctx, leader); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for p := range int32(3) {
		r := &kgo.Record{Topic: "t", Partition: p, Value: []byte(strconv.Itoa(int(p)))}
		pinned, err := kgo.NewClient(append(c.ClientOpts(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			t.Fatal(err)
		}
		if err := pinned.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Errorf("partition %d with broker %d dead: %v", p, leader, err)
		}
		pinned.Close()
	}
	failover := time.Since(begun)
	begun = time.Now()
	if err := c.StartBroker(ctx, leader); err != nil {
		t.Fatal(err)
	}
	t.Logf("leader %d killed: all partitions writable after %s; started again in %s", leader, failover.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
	if got, _ := consume(ctx, t, c, "t", 3); len(got) != 3 {
		t.Errorf("records %v", got)
	}
}

// checkMoves: a leader and a coordinator are others afterwards, and no broker was down for that.
func checkMoves(ctx context.Context, t *testing.T, c *Cluster, cl *kgo.Client) {
	t.Helper()
	for _, node := range c.Nodes() {
		if err := c.MoveLeader(ctx, "t", 1, node); err != nil {
			t.Fatal(err)
		}
		if p, err := backend.DescribePartition(ctx, cl, "t", 1); err != nil || p.Leader != node {
			t.Errorf("moved to broker %d, and broker %d leads: %v", node, p.Leader, err)
		}
	}
	old := kadm.NewClient(cl).FindGroupCoordinators(ctx, "g")["g"]
	if err := errors.Join(old.Err, c.MoveCoordinator(ctx, "g")); err != nil {
		t.Fatal(err)
	}
	if now := kadm.NewClient(cl).FindGroupCoordinators(ctx, "g")["g"]; now.Err != nil || now.NodeID == old.NodeID {
		t.Errorf("broker %d coordinates as before: %v", now.NodeID, now.Err)
	}
}

func TestPortTakenIsTriedAgain(t *testing.T) {
	Require(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	cfg, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	cli, err := connect(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(cfg, cli)
	calls := 0
	c.choosePort = func() (int, error) {
		if calls++; calls == 1 {
			return busy.Addr().(*net.TCPAddr).Port, nil
		}
		return freePort()
	}
	err = c.start(bounded(t))
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	if calls != 2 {
		t.Errorf("%d ports chosen, want 2", calls)
	}
}

func TestImageThatCannotBeHad(t *testing.T) {
	Require(t)
	_, err := Prepare(bounded(t), "ksim/absent:0")
	if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), "make kafka-image") || !strings.Contains(err.Error(), "ksim/absent:0") {
		t.Errorf("error %v", err)
	}
}

func TestWithoutDocker(t *testing.T) {
	for _, required := range []bool{false, true} {
		cmd, err := reexec.Command(noDocker)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "DOCKER_HOST=unix://"+filepath.Join(t.TempDir(), "none.sock"), RequireVariable+"="+map[bool]string{true: "1"}[required])
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want := []string{"start: docker does not answer", "make docker", "--kafka embedded", "available: docker does not answer", "skip: needs containers: "}
		if required {
			want[len(want)-1] = "fail: needs containers"
		}
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("required %v: output lacks %q:\n%s", required, w, out)
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := Start(context.Background(), Config{Brokers: 2}); err == nil || !strings.Contains(err.Error(), "choose 1 or 3") {
		t.Errorf("two brokers: %v", err)
	}
	if _, err := Start(context.Background(), Config{DiskBytes: 1 << 20}); err == nil || !strings.Contains(err.Error(), "at least") {
		t.Errorf("a disk of a mebibyte: %v", err)
	}
}

// The image that `make kafka-image` builds is the one that is looked for.
func TestVersionIsThatOfTheImage(t *testing.T) {
	pom, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "kafka-image", "pom.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "<kafka.version>" + KafkaVersion + "</kafka.version>"; !strings.Contains(string(pom), want) {
		t.Errorf("deploy/kafka-image/pom.xml lacks %s", want)
	}
}
