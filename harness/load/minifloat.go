package load

import (
	"math/bits"
	"time"
)

// short is a time span in 16 bits: 11 bits of mantissa and 5 of exponent, in microseconds. It is exact up to 2.047 ms,
// wrong by at most 1 in 2048 above, and holds 50 days: more than a histogram of three digits asks for.
// 0 is not known, so that a span of 0 is told as 1 µs.
type short uint16

const mantissaBits = 11

// shorten rounds a span to the nearest that there is. What is negative, by clocks that two goroutines read, is next to nothing.
func shorten(d time.Duration) short {
	d = max(d, time.Microsecond)
	exp := max(0, bits.Len64(uint64(d/time.Microsecond))-mantissaBits)
	unit := time.Microsecond << exp
	n := (d + unit/2) / unit
	if n == 1<<mantissaBits { // rounding has carried into another bit
		n, exp = n/2, exp+1
	}
	if exp > 31 {
		return 1<<16 - 1
	}
	return short(uint64(exp)<<mantissaBits | uint64(n))
}

// span is the span that s stands for.
func (s short) span() time.Duration {
	return time.Duration(uint64(s&(1<<mantissaBits-1))<<(s>>mantissaBits)) * time.Microsecond
}
