package workload

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// LeastLognormal is the least size that is drawn from a lognormal distribution, in bytes. Such a
// distribution comes near to 0, and this holds the JSON around the padding of any message.
const LeastLognormal = 128

// maxSigma bounds the sigma of a lognormal distribution. With 4, one size of 20 is over 700 medians.
const maxSigma = 4

// Sizes is a distribution of the sizes of values, in bytes. It does not change and may be
// used by any goroutine. The zero Sizes is not valid: ParseSizes makes one.
type Sizes struct {
	kind     sizeKind
	min, max int
	// Of a lognormal distribution.
	median int
	sigma  float64
	// Of a mix: the sizes, and the shares of each and all before it together.
	sizes      []int
	shares     []float64
	cumulative []float64
}

type sizeKind int

const (
	fixedSize sizeKind = iota
	uniformSize
	lognormalSize
	mixedSizes
)

// ParseSizes reads a distribution of sizes in bytes, each from 1 to MaxValue. These are possible:
//
//	256                     all have 256 bytes
//	uniform:100-1000        100 to 1000 bytes, each as likely as any other
//	lognormal:512,0.8       half of them have 512 bytes or less; 0.8 is sigma, of the logarithm.
//	                        What is below LeastLognormal or above MaxValue is these.
//	mix:256=0.9,10000=0.1   256 bytes for 90 % of them and 10000 for 10 %
func ParseSizes(text string) (Sizes, error) {
	text = strings.TrimSpace(text)
	kind, rest, named := strings.Cut(text, ":")
	var s Sizes
	var err error
	shape := ""
	switch {
	case !named:
		s, err = parseFixed(text)
		shape = "BYTES, like 256, or as uniform:100-1000, lognormal:512,0.8 or mix:256=0.9,10000=0.1"
	case kind == "uniform":
		s, err = parseUniform(rest)
		shape = "uniform:LEAST-MOST, like uniform:100-1000"
	case kind == "lognormal":
		s, err = parseLognormal(rest)
		shape = "lognormal:MEDIAN,SIGMA, like lognormal:512,0.8"
	case kind == "mix":
		s, err = parseMix(rest)
		shape = "mix:BYTES=SHARE,BYTES=SHARE,…, like mix:256=0.9,10000=0.1"
	default:
		err = fmt.Errorf("distributions of the kind %q are not known", kind)
		shape = "256, uniform:100-1000, lognormal:512,0.8 or mix:256=0.9,10000=0.1"
	}
	if err != nil {
		return Sizes{}, fmt.Errorf("workload: sizes %q: %w; it is written as %s", text, err, shape)
	}
	return s, nil
}

// parseBytes reads one size in bytes.
func parseBytes(text string) (int, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n < 1 || n > MaxValue {
		return 0, fmt.Errorf("%q is no size: 1 to %d bytes are possible", text, MaxValue)
	}
	return int(n), nil
}

func parseFixed(text string) (Sizes, error) {
	n, err := parseBytes(text)
	return Sizes{kind: fixedSize, min: n, max: n}, err
}

func parseUniform(rest string) (Sizes, error) {
	least, most, two := strings.Cut(rest, "-")
	if !two {
		return Sizes{}, errors.New("there are not two sizes with - between them")
	}
	s := Sizes{kind: uniformSize}
	var err error
	if s.min, err = parseBytes(least); err != nil {
		return Sizes{}, err
	}
	if s.max, err = parseBytes(most); err != nil {
		return Sizes{}, err
	}
	if s.min > s.max {
		return Sizes{}, fmt.Errorf("%d is more than %d", s.min, s.max)
	}
	return s, nil
}

func parseLognormal(rest string) (Sizes, error) {
	median, sigma, two := strings.Cut(rest, ",")
	if !two {
		return Sizes{}, errors.New("there is no comma with a sigma behind it")
	}
	s := Sizes{kind: lognormalSize, min: LeastLognormal, max: MaxValue}
	var err error
	if s.median, err = parseBytes(median); err != nil {
		return Sizes{}, err
	}
	if s.median < LeastLognormal {
		return Sizes{}, fmt.Errorf("the median is %d bytes: it must be at least %d, which is the least that is drawn", s.median, LeastLognormal)
	}
	s.sigma, err = strconv.ParseFloat(strings.TrimSpace(sigma), 64)
	if err != nil || !(s.sigma > 0 && s.sigma <= maxSigma) {
		return Sizes{}, fmt.Errorf("%q is no sigma: it must be above 0 and at most %d", sigma, maxSigma)
	}
	return s, nil
}

