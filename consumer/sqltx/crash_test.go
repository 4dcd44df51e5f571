package sqltx_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	kafka "github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/reexec"

	"github.com/ksim-dev/ksim/consumer/sqltx"
)

const (
	partitions = 4
	members    = 3
	crashes    = 100
	// KSIM_TEST_KAFKA=containers runs it on real Kafka; KSIM_TEST_SEED repeats a run.
	kafkaVariable = "KSIM_TEST_KAFKA"
	seedVariable  = "KSIM_TEST_SEED"
)

// crashTest is one group that is killed again and again.
type crashTest struct {
	*fixture
	kafka    kafka.Kafka
	client   *kgo.Client
	produced [partitions]int64 // by partition; the next offset
	kinds    map[[2]int64]string
	fenced   atomic.Int32
	lives    atomic.Int32
	freezing sync.Mutex // one at a time: the others take over
}

// ending is how one life is to end.
type ending struct {
	point  string
	after  int
	zombie bool // it is frozen until others have its partitions, goes on, and is killed then
	evict  bool // the broker is told of its end; else its session has to time out
}

func endings(rng *rand.Rand, d sqltx.Dialect) []ending {
	points := []string{inHandler, beforeMove, afterMove, beforeEnd, afterEnd, beforeBatch, atLoad}
	// A frozen process that has begun to write holds SQLite's only lock, and nobody can go on.
	late := []string{beforeBatch, afterEnd}
	if d == sqltx.PostgreSQL {
		late = append(late, inHandler, beforeMove)
	}
	all := make([]ending, crashes)
	for i := range all {
		e := ending{point: points[i%len(points)], after: 1 + rng.IntN(5), evict: rng.IntN(5) > 0}
		switch {
		case i%12 == 11:
			e.point, e.zombie, e.evict = late[rng.IntN(len(late))], true, true
		case e.point == atLoad:
			e.after = 1
		case e.point == inHandler:
			e.after = 1 + rng.IntN(40)
		}
		all[i] = e
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	// Whoever is frozen needs others to take over: none at the end, when they have gone.
	slices.SortStableFunc(all[len(all)-5*members:], func(a, b ending) int {
		return map[bool]int{true: 0, false: 1}[a.zombie] - map[bool]int{true: 0, false: 1}[b.zombie]
	})
	return all
}

// Members are killed a hundred times, at points all over their transactions, and
// some only freeze and go on when others have their work. At the end the effect of
// every record is there once, in order, and poison is among the dead letters.
func TestExactlyOnceThroughCrashes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Printf("seed: %s=%d\n", seedVariable, seed)
	eachDatabase(t, func(t *testing.T, b backend) {
		c := &crashTest{fixture: newFixture(t, b), kinds: map[[2]int64]string{}}
		c.startKafka()
		rng := rand.New(rand.NewPCG(seed, 0))
		began := time.Now()
		stopFeeding := c.feed(rng)
		queue := make(chan ending, crashes)
		for _, e := range endings(rng, b.dialect) {
			queue <- e
		}
		close(queue)
		var slots sync.WaitGroup
		for range members {
			slots.Go(func() {
				runtime.LockOSThread() // see dieWithUs
				defer runtime.UnlockOSThread()
				for e := range queue {
					if c.Failed() {
						return
					}
					c.crash(e)
				}
			})
		}
		slots.Wait()
		stopFeeding()
		if t.Failed() {
			return
		}
		t.Logf("%d crashes in %v; %d frozen members were fenced by the database", crashes, time.Since(began).Round(time.Millisecond), c.fenced.Load())
		c.settle()
		c.verify()
	})
}

