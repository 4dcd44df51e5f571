// Command consumer is a whole service on the consumer library: it bills orders that
// come in through Kafka, by POST to a billing system. Run it by
//
//	KAFKA_BROKERS=127.0.0.1:9092 go run ./examples/consumer -billing http://127.0.0.1:8080/bills
//
// On SIGTERM or SIGINT it finishes the orders at hand, commits, leaves the group and
// exits, within shutdown-timeout of its configuration; a second signal ends it at once.
// Its exit status is 0 after a graceful stop, 1 if it failed or could not stop in
// time, and 2 if it was not started properly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/ksim-dev/ksim/consumer"
)

const (
	exitStopped = iota
	exitFailed
	exitUsage
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, bills)) }

// run is main, with what a test replaces.
func run(args []string, stdout, stderr io.Writer, handler func(url string) consumer.Handler) int {
	flags := flag.NewFlagSet("consumer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "consumer.yaml", "configuration `file`")
	url := flags.String("billing", "", "`URL` of the billing system")
	check := flags.Bool("check", false, "check the configuration, print what is in force, and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitStopped
		}
		return exitUsage
	}
	cfg, err := consumer.LoadConfig(*path)
	if err != nil {
		fmt.Fprintln(stderr, err) // every mistake, with its line
		return exitUsage
	}
	if *check {
		fmt.Fprint(stdout, cfg)
		return exitStopped
	}
	if *url == "" {
		fmt.Fprintln(stderr, "-billing: give the URL of the billing system")
		return exitUsage
	}

	// The signals come first, so that none is missed while the rest is set up.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // from then on a signal does what it does by default

	// What is code, and not configuration: the logger, hooks, metrics, tracing.
	cfg.Logger = slog.New(slog.NewJSONHandler(stderr, nil))
	cfg.Logger.Info("configuration", "config", cfg)

	c, err := consumer.New(cfg, handler(*url))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	if err := c.Run(ctx); err != nil {
		// A handler call that hangs does not keep the process: it ends with it.
		cfg.Logger.Error("failed", "err", err)
		return exitFailed
	}
	return exitStopped
}
