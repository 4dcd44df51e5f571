package dlq

import "cmp"

// lane is one partition of the dead-letter topic on its way through a reader.
type lane struct {
	partition int32
	pos, end  int64     // the next offset to come, and where to stop
	window    []*Letter // read and not taken yet
	paused    bool
}

func (l *lane) done() bool { return l.pos >= l.end && len(l.window) == 0 }

// choose picks the lane whose first letter goes next: the one written first, but
// one of a later lane before it if that has an older record of the same original
// partition. The letters of a lane stay in order. Lanes that are done have none;
// all others have one at least. It returns nil when all are done.
func choose(lanes []*lane) *lane {
	var first *lane
	for _, l := range lanes {
		if len(l.window) > 0 && (first == nil || earlier(l, first)) {
			first = l
		}
	}
	if first == nil {
		return nil
	}
	// What must come before the first letter of a lane may lie deep in another one,
	// behind letters that have such a one themselves. If it goes round in a circle,
	// order cannot be had, and the lane reached last goes.
	visited := map[*lane]bool{first: true}
	for again := true; again; {
		again = false
		for _, l := range lanes {
			if !visited[l] && l.before(first.window[0].Origin) {
				first, again = l, true
				visited[l] = true
				break
			}
		}
	}
	return first
}

func earlier(a, b *lane) bool {
	return cmp.Or(a.window[0].Record.Timestamp.Compare(b.window[0].Record.Timestamp), cmp.Compare(a.partition, b.partition)) < 0
}

// before tells whether the lane has a letter that must be sent before one of that
// origin.
func (l *lane) before(o Origin) bool {
	if o.Topic == "" {
		return false
	}
	for _, letter := range l.window {
		if x := letter.Origin; x.Partition == o.Partition && x.Offset < o.Offset && x.Topic == o.Topic {
			return true
		}
	}
	return false
}
