package mutant

func staleLag() Mutant {
	return Mutant{
		Name:    "stale-lag",
		Mistake: "The lag of a partition that was given up is exported for ever, at its last value.",
		Doc: "A gauge by partition that is set and never deleted. Two members report the same partition, and the alert fires for the one that has had nothing to do with it for days; " +
			"[Prometheus](https://prometheus.io/docs/instrumenting/writing_clientlibs/) clients have `remove` for that.",
		Caught:      []string{"truthful-lag"},
		Scenarios:   []string{"moved-and-then-calm"},
		AlsoAllowed: nil,
		Subject:     variant("stale-lag", func(s *steps) { s.unshown = func(*gauges, []int32) {} }),
	}
}
