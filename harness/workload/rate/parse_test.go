package rate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseGivesTheShortForm(t *testing.T) {
	for text, want := range map[string]string{
		"5000":                                  "5000/s",
		" 5000/s ":                              "5000/s",
		"5k/s":                                  "5000/s",
		"1.1k":                                  "1100/s",
		"1.5M/s":                                "1500000/s",
		"0.5/s":                                 "0.5/s",
		"ramp:1000/s..8000/s@60s":               "ramp:1000/s..8000/s@1m",
		"ramp:1k .. 8k @ 60s":                   "ramp:1000/s..8000/s@1m",
		"steps:1000/s@10s, 2000/s@10s,0@1h":     "steps:1000/s@10s,2000/s@10s,0/s@1h",
		"spike:1000/s,10000/s@20s+5s":           "spike:1000/s,10000/s@20s+5s",
		"spike:1000/s,10000/s@0+5s every 1m30s": "spike:1000/s,10000/s@0s+5s every 1m30s",
		"sine:1000/s..5000/s@600s":              "sine:1000/s..5000/s@10m",
		"warmup:5s, steps:1000/s@10s,2000/s@1h0m": "warmup:5s,steps:1000/s@10s,2000/s@1h",
	} {
		p, err := Parse(text)
		if err != nil || p.String() != want {
			t.Errorf("%q is %q, want %q; error %v", text, p, want, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 `"" is no rate: write messages per second, like 5000/s`,
		"fast":                             "ramp:1000/s..8000/s@60s | steps:",
		"-5":                               "is no rate",
		"1e6":                              "is no rate",
		"0":                                "never above 0",
		"11M/s":                            "0.001/s to 10000000/s",
		"0.0001":                           "0.001/s to 10000000/s",
		"stairs:1@1s":                      `kind "stairs" are not known; use a rate like 5000/s, or one of ramp:`,
		"ramp:1000/s":                      "not two rates",
		"ramp:1..2":                        "no @ with a time behind the rates; it is written as ramp:FROM..TO@TIME, like ramp:1000/s..8000/s@60s",
		"ramp:1..2@60":                     `"60" is no time: write it like 250ms`,
		"ramp:1..x@60s":                    `"x" is no rate`,
		"ramp:0..0@60s":                    "never above 0",
		"ramp:1..2@-1s":                    "1ms to 720h",
		"steps:":                           `step 1, "", has no @`,
		"steps:1@1s,2@1s,x@1s":             `step 3: "x" is no rate`,
		"steps:1@1s,2@1h1":                 `step 2: "1h1" is no time`,
		"steps:0@1s":                       "never above 0",
		"spike:1000@20s+5s":                "comma",
		"spike:10,100":                     "no @",
		"spike:10,100@20s":                 "no + with the length",
		"spike:10,100@20s+5s every 5s":     "a spike of 5s cannot come every 5s",
		"spike:0,0@20s+5s":                 "never above 0",
		"spike:10,100@20s+5s every minute": `"minute" is no time`,
		"sine:1..2":                        "sine:FROM..TO@PERIOD",
		"warmup:10s":                       "no comma with a profile",
		"warmup:10s,warm":                  `"warm" is no rate`,
		"warmup:10,5/s":                    `"10" is no time`,
		"file:":                            "no path",
		"file:/nowhere/rates.csv":          "no such file",
	} {
		p, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %q and the error %v, want %q", text, p, err, want)
		}
	}
	if _, err := Parse("file:" + t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: error %v", err)
	}
}

func TestStringIsParsedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := some(t)
		if strings.HasPrefix(p.String(), "file:") {
			t.Skip("not on disk")
		}
		same(t, WithWarmup(p, time.Duration(rapid.Int64Range(0, 3).Draw(t, "warm-up"))*time.Second))
	})
}

