package workload

import "encoding/binary"

// word is how many bytes of padding are made at a time.
const word = 8

// gamma is the step of SplitMix64: 2^64 divided by the golden ratio.
const gamma = 0x9e3779b97f4a7c15

// mix is the output function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// pad fills b up to its last whole word with characters that no codec can make shorter than 6 bits each,
// and that JSON does not escape: # to c without the backslash, 64 in all.
func pad(b []byte, state uint64) {
	for ; len(b) >= word; b = b[word:] {
		state += gamma
		binary.LittleEndian.PutUint64(b, characters(mix(state)))
	}
}

// characters turns eight random bytes into characters, all at once and without a branch. No sum of
// a byte is above 255, so none carries into the next.
func characters(random uint64) uint64 {
	const (
		each  = 0x0101010101010101
		first = '#'
		// What comes to the backslash and beyond is raised by one, to step over it.
		over = '\\' - first
	)
	six := random & (63 * each)
	return six + first*each + (six+(0x80-over)*each)>>7&each
}

// slabSize is how many bytes a slab has: some thousand values in one allocation.
const slabSize = 1 << 20

// slab gives out memory in small pieces, each once: the collector takes a slab when nobody holds any of
// its pieces, and so a value never changes while a producer has it.
type slab struct {
	free  []byte // length 0; its capacity is what is left
	alone []byte // the last room, if it is not in the slab
}

// room returns an empty slice with room for n bytes. cut says how many are kept.
func (s *slab) room(n int) []byte {
	s.alone = nil
	if n > slabSize/4 {
		s.alone = make([]byte, 0, n) // so that no slab is left with much of it unused
		return s.alone
	}
	if cap(s.free) < n {
		s.free = make([]byte, 0, slabSize)
	}
	return s.free
}

// cut returns the first n bytes of the room, for good.
func (s *slab) cut(n int) []byte {
	if s.alone != nil {
		return s.alone[:n:n]
	}
	piece := s.free[:n:n]
	s.free = s.free[n:n]
	return piece
}
