package rate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxLines bounds the lines of a file that say a rate: more than eleven days of seconds.
const maxLines = 1_000_000

func parseFile(path string) (Profile, error) {
	if path == "" {
		return Profile{}, errors.New("there is no path")
	}
	info, err := os.Stat(path) // before it is opened: to open a pipe would wait for its other end
	if err != nil {
		return Profile{}, err
	}
	if !info.Mode().IsRegular() {
		return Profile{}, fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return Profile{}, err
	}
	defer f.Close()
	cycle, err := readRates(path, f)
	if err != nil {
		return Profile{}, err
	}
	return Profile{text: "file:" + path, cycle: cycle}, nil
}

// recorded is what the lines of a file have said so far.
type recorded struct {
	timed  bool // lines are “seconds,rate”
	starts []float64
	rates  []float64
}

// readRates reads the rates of a file, and names it in errors.
func readRates(name string, r io.Reader) (track, error) {
	var rec recorded
	lines := bufio.NewScanner(r)
	n := 0
	for lines.Scan() {
		n++
		line, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "\ufeff"), "#")
		line = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
		if line == "" || len(rec.rates) == 0 && (line == "rate" || line == "seconds,rate") {
			continue
		}
		if err := rec.add(line); err != nil {
			return track{}, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return track{}, fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	t, err := rec.track()
	if err != nil {
		return track{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// add takes a line without blanks and comments.
func (r *recorded) add(line string) error {
	start := float64(len(r.rates))
	seconds, text, timed := strings.Cut(line, ",")
	switch {
	case len(r.rates) == 0:
		r.timed = timed
	case r.timed != timed:
		return fmt.Errorf("%q: the lines before have %s, and so must this one", line, map[bool]string{true: "seconds,rate", false: "a rate alone"}[r.timed])
	case len(r.rates) == maxLines:
		return fmt.Errorf("there are more than %d rates", maxLines)
	}
	if !timed {
		text = line
	} else {
		var err error
		if start, err = strconv.ParseFloat(seconds, 64); err != nil || !(start >= 0 && start <= MaxSpan.Seconds()) {
			return fmt.Errorf("%q is no number of seconds from 0 to %v: a line is seconds,rate, like 10,2500", seconds, MaxSpan.Seconds())
		}
	}
	if n := len(r.starts); n == 0 && start != 0 {
		return fmt.Errorf("the first rate begins at %v s: it must begin at 0, if with a rate of 0", start)
	} else if n > 0 && start-r.starts[n-1] < MinSpan.Seconds()/2 { // half, as 0.002 - 0.001 is not 0.001
		return fmt.Errorf("%v s is not after the %v s of the line before by at least %s", start, r.starts[n-1], spanText(MinSpan))
	}
	rate, err := parseRate(text)
	if err != nil {
		return err
	}
	r.starts, r.rates = append(r.starts, start), append(r.rates, rate)
	return nil
}

func (r *recorded) track() (t track, err error) {
	n := len(r.rates)
	if n == 0 {
		return t, errors.New("there is no rate in it")
	}
	long := 1.0
	for i, rate := range r.rates {
		if i+1 < n {
			long = r.starts[i+1] - r.starts[i]
		}
		t.line(long, rate, rate)
	}
	if t.count == 0 {
		return t, errSilent
	}
	return t, nil
}
