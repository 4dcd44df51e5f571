package mutant

import (
	"maps"
	"sync"
)

func commitAfterRevoke() Mutant {
	return Mutant{
		Name:    "commit-after-revoke",
		Mistake: "Positions of partitions that were given up are committed again with the next commit.",
		Doc: "A map of offsets that is not cleared when partitions are revoked, or an asynchronous commit in the callback. The group takes it from any member of the generation, for any partition. " +
			"franz-go warns of it at [CommitOffsets](https://pkg.go.dev/github.com/twmb/franz-go/pkg/kgo#Client.CommitOffsets).",
		Caught:      []string{"fencing"},
		Scenarios:   []string{"member-joins"},
		AlsoAllowed: []string{"commit-progress", "reprocessing", "commit-safety"},
		Subject: variant("commit-after-revoke", func(s *steps) {
			var mu sync.Mutex
			positions := map[int32]int64{}
			s.commit = func(p *partition) {
				mu.Lock()
				if next, dirty := p.uncommitted(); dirty {
					positions[p.id] = next
				}
				all := maps.Clone(positions)
				mu.Unlock()
				_ = p.c.send(p.ctx, all) // it is committed again with the next one
			}
		}),
	}
}
