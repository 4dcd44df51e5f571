package mutant

import "context"

func commitCancelled() Mutant {
	return Mutant{
		Name:    "commit-cancelled",
		Mistake: "The last commit is made with the context that SIGTERM has cancelled.",
		Doc: "`ctx, stop := signal.NotifyContext(…)` and one `ctx` for everything: the commit after the loop returns at once with `context canceled`, and nobody looks. " +
			"So does `kgo.WithContext(ctx)`; see [franz-go](https://pkg.go.dev/github.com/twmb/franz-go/pkg/kgo#WithContext).",
		Caught:      []string{"graceful-stop"},
		Scenarios:   []string{"stop-mid-batch"},
		AlsoAllowed: []string{"reprocessing"},
		Subject: variant("commit-cancelled", func(s *steps) {
			s.until = func(p *partition) context.Context { return p.c.asked }
		}),
	}
}
