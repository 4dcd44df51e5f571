package check

import (
	"maps"
	"slices"

	"github.com/ksim-dev/ksim/harness/history"
)

// recreate begins with the partitions of a topic that was made anew. Who owned
// one of the old topic owns its namesake: the group shares out names.
func (r *replay) recreate(pos int32) {
	old := r.byPart[r.made]
	r.made++
	r.recreated++
	for _, id := range slices.Sorted(maps.Keys(old)) {
		part := r.part(id)
		who := r.parts[old[id]].owner
		if r.parts[part].owner = who; who == none {
			continue
		}
		s := r.seat(who, part)
		s.standing, s.since = owner, pos
	}
}

// partOfCommit is the partition that a commit is about. After the topic was made anew a client may still, by its
// clock, commit the position that it had in the old one, until it has done something in the new one; or one that
// the new one never reaches.
func (r *replay) partOfCommit(e *history.Event) int32 {
	part := r.part(e.Partition)
	if r.made == 0 {
		return part
	}
	old, ok := r.byPart[r.made-1][e.Partition]
	if !ok {
		return part
	}
	end := int64(0)
	for _, ri := range r.parts[part].records {
		end = max(end, r.records[ri].offset+1)
	}
	s := r.seat(r.life(e.Member, e.Incarnation), part)
	if e.Offset > end || s.high == 0 && e.Offset == r.parts[old].committed {
		return old
	}
	return part
}
