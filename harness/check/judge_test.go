package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ksim-dev/ksim/harness/history"
)

func TestAllAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
		if _, err := os.Stat(strings.ReplaceAll(c.Name, "-", "_") + ".go"); err != nil {
			t.Errorf("%s has no file of its own: %v", c.Name, err)
		}
		example := 0
		for line := range strings.Lines(c.Doc) {
			if strings.HasPrefix(line, "    ") {
				example++
			}
		}
		if example != 5 {
			t.Errorf("the example of %s has %d events, not five", c.Name, example)
		}
		if !strings.Contains(c.Doc, "*Unknown*") {
			t.Errorf("the doc of %s does not say when it is unknown", c.Name)
		}
	}
	if len(seen) != 19 {
		t.Errorf("%d checks", len(seen))
	}
}

func TestWorse(t *testing.T) {
	for _, c := range []struct{ a, b, want Verdict }{
		{Held, Held, Held}, {Held, Unknown, Unknown}, {Unknown, Violated, Violated}, {Violated, Held, Violated},
	} {
		if got := Worse(c.a, c.b); got != c.want {
			t.Errorf("Worse(%s, %s) = %s", c.a, c.b, got)
		}
	}
}

// A sound run that is cut off anywhere is never held as a whole, and never violated.
func TestPrefixesOfSoundRuns(t *testing.T) {
	for name, tell := range map[string]func(*book){
		"steady": sound, "crash": soundCrash, "zombie": soundZombie,
		"poison": func(b *book) { poisoned(b, nil) },
		"exactly once": func(b *book) {
			exactly(b, func() { b.out(0, 0, 2); b.out(0, 3, 6) })
		},
		"revoke": func(b *book) { handOver(b, 3, 5, func() { b.group(history.Revoked, "m1", 0) }) },
	} {
		b := newBook()
		tell(b)
		for n := range b.events {
			h := history.History{Header: b.h, Events: b.events[:n]}
			if rep := Run(h); rep.Verdict != Unknown {
				t.Errorf("%s cut off after %d events is %s: %+v", name, n, rep.Verdict, rep.Checks)
			}
		}
		if rep := Run(b.history()); rep.Verdict == Violated {
			t.Errorf("%s is %s: %+v", name, rep.Verdict, rep.Checks)
		}
	}
}

// What was violated stays violated when the end of the history is lost.
func TestPrefixKeepsViolations(t *testing.T) {
	b := newBook()
	lossyCrash(b)
	b.events = b.events[:len(b.events)-1]
	got := map[string]Verdict{}
	for _, r := range Run(b.history()).Checks {
		got[r.Check] = r.Verdict
	}
	if got["no-loss"] != Violated || got["commit-safety"] != Violated || got["graceful-stop"] != Unknown {
		t.Errorf("%v", got)
	}
}

