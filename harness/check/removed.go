package check

// removal is what left the log of a partition.
type removal struct{ pos, part int32 }

// passRemovals notes of each record by what it left the log. The first observation counts.
func (f *Facts) passRemovals() {
	for _, r := range f.removals {
		e := &f.events[r.pos]
		for _, ri := range f.between(r.part, e.Offset, e.End) {
			if f.records[ri].gone == none {
				f.records[ri].gone = r.pos
			}
		}
	}
}

// removed tells whether the log may have lost a record, by retention, DeleteRecords or compaction,
// before the subject passed it: nobody could read it then. Where the order of the two is not
// certain, the subject is believed. A commit that was sent while the record was there for sure is no such case.
func (f *Facts) removed(r *record) bool {
	if r.gone == none || f.vanished(r) {
		return false
	}
	return r.passed == none || f.commits[r.passed].request >= f.at(f.events[r.gone].Ref)
}

// vanished tells whether a record is in the log no more, and nobody knows since when.
func (f *Facts) vanished(r *record) bool {
	return r.gone != none && f.at(f.events[r.gone].Ref) == none
}