func (c *crashTest) startKafka() {
	c.Helper()
	var err error
	if os.Getenv(kafkaVariable) == "containers" {
		containers.Require(c)
		c.kafka, err = containers.Start(c.Context(), containers.Config{RunID: "sqltx", ConsumerSession: time.Second, ConsumerHeartbeat: 100 * time.Millisecond})
	} else {
		c.kafka, err = kafka.NewEmbedded(c.Context(), kafka.EmbeddedConfig{Nodes: 1, ConsumerSession: time.Second, ConsumerHeartbeat: 100 * time.Millisecond})
	}
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = c.kafka.Close() })
	c.client, err = kgo.NewClient(append(c.kafka.ClientOpts(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(c.client.Close)
	for name, n := range map[string]int32{topic: partitions, letters: 1} {
		if err := c.kafka.CreateTopic(c.Context(), name, n, nil); err != nil {
			c.Fatal(err)
		}
	}
}

// total is the sum of the positions: offsets begin at 0, and have no gaps here.
func (c *crashTest) total(column string) int64 {
	n := int64(0)
	query := `SELECT coalesce(sum(` + column + `), 0) FROM consumer_offsets WHERE next_offset >= 0`
	if err := c.admin.QueryRowContext(c.Context(), query).Scan(&n); err != nil {
		c.Error(err)
	}
	return n
}

// feed keeps some hundred records ahead of the members, until it is stopped.
func (c *crashTest) feed(rng *rand.Rand) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	rng = rand.New(rand.NewPCG(rng.Uint64(), 1))
	go func() {
		defer close(done)
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		sent := int64(0)
		for {
			if sent-c.total("next_offset") < 400 {
				sent += c.produce(rng, 200)
			}
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(quit); <-done }
}

func (c *crashTest) produce(rng *rand.Rand, n int) int64 {
	recs := make([]*kgo.Record, n)
	for i := range recs {
		p := rng.IntN(partitions)
		value := "good"
		switch rng.IntN(40) {
		case 0:
			value = "poison"
		case 1:
			value = "flaky"
		}
		recs[i] = &kgo.Record{Topic: topic, Partition: int32(p), Value: []byte(value)}
		c.kinds[[2]int64{int64(p), c.produced[p]}] = value
		c.produced[p]++
	}
	if err := c.client.ProduceSync(c.Context(), recs...).FirstErr(); err != nil {
		c.Error(err)
	}
	return int64(n)
}

// process is a running life.
type process struct {
	life
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // closed at its end
}

func (c *crashTest) start(e ending) *process {
	n := c.lives.Add(1)
	p := &process{lines: make(chan string, 1000)}
	p.life = life{
		Brokers: c.kafka.Brokers(), Dialect: c.dialect, DSN: c.url, Name: fmt.Sprintf("life-%d", n), Point: e.point, After: e.after, Quiet: e.zombie,
		NoSavepoints: n%4 == 0, Verbose: os.Getenv("KSIM_TEST_VERBOSE") == "1",
	}
	config, err := json.Marshal(p.life)
	if err == nil {
		p.cmd, err = reexec.Command(memberMode)
	}
	if err != nil {
		c.Error(err)
		return nil
	}
	p.cmd.Env = append(p.cmd.Env, memberVariable+"="+string(config))
	p.cmd.Stderr = os.Stderr
	dieWithUs(p.cmd)
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		c.Error(err)
		return nil
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p
}

// line waits for a line that begins so.
func (p *process) line(prefix string) (string, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("%s ended before it said %q", p.Name, prefix)
			}
			if strings.HasPrefix(l, prefix) {
				return l, nil
			}
		case <-timer.C:
			return "", fmt.Errorf("%s does not say %q (point %s, the %d. time)", p.Name, prefix, p.Point, p.After)
		}
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for range p.lines {
	}
	_ = p.cmd.Wait()
	_ = p.in.Close()
}

// crash is a life from its start to its end.
func (c *crashTest) crash(e ending) {
	p := c.start(e)
	if p == nil {
		return
	}
	defer p.kill()
	if _, err := p.line("at " + e.point); err != nil {
		c.Error(err)
		return
	}
	if e.zombie {
		c.thaw(p)
	}
	p.kill()
	if e.evict {
		c.evict(p.Name)
	}
}

// thaw freezes a life until another member has taken its partitions over, and lets it go on.
func (c *crashTest) thaw(p *process) {
	c.freezing.Lock()
	defer c.freezing.Unlock()
	before := c.total("epoch")
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	c.evict(p.Name)
	for deadline := time.Now().Add(patience); c.total("epoch") == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Errorf("nobody takes over the partitions of %s, which is frozen", p.Name)
			return
		}
	}
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	if _, err := io.WriteString(p.in, "go\n"); err != nil {
		c.Error(err)
	}
	l, err := p.line("ended")
	if err != nil {
		c.Error(err)
	}
	if l == "ended fenced" {
		c.fenced.Add(1)
	}
}

// evict tells the broker that a member is gone, so that nobody has to wait for
// the end of its session.
func (c *crashTest) evict(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	describe := kmsg.NewPtrConsumerGroupDescribeRequest()
	describe.Groups = []string{group}
	resp, err := describe.RequestWith(ctx, c.client)
	if err != nil || len(resp.Groups) != 1 {
		c.Errorf("describe the group: %v", err)
		return
	}
	for _, m := range resp.Groups[0].Members {
		if m.ClientID != name {
			continue
		}
		leave := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		leave.Group, leave.MemberID, leave.MemberEpoch = group, m.MemberID, -1
		if _, err := leave.RequestWith(ctx, c.client); err != nil {
			c.Errorf("evict %s: %v", name, err)
		}
	}
}

// settle lets members without an end do all that is left.
func (c *crashTest) settle() {
	runtime.LockOSThread() // see dieWithUs
	defer runtime.UnlockOSThread()
	var all []*process
	for range members {
		if p := c.start(ending{}); p != nil {
			all = append(all, p)
			defer p.kill()
		}
	}
	want := int64(0)
	for _, n := range c.produced {
		want += n
	}
	for deadline := time.Now().Add(patience); c.total("next_offset") < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Errorf("the positions stand at %d of %d", c.total("next_offset"), want)
			break
		}
	}
	for _, p := range all {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		for range p.lines {
		}
		if err := p.cmd.Wait(); err != nil {
			c.Errorf("%s: %v", p.Name, err)
		}
	}
}