// A history that is corrupt is judged as far as it can be read.
func TestCorruptHistoryIsJudgedUpToTheLine(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "commit-safety", "violated-lost.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines[len(lines)-4] = "{garbage\n"
	h, err := history.Read(strings.NewReader(strings.Join(lines, "")))
	if err == nil {
		t.Fatal("no error")
	}
	if rep := Run(h); rep.Verdict != Violated {
		t.Errorf("verdict %s", rep.Verdict)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	b := newBook()
	b.join("m1", 0)
	b.produce(0, 0, 200)
	b.do("m1", 0, 0, 1)
	b.commit("m1", 0, 200)
	b.close("m1")
	for _, r := range Run(b.history()).Checks {
		if len(r.Evidence) > MaxEvidence {
			t.Errorf("%s has %d pieces of evidence", r.Check, len(r.Evidence))
		}
		if r.Check == "no-loss" && r.Count != 199 {
			t.Errorf("no-loss counts %d", r.Count)
		}
	}
}

var kinds = []history.Kind{
	history.Produced, history.Logged, history.Fetched, history.EffectStarted, history.EffectDone, history.EffectRefused,
	history.EffectDropped, history.EffectUnmatched, history.CommitRequested, history.Committed, history.DeadLettered,
	history.Joining, history.Assigned, history.Revoked, history.Lost, history.Told, history.Left, history.MemberStarted,
	history.MemberReady, history.MemberStopping, history.MemberFrozen, history.MemberThawed, history.MemberEnded, history.Lag,
	history.FaultBegan, history.FaultEnded, history.Phase, history.LagReported, history.Scraped, history.Output, history.Aborted, history.CommitSealed, "what is this",
}

// soup draws any event whatever, over few names, so that events meet.
func soup(n int) *rapid.Generator[history.Event] {
	return rapid.Custom(func(t *rapid.T) history.Event {
		return history.Event{
			Seq: int64(n), Kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
			At:     time.Duration(rapid.Int64Range(-5, 1e12).Draw(t, "at")),
			Member: rapid.SampledFrom([]string{"", "m1", "m2", "m3"}).Draw(t, "member"), Incarnation: rapid.IntRange(-1, 3).Draw(t, "incarnation"),
			Topic:     rapid.SampledFrom([]string{"", "orders", "other"}).Draw(t, "topic"),
			Partition: rapid.SampledFrom([]int32{-1, 0, 1, 1 << 30}).Draw(t, "partition"),
			Offset:    rapid.SampledFrom([]int64{-1, 0, 1, 2, 3, 1 << 62}).Draw(t, "offset"), End: rapid.Int64Range(-1, 5).Draw(t, "end"),
			Key: rapid.SampledFrom([]string{"", "k1", "k2"}).Draw(t, "key"), Message: rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "message"),
			Hash:    rapid.SampledFrom([]string{"", "00"}).Draw(t, "hash"),
			Poison:  rapid.SampledFrom([]string{"", "undecodable", "permanent", "transient", "tombstone"}).Draw(t, "poison"),
			Outcome: rapid.SampledFrom([]history.Outcome{"", history.Acked, history.Unknown, history.Accepted, history.Refused, history.Stopped, history.Killed, history.Exited, history.Happened, history.Missed}).Draw(t, "outcome"),
			Error:   rapid.SampledFrom([]string{"", "ILLEGAL_GENERATION", "exit status 1"}).Draw(t, "error"),
			Ref:     rapid.Int64Range(-1, int64(n)+1).Draw(t, "ref"),
			Fault:   rapid.SampledFrom([]string{"", "zombie", "crash-mid-batch"}).Draw(t, "fault"),
			Origin:  rapid.SampledFrom([]string{"", "orders/0@1"}).Draw(t, "origin"), Time: time.Duration(rapid.Int64Range(-5, 1e12).Draw(t, "time")),
			Note: rapid.SampledFrom([]string{"", "reset", "static", "evicted", "deadline", history.PhaseDrain, history.PhaseDrained, history.PhaseStop, history.PhaseEnd}).Draw(t, "note"),
		}
	})
}

// Any events in any order are judged without a panic, and results are well-formed.
func TestSoups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newBook().h
		h.Promises = history.Promises{
			Delivery:     rapid.SampledFrom([]string{"", history.AtLeastOnce, history.AtMostOnce}).Draw(t, "delivery"),
			Order:        rapid.SampledFrom([]string{"", history.OrderPartition, history.OrderKey, history.OrderNone}).Draw(t, "order"),
			Poison:       rapid.SampledFrom([]string{"", history.PoisonDeadLetter, history.PoisonSkip, history.PoisonStop}).Draw(t, "poison"),
			GracefulStop: rapid.Bool().Draw(t, "graceful"), Drain: rapid.Bool().Draw(t, "drain"), FencedEffects: rapid.Bool().Draw(t, "fenced"),
			MaxAttempts: rapid.IntRange(-1, 2).Draw(t, "attempts"), MaxReprocessed: rapid.IntRange(0, 2).Draw(t, "reprocessed"),
			Recovery:          time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "recovery")),
			MinBackoff:        time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "backoff")),
			DeadLetterHeaders: rapid.SampledFrom([]string{"", "kip-1191", "unheard of"}).Draw(t, "headers"),
			MaxAttemptsAcross: rapid.IntRange(0, 2).Draw(t, "across"), MaxInFlight: rapid.IntRange(0, 2).Draw(t, "in flight"),
			IncrementalRebalance: rapid.Bool().Draw(t, "incremental"), RebalanceStall: time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "stall")),
			Independent: rapid.SampledFrom([]string{"", history.IndependentPartitions, history.IndependentKeys}).Draw(t, "independent"),
			LagMetric:   rapid.SampledFrom([]string{"", "lag"}).Draw(t, "lag metric"), LagWindow: time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "lag window")),
		}
		h.Evidence = rapid.SampledFrom([]string{"", history.EvidenceCommits, history.EvidenceOutputs}).Draw(t, "evidence")
		h.Checks = rapid.SampledFrom([][]string{nil, {"no-loss", "rebalance"}}).Draw(t, "checks")
		h.Faults = rapid.SliceOfN(rapid.SampledFrom([]string{"zombie", "crash-mid-batch"}), 0, 2).Draw(t, "faults")
		var events []history.Event
		for n := 1; n <= rapid.IntRange(0, 80).Draw(t, "n"); n++ {
			events = append(events, soup(n).Draw(t, fmt.Sprint(n)))
		}
		rep := Run(history.History{Header: h, Events: events})
		worst := Held
		for _, r := range rep.Checks {
			worst = Worse(worst, r.Verdict)
			if (r.Verdict == Violated) != (r.Count > 0) || r.Verdict == Violated && len(r.Evidence) == 0 || r.Verdict != Held && r.Reason == "" || !r.Promised && r.Verdict != Held {
				t.Fatalf("%+v", r)
			}
		}
		if rep.Verdict != worst {
			t.Fatalf("verdict %s, worst %s", rep.Verdict, worst)
		}
	})
}

