package hlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What the lines of a log begin with; versionMark is followed by a version, the others by seconds since 1970.
const (
	versionMark = "#[Histogram log format version "
	startMark   = "#[StartTime: "
	baseMark    = "#[BaseTime: "
	tagMark     = "Tag="
	legend      = `"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"`
)

// Write writes an interval log of format 1.3, in the order of the intervals. Times are kept to the nanosecond, as seconds with as many
// decimals as they need; the greatest value of an interval is told in milliseconds.
//
// HistogramLogWriter of hdrhistogram-go is not used: it cuts the times of the header to whole seconds, and always
// takes values for nanoseconds.
func Write(w io.Writer, head Header, intervals []Interval) error {
	out := bufio.NewWriter(w)
	if err := writeHeader(out, head); err != nil {
		return fmt.Errorf("write interval log: %w", err)
	}
	for i, iv := range intervals {
		if err := writeInterval(out, head.StartTime, iv); err != nil {
			return fmt.Errorf("write interval log: interval %d: %w", i+1, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write interval log: %w", err)
	}
	return nil
}

func writeHeader(w io.Writer, head Header) error {
	start := head.StartTime
	if start.Unix() < 0 {
		return fmt.Errorf("it has no start, or one before 1970: %s", start.UTC())
	}
	fmt.Fprintf(w, "%s1.3]\n", versionMark)
	for _, c := range head.Comments {
		line := "#" + c
		if strings.ContainsAny(c, "\r\n") {
			return fmt.Errorf("comment %q has a line break: give each line by itself", c)
		}
		for _, mark := range []string{versionMark, startMark, baseMark} {
			if strings.HasPrefix(line, mark) {
				return fmt.Errorf("comment %q would be read as a part of the header", c)
			}
		}
		fmt.Fprintln(w, line)
	}
	since1970 := seconds(start.Unix(), start.Nanosecond())
	fmt.Fprintf(w, "%s%s (seconds since epoch), %s]\n", startMark, since1970, start.UTC().Format(time.RFC3339Nano))
	// Starts of intervals count from here, so that they are short and lose nothing in readers that keep them as floats.
	fmt.Fprintf(w, "%s%s (seconds since epoch)]\n", baseMark, since1970)
	fmt.Fprintln(w, legend)
	return nil
}

func writeInterval(w io.Writer, base time.Time, iv Interval) error {
	offset := iv.Start.Sub(base)
	switch {
	case iv.Histogram == nil:
		return errors.New("it has no histogram")
	case iv.Length <= 0:
		return fmt.Errorf("its length is %s: it must be more than 0", iv.Length)
	case offset < 0:
		return fmt.Errorf("it starts %s before the log does", -offset)
	case !base.Add(offset).Equal(iv.Start):
		return fmt.Errorf("it starts at %s, centuries after the log", iv.Start)
	}
	if err := checkTag(iv.Tag); err != nil {
		return err
	}
	payload, err := iv.Histogram.EncodeV2()
	if err != nil {
		return err
	}
	tag := ""
	if iv.Tag != "" {
		tag = tagMark + iv.Tag + ","
	}
	_, err = fmt.Fprintf(w, "%s%s,%s,%.3f,%s\n", tag, ofDuration(offset), ofDuration(iv.Length),
		float64(iv.Histogram.Max())/microsInMilli, payload)
	return err
}

// checkTag refuses what ends a tag for a reader.
func checkTag(tag string) error {
	ends := func(r rune) bool { return r == ',' || unicode.IsSpace(r) || unicode.IsControl(r) }
	if strings.ContainsFunc(tag, ends) || !utf8.ValidString(tag) {
		return fmt.Errorf("tag %q has a comma, a space or no text in it", tag)
	}
	return nil
}

func ofDuration(d time.Duration) string {
	return seconds(int64(d/time.Second), int(d%time.Second))
}

// seconds writes a time with three decimals or as many as it needs.
func seconds(whole int64, nanos int) string {
	decimals := fmt.Sprintf("%09d", nanos)
	return strconv.FormatInt(whole, 10) + "." + decimals[:3] + strings.TrimRight(decimals[3:], "0")
}
