package hlog

import (
	"bytes"
	"fmt"
	"os"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ReadFile reads the interval log at path; errors name it.
func ReadFile(path string) ([]Interval, Header, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, Header{}, err
	}
	intervals, head, err := Read(bytes.NewReader(text))
	if err != nil {
		return nil, Header{}, fmt.Errorf("%s: %w", path, err)
	}
	return intervals, head, nil
}

// WriteFile writes an interval log to path, in place of what was there.
func WriteFile(path string, head Header, intervals []Interval) error {
	var b bytes.Buffer
	if err := Write(&b, head, intervals); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// WritePercentilesFile writes the percentile distribution of h to path, in place of what was there.
func WritePercentilesFile(path string, h *hdrhistogram.Histogram) error {
	var b bytes.Buffer
	if err := WritePercentiles(&b, h); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
