package workload

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"sort"
)

// below draws a number in [0, n), n > 0. It is spelled out here, since only the
// generators of math/rand/v2 promise the same numbers for ever, not the methods on
// top of them. The bias is below n/2^64.
func below(r *rand.PCG, n int) int {
	hi, _ := bits.Mul64(r.Uint64(), uint64(n))
	return int(hi)
}

// keyDraw draws numbers of keys, from 0.
type keyDraw struct {
	keys int
	// The table of the distribution function of Zipf, exact for every exponent; rejection
	// methods need an exponent above 1. Nil for Uniform.
	cumulative []float64
}

func (s Spec) keyDraw() keyDraw {
	d := keyDraw{keys: s.Keys}
	if s.Distribution != Zipf {
		return d
	}
	d.cumulative = make([]float64, s.Keys)
	sum := 0.0
	for i := range d.cumulative {
		sum += math.Pow(float64(i+1), -s.ZipfS)
		d.cumulative[i] = sum
	}
	return d
}

func (d keyDraw) draw(r *rand.PCG) int {
	if d.cumulative == nil {
		return below(r, d.keys)
	}
	u := float64(r.Uint64()>>11) / (1 << 53) * d.cumulative[d.keys-1]
	return min(sort.SearchFloat64s(d.cumulative, u), d.keys-1)
}

func keyName(n int) string { return fmt.Sprintf("k-%06d", n) }

// PartitionOf is where Kafka's default partitioner puts a keyed record.
// https://github.com/apache/kafka: BuiltInPartitioner.partitionForKey.
func PartitionOf(key []byte, partitions int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % partitions
}

// murmur2 is the hash of Kafka's clients (Utils.murmur2), a MurmurHash2 of 32
// bits with a seed of its own.
func murmur2(b []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
