// Command ksim proves a Kafka consumer before production does.
//
//	ksim run [flags] [-- command…]   judge a consumer over the scenarios
//	ksim load [flags] [-- command…]  measure it under open-loop load
//	ksim tune [flags] [-- command…]  find the batch size to run it with
//	ksim check HISTORY…              judge saved histories again
//	ksim report DIR                  write the reports of a run again
//	ksim merge DIR… --out DIR        put together what several load generators measured
//	ksim mutants                     prove the checks by consumers with one mistake each
//	ksim list scenarios|checks|faults|mutants
//	ksim dlq list|replay TOPIC       list dead letters, and send them back
//	ksim docs --out DIR              write the reference docs
//	ksim version
//
// Exit status: 0 held, 1 violated, 2 unknown, 3 a failure of the harness or of usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/mutant"
	"github.com/ksim-dev/ksim/harness/null"
	"github.com/ksim-dev/ksim/harness/reexec"
	"github.com/ksim-dev/ksim/harness/subject"
)

// Exit statuses.
const (
	exitHeld     = 0
	exitViolated = 1
	exitUnknown  = 2
	exitFailed   = 3
)

func main() {
	// Members of the reference consumer and of mutants, and the process that removes
	// containers after a crash, are this same binary in another role.
	reexec.Main(append(mutant.Modes(), referenceSubject().Mode(), null.Subject().Mode(), subject.GuardMode(), containers.ReaperMode())...)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends ksim at once; containers and members go with it.
	context.AfterFunc(ctx, stop)

	root := &cobra.Command{
		Use:           "ksim",
		Short:         "Prove a Kafka consumer before production does",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(nameFlags)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(initVerb(), runVerb(), loadVerb(), tuneVerb(), checkVerb(), reportVerb(), mergeVerb(), mutantsVerb(), listVerb(), dlqVerb(), docsVerb(), versionVerb())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitHeld
	}
	var v verdictError
	if errors.As(err, &v) {
		return v.status()
	}
	_, _ = fmt.Fprintf(stderr, "ksim: %v\n", err)
	return exitFailed
}

// verdictError carries a verdict that is not held to the exit status. It has been printed already.
type verdictError struct{ verdict check.Verdict }

func (e verdictError) Error() string { return string(e.verdict) }

func (e verdictError) status() int {
	if e.verdict == check.Violated {
		return exitViolated
	}
	return exitUnknown
}

// verdict turns a verdict into what a verb returns.
func verdict(v check.Verdict) error {
	if v == check.Held {
		return nil
	}
	return verdictError{v}
}