// same fails unless p is what Parse makes of its String.
func same(t interface{ Fatalf(string, ...any) }, p Profile) {
	again, err := Parse(p.String())
	if err != nil || again.String() != p.String() {
		t.Fatalf("%q is parsed as %q, error %v", p, again, err)
	}
	for _, d := range []time.Duration{0, 1, time.Second, 7 * time.Second, time.Minute, 3 * time.Hour} {
		if p.At(d) != again.At(d) || p.Mean(d) != again.Mean(d) {
			t.Fatalf("%q is parsed as another profile", p)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, form := range forms() {
		if form.name != "file" {
			f.Add(form.example)
		}
	}
	f.Add("5k/s")
	f.Add("steps:0@1ms,10M/s@720h")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file:") {
			return // the fuzzer is to read no files
		}
		p, err := Parse(text)
		if err != nil {
			return
		}
		same(t, p)
		for _, i := range []int{0, 1, 1000, 1 << 30} {
			if a, b := p.Due(i), p.Due(i+1); a < 0 || b < a {
				t.Fatalf("%q: %s and then %s", p, a, b)
			}
			if d := p.Due(i); d < time.Hour && p.Count(d) != i {
				t.Fatalf("%q: message %d is due at %s, and %d before it", p, i, d, p.Count(d))
			}
		}
	})
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rates.csv")
	write := func(text string) Profile {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Parse("file:" + path)
		if err != nil {
			t.Fatal(err)
		}
		same(t, p)
		return p
	}
	timed := write("\ufeffSeconds, Rate\r\n# what production had\r\n0,1000\r\n10, 2k/s # noon\r\n\r\n12,0\r\n")
	plain := write("rate\n1000\n2000/s\n0\n")
	for _, c := range []struct {
		p      Profile
		i      int
		want   time.Duration
		length time.Duration
	}{
		{timed, 9_999, 9_999 * time.Millisecond, 14 * time.Second},
		{timed, 12_000, 11 * time.Second, 14 * time.Second},
		{timed, 14_000, 14 * time.Second, 14 * time.Second}, // the last rate, 0, holds 2 s like the one before it
		{timed, 14_000*1000 + 1000, 14_001 * time.Second, 14 * time.Second},
		{plain, 1_000, time.Second, 3 * time.Second},
		{plain, 2_999, 1999500 * time.Microsecond, 3 * time.Second},
		{plain, 3_000, 3 * time.Second, 3 * time.Second},
	} {
		if got := c.p.Due(c.i); got != c.want || c.p.Length() != c.length {
			t.Errorf("message %d is due at %s, want %s; length %s", c.i, got, c.want, c.p.Length())
		}
	}
}

func TestFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "r.csv: there is no rate in it",
		"# nothing\n":                "r.csv: there is no rate in it",
		"0\n0\n":                     "r.csv: the rate is never above 0",
		"10\n\n# x\nfast\n":          `r.csv:4: "fast" is no rate`,
		"10\n1,20\n":                 "r.csv:2: \"1,20\": the lines before have a rate alone",
		"0,10\n20\n":                 "r.csv:2: \"20\": the lines before have seconds,rate",
		"5,10\n":                     "r.csv:1: the first rate begins at 5 s",
		"0,10\n2,10\n2,11\n":         "r.csv:3: 2 s is not after the 2 s of the line before",
		"0,10\nx,10\n":               `r.csv:2: "x" is no number of seconds`,
		"0,10\nNaN,10\n":             `r.csv:2: "nan" is no number of seconds`,
		"0,10,11\n":                  `r.csv:1: "10,11" is no rate`,
		"1\nrate\n":                  `r.csv:2: "rate" is no rate`,
		strings.Repeat("1", 100_000): "r.csv:1: bufio.Scanner: token too long",
	} {
		_, err := readRates("r.csv", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want %q", text, err, want)
		}
	}
	if _, err := readRates("r.csv", strings.NewReader(strings.Repeat("1\n", maxLines+1))); err == nil || !strings.Contains(err.Error(), "more than 1000000") {
		t.Errorf("a long file: error %v", err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add("0,1000\n10,2k/s # noon\n12,0\n")
	f.Add("rate\n1000\n2000\n0\n")
	f.Fuzz(func(t *testing.T, text string) {
		cycle, err := readRates("rates.csv", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "rates.csv:") {
				t.Fatalf("the error does not name the file: %v", err)
			}
			return
		}
		p := Profile{cycle: cycle}
		for _, i := range []int{0, 1, 1000} {
			if d := p.Due(i); d < 0 || d > p.Due(i+1) || d < time.Hour && p.Count(d) != i {
				t.Fatalf("message %d is due at %s, and %d before it", i, d, p.Count(d))
			}
		}
	})
}
