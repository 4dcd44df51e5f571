package rate

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

func constant(r float64) (Profile, error) {
	if r == 0 {
		return Profile{}, errSilent
	}
	p := Profile{text: rateText(r)}
	p.stay(r)
	return p, nil
}

// stay ends the head of a profile with a rate that does not change any more.
func (p *Profile) stay(r float64) { p.head.line(math.Inf(1), r, r) }

// parseLine reads FROM..TO@TIME.
func parseLine(rest string) (from, to float64, span time.Duration, err error) {
	rates, length, timed := strings.Cut(rest, "@")
	first, second, two := strings.Cut(rates, "..")
	if !two {
		return 0, 0, 0, errors.New("there are not two rates with .. between them")
	}
	if !timed {
		return 0, 0, 0, errors.New("there is no @ with a time behind the rates")
	}
	if from, err = parseRate(first); err != nil {
		return 0, 0, 0, err
	}
	if to, err = parseRate(second); err != nil {
		return 0, 0, 0, err
	}
	if from == 0 && to == 0 {
		return 0, 0, 0, errSilent
	}
	span, err = parseSpan(length)
	return from, to, span, err
}

func parseRamp(rest string) (Profile, error) {
	from, to, span, err := parseLine(rest)
	if err != nil {
		return Profile{}, err
	}
	p := Profile{text: fmt.Sprintf("ramp:%s..%s@%s", rateText(from), rateText(to), spanText(span))}
	p.head.line(span.Seconds(), from, to)
	p.stay(to)
	return p, nil
}

func parseSteps(rest string) (Profile, error) {
	var p Profile
	var texts []string
	last, highest := 0.0, 0.0
	for i, step := range strings.Split(rest, ",") {
		text, length, timed := strings.Cut(step, "@")
		if !timed {
			return Profile{}, fmt.Errorf("step %d, %q, has no @ with a time", i+1, step)
		}
		r, err := parseRate(text)
		if err != nil {
			return Profile{}, fmt.Errorf("step %d: %w", i+1, err)
		}
		span, err := parseSpan(length)
		if err != nil {
			return Profile{}, fmt.Errorf("step %d: %w", i+1, err)
		}
		p.head.line(span.Seconds(), r, r)
		texts = append(texts, rateText(r)+"@"+spanText(span))
		last, highest = r, max(highest, r)
	}
	if highest == 0 {
		return Profile{}, errSilent
	}
	p.stay(last)
	p.text = "steps:" + strings.Join(texts, ",")
	return p, nil
}

func parseSpike(rest string) (Profile, error) {
	rates, times, timed := strings.Cut(rest, "@")
	low, high, two := strings.Cut(rates, ",")
	if !two {
		return Profile{}, errors.New("there are not two rates with a comma between them")
	}
	if !timed {
		return Profile{}, errors.New("there is no @ with a time behind the rates")
	}
	base, err := parseRate(low)
	if err != nil {
		return Profile{}, err
	}
	height, err := parseRate(high)
	if err != nil {
		return Profile{}, err
	}
	if base == 0 && height == 0 {
		return Profile{}, errSilent
	}
	times, again, repeats := strings.Cut(times, " every ")
	begin, length, long := strings.Cut(times, "+")
	if !long {
		return Profile{}, errors.New("there is no + with the length of the spike")
	}
	s := spike{base: base, height: height}
	if s.long, err = parseSpan(length); err != nil {
		return Profile{}, err
	}
	if begin = strings.TrimSpace(begin); begin != "0" && begin != "0s" {
		if s.at, err = parseSpan(begin); err != nil {
			return Profile{}, err
		}
	}
	if repeats {
		if s.every, err = parseSpan(again); err != nil {
			return Profile{}, err
		}
		if s.every <= s.long {
			return Profile{}, fmt.Errorf("a spike of %s cannot come every %s", spanText(s.long), spanText(s.every))
		}
	}
	return s.profile(), nil
}

// spike is a rate that is another one from a time on for some time.
type spike struct {
	base, height    float64
	at, long, every time.Duration // every is 0 for a spike that comes once
}

func (s spike) profile() Profile {
	p := Profile{text: fmt.Sprintf("spike:%s,%s@%s+%s", rateText(s.base), rateText(s.height), spanText(s.at), spanText(s.long))}
	if s.at > 0 {
		p.head.line(s.at.Seconds(), s.base, s.base)
	}
	if s.every == 0 {
		p.head.line(s.long.Seconds(), s.height, s.height)
		p.stay(s.base)
		return p
	}
	p.text += " every " + spanText(s.every)
	p.cycle.line(s.long.Seconds(), s.height, s.height)
	p.cycle.line((s.every - s.long).Seconds(), s.base, s.base)
	return p
}

// waveLines is in how many straight lines a period of a wave is drawn. With 120 the rate is off by less than
// 0.04 % of the wave's height, and it is right in the mean.
const waveLines = 120

func parseSine(rest string) (Profile, error) {
	from, to, period, err := parseLine(rest)
	if err != nil {
		return Profile{}, err
	}
	p := Profile{text: fmt.Sprintf("sine:%s..%s@%s", rateText(from), rateText(to), spanText(period))}
	wave := func(line int) float64 {
		return (from+to)/2 - (to-from)/2*math.Cos(2*math.Pi*float64(line)/waveLines)
	}
	for i := range waveLines {
		p.cycle.line(period.Seconds()/waveLines, wave(i), wave(i+1))
	}
	return p, nil
}

func parseWarmup(rest string) (Profile, error) {
	text, inner, ok := strings.Cut(rest, ",")
	if !ok {
		return Profile{}, errors.New("there is no comma with a profile behind it")
	}
	span, err := parseSpan(text)
	if err != nil {
		return Profile{}, err
	}
	p, err := parse(strings.TrimSpace(inner))
	if err != nil {
		return Profile{}, err
	}
	return WithWarmup(p, span), nil
}