// long is a run of n records over eight partitions with a crash and a zombie now and then.
func long(n int64) history.History {
	b := newBook()
	b.h.Partitions, b.h.BatchSize = 8, 20
	incarnation := 1
	who := func() string { return fmt.Sprintf("m1#%d", incarnation) }
	b.join(who(), 0, 1, 2, 3, 4, 5, 6, 7)
	for from := int64(0); from < n/8; from += 20 {
		for p := range int32(8) {
			b.produce(p, from, from+20)
			b.do(who(), p, from, from+20)
			if from%1000 == 980 && p == 3 {
				b.end(who(), history.Killed, "signal killed")
				incarnation++
				b.join(who(), 0, 1, 2, 3, 4, 5, 6, 7)
				b.do(who(), p, from, from+20)
			}
			b.commit(who(), p, from+20)
		}
	}
	b.close(who())
	return b.history()
}

func TestLongRunIsHeld(t *testing.T) {
	if rep := Run(long(10_000)); rep.Verdict != Held {
		t.Errorf("%s: %+v", rep.Verdict, rep.Checks)
	}
}

// BenchmarkRun judges a history with all checks; the bound is 1 µs an event.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int64{1_000, 10_000, 100_000} {
		h := long(n)
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			for b.Loop() {
				Run(h)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(h.Events)), "ns/event")
		})
	}
}

// BenchmarkRunNaive judges the run of a consumer that does almost everything wrong.
func BenchmarkRunNaive(b *testing.B) {
	bk := newBook()
	bk.join("m1", 0)
	bk.produce(0, 0, 2000)
	for range 200 {
		bk.refuse("m1", 0, 20)
		bk.do("m1", 0, 0, 20)
		bk.do("m1", 0, 0, 20)
		bk.commit("m1", 0, 40)
		bk.commit("m1", 0, 0)
	}
	bk.giveUp("m1")
	h := bk.history()
	for b.Loop() {
		Run(h)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(h.Events)), "ns/event")
}
