package hlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Read reads an interval log of format 1.x with V2 payloads, written by Write or by another tool. Comments are kept, in their order;
// blank lines and the legend are passed over. An error names the line. All times are UTC.
func Read(r io.Reader) ([]Interval, Header, error) {
	p := parser{}
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, Header{}, fmt.Errorf("read interval log: %w", err)
		}
		if perr := p.line(strings.TrimRight(line, "\r\n")); perr != nil {
			return nil, Header{}, fmt.Errorf("read interval log: line %d: %w", n, perr)
		}
		if err != nil {
			break
		}
	}
	if !p.versioned {
		return nil, Header{}, errors.New("read interval log: it is empty")
	}
	return p.intervals, p.head, nil
}

type parser struct {
	head      Header
	intervals []Interval
	versioned bool
	started   bool      // a start is known
	based     bool      // and what the times of intervals count from
	base      time.Time // the zero of these, if based
}

func (p *parser) line(line string) error {
	switch {
	case strings.HasPrefix(line, versionMark):
		return p.version(strings.TrimPrefix(line, versionMark))
	case strings.HasPrefix(line, startMark):
		at, err := sinceEpoch("StartTime", strings.TrimPrefix(line, startMark))
		p.head.StartTime, p.started = at, true
		return err
	case strings.HasPrefix(line, baseMark):
		at, err := sinceEpoch("BaseTime", strings.TrimPrefix(line, baseMark))
		p.base, p.based = at, true
		return err
	case strings.HasPrefix(line, "#"):
		p.head.Comments = append(p.head.Comments, line[1:])
		return nil
	case strings.TrimSpace(line) == "", strings.HasPrefix(line, `"`):
		return nil
	case !p.versioned:
		return fmt.Errorf("this is no interval log: no %q is above", versionMark+"1.3]")
	}
	return p.interval(line)
}

func (p *parser) version(rest string) error {
	version, _, ok := strings.Cut(rest, "]")
	if !ok || !strings.HasPrefix(version, "1.") {
		return fmt.Errorf("format version %q is not known: 1.3 and others that begin with 1 are", version)
	}
	p.versioned = true
	return nil
}

func (p *parser) interval(line string) error {
	var iv Interval
	if rest, tagged := strings.CutPrefix(line, tagMark); tagged {
		var ok bool
		if iv.Tag, line, ok = strings.Cut(rest, ","); !ok {
			return fmt.Errorf("tag %q is not followed by an interval", iv.Tag)
		}
		if err := checkTag(iv.Tag); err != nil {
			return err
		}
	}
	fields := strings.Split(line, ",")
	if len(fields) != 4 {
		return fmt.Errorf("an interval has 4 fields (start, length, max, histogram), this one %d", len(fields))
	}
	start, err := parseSeconds(fields[0])
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if iv.Length, err = parseSeconds(fields[1]); err != nil {
		return fmt.Errorf("length: %w", err)
	}
	if iv.Length == 0 {
		return errors.New("length: it must be more than 0")
	}
	// The max is there for people: the histogram has it too.
	if iv.Histogram, err = hdrhistogram.Decode([]byte(strings.TrimSpace(fields[3]))); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	iv.Start = p.absolute(start)
	p.intervals = append(p.intervals, iv)
	return nil
}

// absolute is the time that the start of an interval stands for. Without a BaseTime it counts from 1970, or, if that
// is more than a year before the log began, from StartTime: the convention of all readers.
func (p *parser) absolute(start time.Duration) time.Time {
	epoch := time.Unix(0, 0).UTC()
	if !p.started {
		p.head.StartTime, p.started = epoch.Add(start), true
	}
	if !p.based {
		p.base, p.based = epoch, true
		if epoch.Add(start).Before(p.head.StartTime.Add(-365 * 24 * time.Hour)) {
			p.base = p.head.StartTime
		}
	}
	return p.base.Add(start)
}

func sinceEpoch(what, text string) (time.Time, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(text)
	}
	d, err := parseSeconds(text[:end])
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", what, err)
	}
	return time.Unix(0, int64(d)).UTC(), nil
}

// parseSeconds reads seconds with decimals. A float would not keep the nanoseconds of a time since 1970.
func parseSeconds(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	whole, decimals, _ := strings.Cut(text, ".")
	decimals = (decimals + "000000000")[:max(9, len(decimals))]
	sec, err := strconv.ParseUint(whole, 10, 63)
	frac, ferr := strconv.ParseUint(decimals[:9], 10, 63)
	if _, rest := strconv.ParseUint("0"+decimals[9:], 10, 64); err != nil || ferr != nil || errors.Is(rest, strconv.ErrSyntax) {
		return 0, fmt.Errorf("%q is not a number of seconds", text)
	}
	if sec >= math.MaxInt64/uint64(time.Second) {
		return 0, fmt.Errorf("%q is too many seconds", text)
	}
	return time.Duration(sec)*time.Second + time.Duration(frac), nil
}
