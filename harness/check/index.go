package check

import "github.com/ksim-dev/ksim/harness/history"

// indexer gives dense numbers to what events name by strings.
type indexer struct {
	*Facts
	byMessage map[string]int32
	byKey     map[string]int32
	byLife    map[lifeName]int32
	byPart    []map[int32]int32 // one for each time that the topic was made
	made      int               // index in byPart: which of these it is
	lastLife  lifeName          // most events follow one of the same member
	lastIndex int32
}

type lifeName struct {
	member      string
	incarnation int
}

func newIndexer(f *Facts) *indexer {
	n := len(f.events)/4 + 1
	return &indexer{
		Facts: f, lastIndex: none,
		byMessage: make(map[string]int32, n), byKey: map[string]int32{},
		byLife: map[lifeName]int32{}, byPart: []map[int32]int32{{}},
	}
}

// indexRecords finds the place of every record before anything is replayed:
// a subject may well have an effect done before the producer has its answer.
func (ix *indexer) indexRecords() {
	for i := range ix.events {
		e := &ix.events[i]
		if e.Kind == history.Recreated && ix.mine(e.Topic) {
			ix.byPart = append(ix.byPart, map[int32]int32{})
			ix.made++
		}
		if e.Kind != history.Produced && e.Kind != history.Logged || e.Message == "" || !ix.mine(e.Topic) {
			continue
		}
		ri := ix.record(e.Message)
		r := &ix.records[ri]
		if r.event == none {
			r.event, r.hash, r.poison = int32(i), e.Hash, e.Poison
			r.key, r.keyID = e.Key, ix.key(e.Key)
		}
		if e.Kind == history.Produced && e.Outcome == history.Voided && !r.known {
			r.voided = true
			if e.Offset >= 0 { // it has a place, and takes none among the records that are to be done
				r.offset, r.part = e.Offset, ix.part(e.Partition)
			}
		}
		if r.known || e.Offset < 0 || e.Kind == history.Produced && e.Outcome != history.Acked {
			continue
		}
		r.known, r.event, r.offset = true, int32(i), e.Offset
		r.part = ix.part(e.Partition)
		ix.parts[r.part].records = append(ix.parts[r.part].records, ri)
		ix.known++
	}
	ix.made = 0 // the replay begins with the first topic
}

func (ix *indexer) record(message string) int32 {
	if i, ok := ix.byMessage[message]; ok {
		return i
	}
	i := int32(len(ix.records))
	ix.records = append(ix.records, record{
		message: message, offset: -1, part: none, keyID: none, event: none, started: none,
		done: none, orderly: none, lastDone: none, letter: none, output: none, passed: none, maybe: none, gone: none,
	})
	ix.byMessage[message] = i
	return i
}

// key numbers keys; a record without a key belongs to no order: none.
func (ix *indexer) key(key string) int32 {
	if key == "" {
		return none
	}
	if i, ok := ix.byKey[key]; ok {
		return i
	}
	i := int32(len(ix.keys))
	ix.keys = append(ix.keys, key)
	ix.byKey[key] = i
	return i
}

func (ix *indexer) part(id int32) int32 {
	if i, ok := ix.byPart[ix.made][id]; ok {
		return i
	}
	i := int32(len(ix.parts))
	ix.parts = append(ix.parts, partition{id: id, owner: none, committed: -1, progress: none, refusals: [2]refusal{{none, none}, {none, none}}})
	ix.byPart[ix.made][id] = i
	return i
}

func (ix *indexer) life(member string, incarnation int) int32 {
	name := lifeName{member, max(incarnation, 1)}
	if ix.lastIndex != none && ix.lastLife == name {
		return ix.lastIndex
	}
	i, ok := ix.byLife[name]
	if !ok {
		i = int32(len(ix.lives))
		ix.lives = append(ix.lives, life{
			member: member, incarnation: name.incarnation, stopping: none, ended: none, left: none,
			joined: none, told: none, froze: none, lastCause: none, lastStarted: none,
		})
		ix.byLife[name] = i
	}
	ix.lastLife, ix.lastIndex = name, i
	return i
}
