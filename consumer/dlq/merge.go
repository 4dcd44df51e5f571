package dlq

import "cmp"

// lane is one partition of the dead-letter topic on its way through a reader.
type lane struct {
	partition int32
	pos, end  int64     // the next offset to come, and where to stop
	window    []*Letter // read and not taken yet
	bytes     int       // of their keys and values
	paused    bool
}

func (l *lane) push(letter *Letter) {
	l.window = append(l.window, letter)
	l.bytes += len(letter.Record.Key) + len(letter.Record.Value)
}

func (l *lane) take() *Letter {
	letter := l.window[0]
	l.window[0] = nil
	l.window = l.window[1:]
	l.bytes -= len(letter.Record.Key) + len(letter.Record.Value)
	return letter
}

// choose picks the lane whose first letter goes next: the one written first, but
// one of a later lane before it if that has an older record of the same original
// partition. The letters of a lane stay in order. It returns nil if there are none.
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
