package consumer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/reexec"
)

const crashMember = "consumer-test-crash-member"

// crashMode is a transactional consumer as a process of its own, to be killed. It
// bills every record, takes those whose number ends in 99 for poison, and writes a
// line for each record that it handles and for each commit.
func crashMode() reexec.Mode {
	return reexec.Mode{Name: crashMember, Run: func(ctx context.Context) int {
		if err := runCrashMember(ctx, os.Args[1], os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}}
}

func runCrashMember(ctx context.Context, brokers, protocol, id string) error {
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group, cfg.ClientID = strings.Split(brokers, ","), []string{topic}, group, id
	cfg.Protocol, cfg.TransactionalID = consumer.Protocol(protocol), id
	cfg.SessionTimeout, cfg.HeartbeatInterval = time.Second, 100*time.Millisecond
	cfg.RebalanceTimeout, cfg.DrainTimeout = 3*time.Second, 2*time.Second
	cfg.MaxInFlight, cfg.BatchSize = 50, 10
	cfg.Poison.Policy = consumer.PoisonDeadLetter
	cfg.ClientOpts = []kgo.Opt{kgo.DisableClientMetrics(), kgo.MetadataMinAge(100 * time.Millisecond)}
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	cfg.Hooks.OnCommit = func(string, int32, int64, error) { fmt.Println("commit") }
	c, err := consumer.NewTransactional(cfg, consumer.EachTx(func(_ context.Context, r *kgo.Record) ([]*kgo.Record, error) {
		fmt.Println("record")
		if strings.HasSuffix(string(r.Value), "99") {
			return nil, consumer.Permanent(fmt.Errorf("poison"))
		}
		return []*kgo.Record{{Topic: outputs, Key: r.Key, Value: r.Value}}, nil
	}))
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// crashes is a test of members that are killed again and again.
type crashes struct {
	*testing.T
	brokers  []string
	protocol consumer.Protocol
	client   *kgo.Client
	left     atomic.Int64 // crashes to come
	seed     uint64
}

// member runs one member, over and over: each life is killed at a random point,
// counted in lines that it writes, plus a moment, so that it also hits what writes
// none. The last one is stopped when the test is done.
func (c *crashes) member(name string, done <-chan struct{}) error {
	rng := rand.New(rand.NewPCG(c.seed, uint64(len(name))+uint64(name[len(name)-1])))
	for {
		cmd, err := reexec.Command(crashMember, strings.Join(c.brokers, ","), string(c.protocol), name)
		if err != nil {
			return err
		}
		var log strings.Builder
		cmd.Stderr = &log
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		if c.left.Add(-1) >= 0 {
			after(out, 1+rng.IntN(150), time.Duration(rng.Int64N(int64(15*time.Millisecond))), done)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			select {
			case <-done:
			default:
				continue
			}
			return fmt.Errorf("%d crashes are left over: give it more records", c.left.Load())
		}
		go func() { _, _ = io.Copy(io.Discard, out) }()
		<-done
		return stop(cmd, &log)
	}
}

// after waits for so many lines, and a moment more.
func after(out io.Reader, lines int, moment time.Duration, done <-chan struct{}) {
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for s := bufio.NewScanner(out); lines > 0 && s.Scan(); lines-- {
		}
	}()
	select {
	case <-seen:
	case <-done:
		return
	}
	timer := time.NewTimer(moment)
	defer timer.Stop()
	<-timer.C
}

func stop(cmd *exec.Cmd, log *strings.Builder) error {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the last life of a member: %w\n%s", err, log.String())
	}
	return nil
}

// run feeds numbered records while members crash, until all crashes have
// happened and everything is committed.
func (c *crashes) run(members int) (records int) {
	c.Helper()
	done := make(chan struct{})
	errs := make(chan error, members)
	var all sync.WaitGroup
	for i := range members {
		all.Go(func() { errs <- c.member(fmt.Sprintf("tx-%d", i+1), done) })
	}
	adm := kadm.NewClient(c.client)
	deadline := time.Now().Add(6 * time.Minute)
	for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
		committed := c.committed(adm)
		if c.left.Load() < -int64(members-1) && committed == records {
			tick.Stop()
			break
		}
		if records-committed < 1000 && c.left.Load() > -int64(members) {
			c.produce(records, 500)
			records += 500
		}
		if time.Now().After(deadline) {
			c.Errorf("after a long time %d crashes are left and %d of %d are committed", c.left.Load(), committed, records)
			break
		}
	}
	close(done)
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			c.Error(err)
		}
	}
	return records
}

func (c *crashes) committed(adm *kadm.Client) int {
	// Not yet stable is the same as not yet committed.
	got, err := adm.FetchOffsets(c.Context(), group)
	if err != nil {
		return 0
	}
	sum := 0
	got.Each(func(o kadm.OffsetResponse) { sum += int(max(o.At, 0)) })
	// Offsets have no gaps: the input is not transactional.
	return sum
}

func (c *crashes) produce(from, n int) {
	c.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		id := from + i
		recs[i] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", id%50), Value: strconv.AppendInt(nil, int64(id), 10)}
	}
	if err := c.client.ProduceSync(c.Context(), recs...).FirstErr(); err != nil {
		c.Fatal(err)
	}
}

// judge looks at what a reader of committed records sees.
func (c *crashes) judge(records int) {
	c.Helper()
	var poison []int
	for id := 99; id < records; id += 100 {
		poison = append(poison, id)
	}
	once(c.T, readCommitted(c.T, c.brokers, outputs, records-len(poison)), records, poison...)
	// The control: if no transaction was aborted, the crashes have proved nothing.
	written := len(read(c.T, c.brokers, outputs, records-len(poison), kgo.ReadUncommitted()))
	if written <= records-len(poison) {
		c.Errorf("%d outputs were written and all of them count: no crash was in the middle of a transaction", written)
	}
	c.Logf("%d outputs were written, %d of them in transactions that were aborted", written, written-records+len(poison))
	var dead []int
	for _, r := range readCommitted(c.T, c.brokers, letters, len(poison)) {
		id, _ := strconv.Atoi(string(r.Value))
		dead = append(dead, id)
	}
	slices.Sort(dead)
	if !slices.Equal(dead, poison) {
		c.Errorf("dead letters: %v", dead)
	}
}

// Members are killed at random points, 100 times on real Kafka: the output and
// the dead letter of every record are visible exactly once.
func TestTransactionsThroughCrashes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CONSUMER_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Run("embedded", func(t *testing.T) {
		k := startKafka(t)
		k.createTopic(outputs, 3)
		crashThrough(t, k.cluster.ListenAddrs(), consumer.ProtocolConsumer, 20, seed)
	})
	t.Run("containers", func(t *testing.T) {
		containers.Require(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		cluster, err := containers.Start(ctx, containers.Config{Brokers: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cluster.Close() }()
		for name, n := range map[string]int32{topic: 6, outputs: 3, letters: 1} {
			if err := cluster.CreateTopic(ctx, name, n, nil); err != nil {
				t.Fatal(err)
			}
		}
		crashThrough(t, cluster.Brokers(), consumer.ProtocolCooperative, 100, seed)
	})
}

func crashThrough(t *testing.T, brokers []string, protocol consumer.Protocol, times int, seed uint64) {
	t.Helper()
	t.Logf("CONSUMER_TEST_SEED=%d", seed)
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c := &crashes{T: t, brokers: brokers, protocol: protocol, client: client, seed: seed}
	c.left.Store(int64(times))
	began := time.Now()
	records := c.run(3)
	c.judge(records)
	t.Logf("%d crashes, %d records, %v", times, records, time.Since(began).Round(time.Second))
}
