package mutant

import "github.com/twmb/franz-go/pkg/kgo"

func logAndContinue() Mutant {
	return Mutant{
		Name:    "log-and-continue",
		Mistake: "A record that fails is written to the log and forgotten.",
		Doc: "`except Exception: log.exception(…)` in the loop. Kafka Streams offers it by name (`LogAndContinueExceptionHandler`, " +
			"[KIP-161](https://cwiki.apache.org/confluence/display/KAFKA/KIP-161%3A+streams+deserialization+exception+handlers)), for records that nobody can read; here a moment's outage is enough.",
		Caught:    []string{"no-loss", "commit-safety"},
		Scenarios: []string{"transient-failures"},
		Subject: variant("log-and-continue", func(s *steps) {
			s.failed = func(*partition, *kgo.Record, int, answer) fate { return ended }
		}),
	}
}