func parseMix(rest string) (Sizes, error) {
	s := Sizes{kind: mixedSizes, min: MaxValue}
	sum := 0.0
	for part := range strings.SplitSeq(rest, ",") {
		bytes, text, two := strings.Cut(part, "=")
		if !two {
			return Sizes{}, fmt.Errorf("%q has no = with a share behind it", part)
		}
		n, err := parseBytes(bytes)
		if err != nil {
			return Sizes{}, err
		}
		share, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(share > 0 && share <= 1) {
			return Sizes{}, fmt.Errorf("%q is no share: it must be above 0 and at most 1", text)
		}
		if slices.Contains(s.sizes, n) {
			return Sizes{}, fmt.Errorf("%d bytes have two shares", n)
		}
		sum += share
		s.sizes, s.shares, s.cumulative = append(s.sizes, n), append(s.shares, share), append(s.cumulative, sum)
		s.min, s.max = min(s.min, n), max(s.max, n)
	}
	if math.Abs(sum-1) > 1e-3 {
		return Sizes{}, fmt.Errorf("the shares sum up to %.4g and not to 1", sum)
	}
	return s, nil
}

// String is the distribution as ParseSizes takes it.
func (s Sizes) String() string {
	switch s.kind {
	case uniformSize:
		return fmt.Sprintf("uniform:%d-%d", s.min, s.max)
	case lognormalSize:
		return fmt.Sprintf("lognormal:%d,%s", s.median, shortest(s.sigma))
	case mixedSizes:
		var parts []string
		for i, n := range s.sizes {
			parts = append(parts, fmt.Sprintf("%d=%s", n, shortest(s.shares[i])))
		}
		return "mix:" + strings.Join(parts, ",")
	}
	return strconv.Itoa(s.min)
}

func shortest(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// Min is the least size that is drawn, in bytes.
func (s Sizes) Min() int { return s.min }

// Max is the largest size that is drawn, in bytes.
func (s Sizes) Max() int { return s.max }

// Mean is the mean size, in bytes.
func (s Sizes) Mean() float64 {
	switch s.kind {
	case lognormalSize:
		// The mean of what is between the bounds, and the bounds by the shares that are beyond them.
		m := float64(s.median)
		below := func(n int, shift float64) float64 {
			return math.Erfc(-(math.Log(float64(n)/m)/s.sigma-shift)/math.Sqrt2) / 2
		}
		between := m * math.Exp(s.sigma*s.sigma/2) * (below(s.max, s.sigma) - below(s.min, s.sigma))
		return float64(s.min)*below(s.min, 0) + between + float64(s.max)*(1-below(s.max, 0))
	case mixedSizes:
		sum, last := 0.0, s.cumulative[len(s.cumulative)-1]
		for i, n := range s.sizes {
			sum += float64(n) * s.shares[i] / last
		}
		return sum
	}
	return float64(s.min+s.max) / 2
}

// Draw returns a size in bytes. A fixed one takes nothing of r, the others one number.
func (s Sizes) Draw(r *rand.PCG) int {
	switch s.kind {
	case uniformSize:
		return s.min + below(r, s.max-s.min+1)
	case lognormalSize:
		// In the middle of its cell, so that it is neither 0 nor 1.
		u := (float64(r.Uint64()>>12) + 0.5) / (1 << 52)
		n := float64(s.median) * math.Exp(s.sigma*math.Sqrt2*math.Erfinv(2*u-1))
		return int(min(max(math.Round(n), float64(s.min)), float64(s.max)))
	case mixedSizes:
		last := len(s.sizes) - 1
		u := float64(r.Uint64()>>11) / (1 << 53) * s.cumulative[last]
		for i, c := range s.cumulative[:last] {
			if u < c {
				return s.sizes[i]
			}
		}
		return s.sizes[last]
	}
	return s.min
}
