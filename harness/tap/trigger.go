package tap

import "slices"

// concerns tells whether the rule may match calls of this kind at all.
func (a *Armed) concerns(member string, key int16, d Direction) bool {
	return a.rule.Direction == d && a.mayConcern(member, key)
}

func (a *Armed) mayConcern(member string, key int16) bool {
	return !a.over.Load() && a.rule.of(key) && (a.rule.Member == "" || a.rule.Member == member)
}

// of tells whether the rule is about an API.
func (r Rule) of(key int16) bool {
	return r.Key == key || r.Key == AnyKey || slices.Contains(r.Also, key)
}

// keys lists the APIs that the rule is about; none of a rule for all of them.
func (r Rule) keys() []int16 {
	if r.Key == AnyKey {
		return nil
	}
	return append([]int16{r.Key}, r.Also...)
}

// looks tells whether the rule must see the body of a call, whatever its API.
func (r Rule) looks() bool {
	if r.Topic != "" || r.Partitions != nil || r.Group != "" {
		return true
	}
	_, changes := r.Action.(changer)
	return changes
}

// take counts a call that matches. It returns whether to act on it, and what
// tells of the release.
func (a *Armed) take(f *flight) (released <-chan struct{}, act bool) {
	if !a.matches(f) {
		return nil, false
	}
	u := a.rule.Until
	ends := u.When != nil && u.When(f.call)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over.Load() {
		return nil, false
	}
	if ends {
		a.end()
		return nil, false
	}
	a.seen++
	chosen := a.choose(a.seen - a.rule.After)
	if chosen {
		a.hits++
	}
	if u.Calls > 0 && a.seen >= u.Calls || a.rule.Times > 0 && a.hits >= a.rule.Times {
		a.end()
	}
	return a.released, chosen
}

// choose decides on the nth call after those that pass first. A die is cast for each of them, so that the
// choice depends on n and on nothing else.
func (a *Armed) choose(n int) bool {
	switch {
	case n <= 0:
		return false
	case a.rule.Every > 1:
		return n%a.rule.Every == 0
	case a.rule.Probability > 0:
		return a.dice.Float64() < a.rule.Probability
	}
	return true
}

// untake takes a hit back: an earlier rule found that the call had ended.
func (a *Armed) untake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hits--
	close(a.more)
	a.more = make(chan struct{})
}

// matches tells whether a call is one that the rule selects, and that its action can act on.
func (a *Armed) matches(f *flight) bool {
	s := f.selection(a.rule)
	if !s.everything() && !slices.ContainsFunc(f.call.places, s.names) {
		return false
	}
	if a.rule.Match != nil && !a.rule.Match(f.call) {
		return false
	}
	c, ok := a.rule.Action.(changer)
	return !ok || c.applies(f, s)
}
