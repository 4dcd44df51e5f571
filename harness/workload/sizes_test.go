package workload

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func sizes(t testing.TB, text string) Sizes {
	t.Helper()
	s, err := ParseSizes(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSizes(t *testing.T) {
	for text, c := range map[string]struct {
		text     string
		min, max int
		mean     float64
	}{
		"256":                                 {"256", 256, 256, 256},
		" uniform: 100 - 1000":                {"uniform:100-1000", 100, 1000, 550},
		"lognormal:512,0.8":                   {"lognormal:512,0.8", LeastLognormal, MaxValue, 706.42},
		"lognormal:200,0.5":                   {"lognormal:200,0.5", LeastLognormal, MaxValue, 231.89},
		"lognormal:100000,2.5":                {"lognormal:100000,2.5", LeastLognormal, MaxValue, 307_908},
		"mix:256=0.9,10000=0.1":               {"mix:256=0.9,10000=0.1", 256, 10_000, 1230.4},
		"mix:300=0.3333,200=0.3333,100=.3333": {"mix:300=0.3333,200=0.3333,100=0.3333", 100, 300, 200},
	} {
		s := sizes(t, text)
		if s.String() != c.text || s.Min() != c.min || s.Max() != c.max {
			t.Errorf("%q is %q, %d to %d bytes", text, s, s.Min(), s.Max())
		}
		if math.Abs(s.Mean()-c.mean) > c.mean/1000 {
			t.Errorf("%s: mean %v, want %v", s, s.Mean(), c.mean)
		}
		if again := sizes(t, s.String()); !reflect.DeepEqual(again, s) {
			t.Errorf("%s is parsed as something else", s)
		}
		const n = 200_000
		r, sum, squares := rand.NewPCG(1, 2), 0.0, 0.0
		for range n {
			x := s.Draw(r)
			if x < s.Min() || x > s.Max() {
				t.Fatalf("%s: drew %d", s, x)
			}
			sum += float64(x)
			squares += float64(x) * float64(x)
		}
		drawn := sum / n
		if off := math.Sqrt(max(0, squares/n-drawn*drawn) / n); math.Abs(drawn-s.Mean()) > 4*off+0.001 {
			t.Errorf("%s: the mean of what is drawn is %.2f ± %.2f, and Mean says %.2f", s, drawn, off, s.Mean())
		}
	}
}

// Half of a lognormal distribution is below its median, and two thirds within a sigma.
func TestLognormalHasItsMedianAndSigma(t *testing.T) {
	s, r := sizes(t, "lognormal:4096,0.5"), rand.NewPCG(3, 4)
	below, within := 0, 0
	const n = 100_000
	for range n {
		x := math.Log(float64(s.Draw(r))/4096) / 0.5
		if x <= 0 {
			below++
		}
		if math.Abs(x) < 1 {
			within++
		}
	}
	if math.Abs(float64(below)/n-0.5) > 0.007 || math.Abs(float64(within)/n-0.6827) > 0.007 {
		t.Errorf("%d of %d below the median, %d within a sigma", below, n, within)
	}
}

func TestSizesErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                       `"" is no size: 1 to 995904 bytes are possible; it is written as BYTES, like 256, or as uniform`,
		"big":                    `"big" is no size`,
		"0":                      "1 to 995904",
		"-1":                     "1 to 995904",
		"995905":                 "1 to 995904",
		"pareto:1":               `kind "pareto" are not known; it is written as 256, uniform:`,
		"uniform:100":            "not two sizes",
		"uniform:100-10":         "100 is more than 10",
		"uniform:x-10":           `"x" is no size`,
		"uniform:1-1000000":      `"1000000" is no size`,
		"lognormal:512":          "no comma with a sigma",
		"lognormal:x,1":          "lognormal:MEDIAN,SIGMA, like lognormal:512,0.8",
		"lognormal:100,0.8":      "must be at least 128",
		"lognormal:512,0":        "above 0 and at most 4",
		"lognormal:512,NaN":      "above 0 and at most 4",
		"mix:":                   "has no = with a share",
		"mix:x=1":                `"x" is no size`,
		"mix:256=2":              `"2" is no share`,
		"mix:256=0.9,1000=0.01":  "sum up to 0.91 and not to 1",
		"mix:256=0.5,256=0.5":    "256 bytes have two shares",
		"mix:256=0.9,10000=0.1,": `"" has no = with a share`,
	} {
		s, err := ParseSizes(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %q and the error %v, want %q", text, s, err, want)
		}
	}
}

func FuzzParseSizes(f *testing.F) {
	for _, text := range []string{"256", "uniform:100-1000", "lognormal:512,0.8", "mix:256=0.9,10000=0.1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSizes(text)
		if err != nil {
			return
		}
		if again := sizes(t, s.String()); !reflect.DeepEqual(again, s) {
			t.Errorf("%q: %q is parsed as something else", text, s)
		}
		if mean := s.Mean(); !(mean >= float64(s.Min())-0.001 && mean <= float64(s.Max())+0.001) {
			t.Errorf("%q: mean %v of %d to %d", text, mean, s.Min(), s.Max())
		}
		r := rand.NewPCG(5, 6)
		for range 10 {
			if n := s.Draw(r); n < s.Min() || n > s.Max() || n < 1 || n > MaxValue {
				t.Errorf("%q: drew %d", text, n)
			}
		}
	})
}
