package reports_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
)

const topic = "orders"

// script writes a synthetic history with times of its own choosing.
type script struct {
	log    *history.Log
	seq    map[int32]int64 // next offset of a partition
	owners map[int32]string
	lives  map[string]int
}

func newScript(t testing.TB, dir, scenario string, partitions int32) *script {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := history.Create(filepath.Join(dir, "history.jsonl"), history.Header{
		Scenario: scenario, Topic: topic, Partitions: partitions, Members: 3, BatchSize: 20, Promises: history.DefaultPromises(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &script{log: log, seq: map[int32]int64{}, owners: map[int32]string{}, lives: map[string]int{}}
}

func (s *script) close(t testing.TB) {
	t.Helper()
	if err := s.log.Close(); err != nil {
		t.Fatal(err)
	}
}

func at(secs float64) time.Duration { return time.Duration(secs * float64(time.Second)) }

func (s *script) add(secs float64, e history.Event) history.Event {
	e.At = at(secs)
	return s.log.Append(e)
}

func (s *script) start(secs float64, member string) {
	s.lives[member]++
	s.add(secs, history.Event{Kind: history.MemberStarted, Member: member, Incarnation: s.lives[member]})
}

func (s *script) own(secs float64, kind history.Kind, member string, partitions ...int32) {
	for _, p := range partitions {
		s.add(secs, history.Event{Kind: kind, Member: member, Incarnation: s.lives[member], Topic: topic, Partition: p})
		if kind == history.Assigned {
			s.owners[p] = member
		} else {
			delete(s.owners, p)
		}
	}
}

// work does effects on every owned partition, and a commit after every tenth.
func (s *script) work(from, to, every float64, partitions int32) {
	n := 0
	for t := from; t < to; t += every {
		p := int32(n) % partitions
		n++
		member, ok := s.owners[p]
		if !ok {
			continue
		}
		o := s.seq[p]
		s.seq[p]++
		id := fmt.Sprintf("m-%d-%04d", p, o)
		s.add(t-0.05, history.Event{Kind: history.Produced, Topic: topic, Partition: p, Offset: o, Message: id, Key: fmt.Sprintf("k%d", o%7), Outcome: history.Acked})
		s.effect(t, member, p, o, 0)
		if o%10 == 9 {
			c := s.add(t+0.01, history.Event{Kind: history.CommitRequested, Member: member, Incarnation: s.lives[member], Topic: topic, Partition: p, Offset: o + 1})
			s.add(t+0.02, history.Event{Kind: history.Committed, Ref: c.Seq, Member: member, Topic: topic, Partition: p, Offset: o + 1, Outcome: history.Accepted})
		}
	}
}

// effect answers with an EffectDone that names nothing but the event it
// belongs to, the shortest form the vocabulary allows.
func (s *script) effect(secs float64, member string, p int32, o int64, repeat int) {
	e := s.add(secs-0.002, history.Event{Kind: history.EffectStarted, Member: member, Incarnation: s.lives[member], Topic: topic, Partition: p, Offset: o, Message: fmt.Sprintf("m-%d-%04d", p, o)})
	s.add(secs, history.Event{Kind: history.EffectDone, Ref: e.Seq, Repeat: repeat})
}

func (s *script) group(secs float64) {
	s.add(secs, history.Event{Kind: history.Phase, Note: history.PhaseWarmUp})
	for i, m := range []string{"m1", "m2", "m3"} {
		s.start(secs+0.05+0.02*float64(i), m)
	}
	s.own(secs+0.4, history.Assigned, "m1", 0, 1)
	s.own(secs+0.4, history.Assigned, "m2", 2)
	s.own(secs+0.4, history.Assigned, "m3", 3)
}

func (s *script) finish(secs float64) {
	s.add(secs, history.Event{Kind: history.Phase, Note: history.PhaseDrain})
	s.add(secs+0.6, history.Event{Kind: history.Phase, Note: history.PhaseDrained})
	s.add(secs+0.7, history.Event{Kind: history.Phase, Note: history.PhaseStop})
	for m, n := range map[string]int{"m1": s.lives["m1"], "m2": s.lives["m2"], "m3": s.lives["m3"]} {
		s.add(secs+0.9, history.Event{Kind: history.MemberEnded, Member: m, Incarnation: n, Outcome: history.Stopped})
	}
	s.add(secs+1, history.Event{Kind: history.Phase, Note: history.PhaseEnd})
}

func steadyHistory(t testing.TB, dir string) {
	s := newScript(t, dir, "steady", 4)
	s.group(0.1)
	s.work(0.6, 4, 0.01, 4)
	s.finish(4)
	s.close(t)
}

func joinHistory(t testing.TB, dir string) {
	s := newScript(t, dir, "member-joins", 4)
	s.group(0.1)
	s.work(0.6, 2, 0.01, 4)
	f := s.add(2, history.Event{Kind: history.FaultBegan, Fault: "member-joins", Member: "m4"})
	s.start(2.05, "m4")
	s.own(2.4, history.Revoked, "m1", 1)
	s.work(2.4, 2.6, 0.01, 4)
	s.own(2.6, history.Assigned, "m4", 1)
	s.add(2.8, history.Event{Kind: history.FaultEnded, Fault: "member-joins", Ref: f.Seq, Outcome: history.Happened, Note: "m4 joined and owns 1 partition"})
	s.work(2.8, 4, 0.01, 4)
	s.finish(4)
	s.close(t)
}

func crashHistory(t testing.TB, dir string) {
	s := newScript(t, dir, "crash-mid-batch", 4)
	s.group(0.1)
	s.work(0.6, 2.2, 0.01, 4)
	s.add(1.9, history.Event{Kind: history.Phase, Note: history.PhaseFaults})
	f := s.add(2.2, history.Event{Kind: history.FaultBegan, Fault: "crash-mid-batch", Member: "m1"})
	s.add(2.3, history.Event{Kind: history.MemberEnded, Member: "m1", Incarnation: 1, Outcome: history.Killed, Error: "signal: killed"})
	s.own(2.5, history.Lost, "m1", 0, 1)
	s.own(2.9, history.Assigned, "m2", 0)
	s.own(2.9, history.Assigned, "m3", 1)
	for i := range 9 {
		s.effect(3+0.02*float64(i), "m2", 0, s.seq[0]-9+int64(i), 1)
		s.effect(3.01+0.02*float64(i), "m3", 1, s.seq[1]-9+int64(i), 1)
	}
	s.start(3.1, "m1")
	s.add(3.2, history.Event{Kind: history.FaultEnded, Fault: "crash-mid-batch", Ref: f.Seq, Outcome: history.Happened, Note: "m1 was killed after effect 7 of a batch of 20"})
	s.own(3.3, history.Revoked, "m3", 1)
	s.own(3.5, history.Assigned, "m1", 1)
	r := s.add(3.55, history.Event{Kind: history.CommitRequested, Member: "m3", Topic: topic, Partition: 1, Offset: 60})
	s.add(3.56, history.Event{Kind: history.Committed, Ref: r.Seq, Member: "m3", Topic: topic, Partition: 1, Offset: 60, Outcome: history.Refused, Error: "ILLEGAL_GENERATION"})
	s.work(3.6, 5.4, 0.01, 4)
	s.add(4.4, history.Event{Kind: history.DeadLettered, Topic: "dlq.orders", Partition: 0, Offset: 0, Message: "m-2-0020"})
	s.finish(5.4)
	s.close(t)
}

func zombieHistory(t testing.TB, dir string) {
	s := newScript(t, dir, "zombie", 4)
	s.group(0.1)
	s.work(0.6, 1.6, 0.01, 4)
	f := s.add(1.6, history.Event{Kind: history.FaultBegan, Fault: "zombie", Member: "m2"})
	s.add(1.7, history.Event{Kind: history.MemberFrozen, Member: "m2", Incarnation: 1})
	s.work(1.7, 3.4, 0.02, 2)
	s.add(3.4, history.Event{Kind: history.MemberThawed, Member: "m2", Incarnation: 1})
	s.add(3.5, history.Event{Kind: history.FaultEnded, Fault: "zombie", Ref: f.Seq, Outcome: history.Missed, Note: "the session of m2 did not expire within 1.7 s"})
	s.work(3.6, 4.6, 0.01, 4)
	s.finish(4.6)
	s.close(t)
}

var started = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

func heldChecks() []check.Result {
	return []check.Result{
		{Check: "no-loss", Verdict: check.Held, Promised: true, Reason: "340 acked records, every one of them done"},
		{Check: "commit-safety", Verdict: check.Held, Promised: true, Reason: "32 commits judged"},
		{Check: "reprocessing", Verdict: check.Held, Promised: true, Figures: map[string]float64{"largest_window": 0}},
		{Check: "key-order", Verdict: check.Held, Figures: map[string]float64{"overtakes": 3, "stall_ms": 12.5}},
		{Check: "graceful-stop", Verdict: check.Held, Promised: true},
	}
}

func violatedChecks() []check.Result {
	cs := heldChecks()
	cs[0].Verdict, cs[0].Count, cs[0].Reason = check.Violated, 18, "18 acked records were never done"
	for i := range 16 {
		cs[0].Evidence = append(cs[0].Evidence, check.Evidence{
			What: "acked, never done: committed past by m1", Where: fmt.Sprintf("orders/%d@%d", i%2, 40+i/2), Message: fmt.Sprintf("m-%d-%04d", i%2, 40+i/2),
			Key: fmt.Sprintf("k%d", i%7), Member: "m1", At: at(2.25 + 0.001*float64(i)), Events: []int64{int64(310 + i), int64(480 + i)},
		})
	}
	cs[1].Verdict, cs[1].Count, cs[1].Reason = check.Violated, 1, "a commit covered a record that was not done"
	cs[1].Evidence = []check.Evidence{{
		What: "commit of 48 accepted while 40 was not done | key <k5>", Where: "orders/0@40", Message: "m-0-0040", Key: "k5", Member: "m1#2", At: at(3.62), Events: []int64{512},
		Story: []string{"09:30:02.300 m1 was killed", "09:30:02.900 m2 was given partition 0", "09:30:03.620 m1#2 committed 48, refused: <ILLEGAL_GENERATION> | *all*"},
	}}
	return cs
}

// sampleRun is a run with every verdict in it, whose files lie in dir.
func sampleRun(t testing.TB, dir string) harness.Run {
	t.Helper()
	steadyHistory(t, filepath.Join(dir, "steady"))
	joinHistory(t, filepath.Join(dir, "member-joins"))
	crashHistory(t, filepath.Join(dir, "crash-mid-batch"))
	zombieHistory(t, filepath.Join(dir, "zombie"))
	unknown := heldChecks()
	unknown[2].Verdict, unknown[2].Reason = check.Unknown, "the fault zombie did not happen"
	counts := check.Counts{Produced: 340, Effects: 340, Commits: 32}
	crash := check.Counts{Produced: 340, Effects: 358, Reprocessed: 18, DeadLettered: 1, Commits: 31, Refused: 2}
	return harness.Run{
		ID: "20261120-093000-7f3a", Dir: dir, Version: "0.1.0",
		Command: []string{"ksim", "run", "--members", "3", "--seed=7", "--out", "out", "--", "python3", "examples/python/naive.py", "it's"},
		Subject: "python3 examples/python/naive.py", Kafka: "embedded (kfake)", Seed: 42, Started: started, Seconds: 31.4,
		Machine: harness.Machine{OS: "linux", Arch: "amd64", CPUs: 2, GoVersion: "go1.26.8"},
		Members: 3, BatchSize: 20, Partitions: 4,
		Scenarios: []harness.Result{
			{Scenario: "steady", Doc: "Nothing goes wrong.", Verdict: check.Held, Started: started, Seconds: 5, Checks: heldChecks(), Counts: counts, Dir: "steady"},
			{Scenario: "member-joins", Doc: "A fourth member joins while messages flow.", Verdict: check.Held, Started: started, Seconds: 5.1, Checks: heldChecks(), Counts: counts, Dir: "member-joins",
				Waived: map[string]string{"drain": "while the coordinator is away nothing can be committed"}},
			{
				Scenario: "crash-mid-batch", Doc: "A member is killed between two effects of one batch; the rest of the batch must come again.",
				Verdict: check.Violated, Reason: "no-loss is violated 18 times, commit-safety once", Started: started, Seconds: 6.4,
				Checks: violatedChecks(), Counts: crash, Dir: "crash-mid-batch",
				Attribution: "18 repeated: all by the crash of m1 at 09:30:02.300, partition 0 [30,39) and partition 1 [30,39)",
				Causes: []check.Cause{
					{Kind: "crash", Member: "m1", At: at(2.3), Count: 18, Windows: []check.Window{{Topic: topic, Partition: 0, From: 30, To: 39}, {Topic: topic, Partition: 1, From: 30, To: 39}}},
					{Kind: "rebalance", Member: "m3", At: at(3.3), Count: 0},
				},
			},
			{Scenario: "zombie", Doc: "A member is frozen past its session timeout, then thawed.", Verdict: check.Unknown, Reason: "the fault zombie did not happen", Started: started, Seconds: 5.6, Checks: unknown, Counts: counts, Dir: "zombie"},
			{Scenario: "slow-handler", Doc: "The sink is slower than the session timeout.", Started: started, Seconds: 0.4, Dir: "slow-handler", Err: errors.New("start Kafka: listen tcp 127.0.0.1:9092: bind: address already in use")},
		},
		Load: sampleLoad(),
	}
}
