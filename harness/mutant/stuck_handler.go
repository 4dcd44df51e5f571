package mutant

func stuckHandler() Mutant {
	return Mutant{
		Name:    "stuck-handler",
		Mistake: "It waits for an answer without a limit, while its heartbeats go on.",
		Doc: "`http.Client{}` of Go and `requests` of Python have no timeout. Heartbeats come from a thread of their own since " +
			"[KIP-62](https://cwiki.apache.org/confluence/display/KAFKA/KIP-62%3A+Allow+consumer+to+send+heartbeats+from+a+background+thread), and where the client has no limit on the time between polls nobody ever notices.",
		Caught:      []string{"commit-progress"},
		Scenarios:   []string{"hung-effect"},
		AlsoAllowed: []string{"graceful-stop"},
		Subject:     variant("stuck-handler", func(s *steps) { s.patience = 0 }),
	}
}
