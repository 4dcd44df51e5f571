package rate

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// form is how a kind of profile is written.
type form struct {
	name, shape, example string
	parse                func(rest string) (Profile, error)
}

// forms lists the kinds of profiles that have a name. A plain rate is the one that has none.
func forms() []form {
	return []form{
		{"ramp", "ramp:FROM..TO@TIME", "ramp:1000/s..8000/s@60s", parseRamp},
		{"steps", "steps:RATE@TIME,RATE@TIME,…", "steps:1000/s@10s,2000/s@10s,4000/s@10s", parseSteps},
		{"spike", "spike:BASE,HEIGHT@WHEN+LENGTH, with or without “every TIME”", "spike:1000/s,10000/s@20s+5s every 60s", parseSpike},
		{"sine", "sine:FROM..TO@PERIOD", "sine:1000/s..5000/s@10m", parseSine},
		{"file", "file:PATH", "file:rates.csv", parseFile},
		{"warmup", "warmup:TIME,PROFILE", "warmup:10s,ramp:1000/s..8000/s@60s", parseWarmup},
	}
}

// Parse reads a profile. These are possible:
//
//	5000/s or 5000                          constant; 5k/s and 1.5M/s too
//	ramp:1000/s..8000/s@60s                 in a straight line, then it stays
//	steps:1000/s@10s,2000/s@10s,4000/s@10s  one after the other, then it stays at the last
//	spike:1000/s,10000/s@20s+5s             1000/s, from 20 s on 10000/s for 5 s, then 1000/s
//	spike:1000/s,10000/s@20s+5s every 60s   the same, again at 80 s, 140 s, …
//	sine:1000/s..5000/s@10m                 a wave that begins at the first rate, and repeats
//	file:rates.csv                          as the file says, and repeats; see below
//	warmup:10s,PROFILE                      10 s at the first rate of another profile, then that
//
// A wave is drawn in 120 straight lines a period.
//
// A file has a rate on each line, for a second each, or “seconds,rate”: the
// rate holds from these seconds on until those of the next line, and the first line
// is at 0 s. The last rate holds as long as the one before it. After its end the file
// begins anew. Empty lines and what follows # are left out, and so is a first line
// that says “rate” or “seconds,rate”.
func Parse(text string) (Profile, error) {
	p, err := parse(strings.TrimSpace(text))
	if err != nil {
		return Profile{}, fmt.Errorf("rate: %w", err)
	}
	return p, nil
}

func parse(text string) (Profile, error) {
	name, rest, named := strings.Cut(text, ":")
	if !named {
		r, err := parseRate(text)
		if err != nil {
			return Profile{}, fmt.Errorf("%w; or use a profile: %s", err, examples())
		}
		return constant(r)
	}
	for _, f := range forms() {
		if f.name != name {
			continue
		}
		p, err := f.parse(rest)
		if err != nil {
			return Profile{}, fmt.Errorf("%q: %w; it is written as %s, like %s", text, err, f.shape, f.example)
		}
		return p, nil
	}
	return Profile{}, fmt.Errorf("%q: profiles of the kind %q are not known; use a rate like 5000/s, or one of %s", text, name, examples())
}

func examples() string {
	var all []string
	for _, f := range forms() {
		all = append(all, f.example)
	}
	return strings.Join(all, " | ")
}

// Constant is the profile of one rate, in messages/s.
func Constant(perSecond float64) (Profile, error) {
	if err := checkRate(perSecond); err != nil {
		return Profile{}, fmt.Errorf("rate: %w", err)
	}
	p, err := constant(perSecond)
	if err != nil {
		return Profile{}, fmt.Errorf("rate: %w", err)
	}
	return p, nil
}

var errSilent = errors.New("the rate is never above 0")

var rateForm = regexp.MustCompile(`^([0-9]{1,18}(?:\.[0-9]{1,18})?)([kM]?)(?:/s)?$`)

// parseRate reads a rate in messages/s.
func parseRate(text string) (float64, error) {
	parts := rateForm.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return 0, fmt.Errorf("%q is no rate: write messages per second, like 5000/s, 0.5/s or 5k/s", text)
	}
	// The unit as an exponent, since 1.1·1000 is not 1100.
	exponent := map[string]string{"": "", "k": "e3", "M": "e6"}[parts[2]]
	r, err := strconv.ParseFloat(parts[1]+exponent, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no rate: %w", text, err)
	}
	return r, checkRate(r)
}

func checkRate(r float64) error {
	if r == 0 || r >= MinRate && r <= MaxRate {
		return nil
	}
	return fmt.Errorf("a rate of %v/s is not possible: use %v/s to %s, or 0 for a pause", r, MinRate, rateText(MaxRate))
}

func rateText(r float64) string { return strconv.FormatFloat(r, 'f', -1, 64) + "/s" }

// parseSpan reads how long something takes.
func parseSpan(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: write it like 250ms, 30s or 1m30s", text)
	}
	if d < MinSpan || d > MaxSpan {
		return 0, fmt.Errorf("%q is out of range: %s to %s are possible", text, spanText(MinSpan), spanText(MaxSpan))
	}
	return d, nil
}

// spanText is a duration without the zeros behind it: 1m and not 1m0s.
func spanText(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}
