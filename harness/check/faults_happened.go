package check

var faultsHappened = Check{
	Name: "faults-happened",
	Doc: `What the scenario meant to do was done, and there was something to see.

    phase         faults
    fault-began   zombie m1
    fault-ended   zombie m1 missed: nobody took the partitions of m1 over
    phase         drained
    phase         end

Nothing was wrong, but nothing was tried either.

Never violated. *Unknown* when a fault of the scenario is missing from the history or was missed, when nothing was produced or no
effect was seen, and when the history has no end. *Held* otherwise.`,
	Judge: judgeFaultsHappened,
}

func judgeFaultsHappened(f *Facts) Result {
	r := held(true)
	if why := f.thin(); why != "" {
		r.unknown("%s", why)
		return r
	}
	want := map[string]int{}
	happened := 0
	for _, name := range f.Header.Faults {
		want[name]++
	}
	for _, name := range f.Header.Faults { // in the order of the scenario
		have := f.happens[name]
		happened += min(have, want[name])
		switch {
		case f.missed[name] > 0:
			r.unknown("the fault %s did not happen: %s", name, f.why[name])
		case have < want[name]:
			r.unknown("the fault %s is not in the history: %d of %d happened", name, have, want[name])
		}
		if r.Verdict == Unknown {
			return r
		}
		want[name] = 0
	}
	if !f.complete() {
		r.unknown("the history has no end: the run was cut off, or what follows is corrupt")
	}
	r.Figures["faults"] = float64(happened)
	return r.conclude("", noun{}, "%s", num(happened, "fault happened", "faults happened"))
}
