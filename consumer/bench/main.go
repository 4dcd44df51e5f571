// Command bench measures package consumer beside other Kafka consumers, on one real
// broker, in one run. See docs/consumer-benchmarks.md, which it writes.
//
// It is a module of its own so that the clients it compares stay out of ksim's
// dependencies. Run it by `make bench-consumer`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/reexec"
)

// options are what a run measures.
type options struct {
	records   int
	rounds    int
	keyRounds int
	window    time.Duration // of a key order trial
	fetchMax  int           // MiB
	only      []string
	out       string
	profiles  string
	seed      uint64
}

func main() {
	reexec.Main(containers.ReaperMode(), trialMode())
	opt, err := parse(os.Args[1:])
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, opt)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var opt options
	names := make([]string, 0, len(subjects))
	for _, s := range subjects {
		names = append(names, s.name)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&opt.records, "records", 6_000_000, "`records` to consume in each throughput trial")
	flags.IntVar(&opt.rounds, "rounds", 5, "throughput `rounds`; each runs every subject once, in random order")
	flags.IntVar(&opt.keyRounds, "key-rounds", 3, "key order `rounds`; 0 leaves key order out")
	flags.DurationVar(&opt.window, "window", 3*time.Second, "`time` over which a key order trial counts")
	flags.IntVar(&opt.fetchMax, "fetch-max", 16, "`MiB` that one fetch may bring")
	only := flags.String("only", strings.Join(names, ","), "the `subjects` to measure; raw franz-go is what all are compared with")
	flags.StringVar(&opt.out, "out", "", "write the Markdown report to this `file` too")
	flags.StringVar(&opt.profiles, "profiles", "", "write a CPU profile of each Go trial to this `directory`; it costs some speed")
	flags.Uint64Var(&opt.seed, "seed", 1, "of the order of the trials")
	if err := flags.Parse(args); err != nil {
		return opt, err
	}
	if flags.NArg() > 0 {
		return opt, fmt.Errorf("%q is not expected: there are only flags", flags.Arg(0))
	}
	if opt.records < partitions || opt.rounds < 1 || opt.keyRounds < 0 || opt.window <= 0 || opt.fetchMax < 1 {
		return opt, errors.New("-records, -rounds, -window and -fetch-max must be more than 0")
	}
	opt.only = strings.Split(*only, ",")
	for _, name := range opt.only {
		if !slices.Contains(names, name) {
			return opt, fmt.Errorf("-only: %q is none of %s", name, strings.Join(names, ", "))
		}
	}
	return opt, nil
}

// run prepares a broker and the records, measures, and reports.
func run(ctx context.Context, opt options) error {
	began := time.Now()
	var tool string
	if slices.Contains(opt.only, perfTool) {
		var err error
		if tool, err = fetchTool(ctx); err != nil {
			return fmt.Errorf("%w\nWithout Kafka's perf tool: -only with the other subjects", err)
		}
	}
	say("starting Kafka in a container")
	kafka, err := startKafka(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = kafka.Close() }() // its reaper tries again
	bench := &bench{options: opt, kafka: kafka, tool: tool, load: loadAverage()}
	if err := bench.produce(ctx); err != nil {
		return err
	}
	if err := bench.throughput(ctx); err != nil {
		return err
	}
	if err := bench.keyOrder(ctx); err != nil {
		return err
	}
	text, err := bench.report(began)
	if err != nil {
		return err
	}
	fmt.Print(text)
	if opt.out != "" {
		return os.WriteFile(opt.out, []byte(text), 0o644)
	}
	return nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
