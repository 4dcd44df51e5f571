package tune

import (
	"math/rand/v2"
	"slices"
)

// Trial is one measurement to be made.
type Trial struct {
	Round   int     `json:"round"` // from 1
	Setting Setting `json:"setting"`
}

// Order gives out the trials of a sweep one by one, in rounds. A round has every setting that is not yet decided once, in an order of its own.
// So whatever drifts while the sweep lasts (a machine that gets warm, a neighbour, a log that grows) meets all
// settings alike, and is noise in each and no difference between them.
type Order struct {
	settings []Setting
	trials   int
	seed     uint64
	round    int       // begun, from 1
	queue    []Setting // what is left of it
	dropped  map[Setting]bool
}

// Plan orders the given number of trials of each setting. The same seed gives the same order.
func Plan(settings []Setting, trials int, seed uint64) *Order {
	o := &Order{trials: trials, seed: seed, dropped: make(map[Setting]bool)}
	for _, s := range settings {
		if !slices.Contains(o.settings, s) {
			o.settings = append(o.settings, s)
		}
	}
	return o
}

// Next returns the trial to make now; ok is false when all are made.
func (o *Order) Next() (t Trial, ok bool) {
	for {
		for len(o.queue) > 0 {
			s := o.queue[0]
			o.queue = o.queue[1:]
			if !o.dropped[s] {
				return Trial{o.round, s}, true
			}
		}
		if o.round >= o.trials || len(o.dropped) == len(o.settings) {
			return Trial{}, false
		}
		o.round++
		o.queue = o.shuffled(o.round)
	}
}

// shuffled is the order of a round. It depends on the seed, the round and all settings, and not on
// what was dropped: the trials that remain keep their order.
func (o *Order) shuffled(round int) []Setting {
	out := slices.Clone(o.settings)
	r := rand.New(rand.NewPCG(o.seed, uint64(round)))
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// Drop takes a setting that is decided out of all trials to come. A setting that is not in the plan is ignored.
func (o *Order) Drop(s Setting) {
	if slices.Contains(o.settings, s) {
		o.dropped[s] = true
	}
}

// Left is how many trials are still to be made, if nothing more is dropped.
func (o *Order) Left() int {
	n := 0
	for _, s := range o.queue {
		if !o.dropped[s] {
			n++
		}
	}
	return n + max(0, o.trials-o.round)*(len(o.settings)-len(o.dropped))
}
