package hlog

import (
	"bytes"
	"fmt"
	"io"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ticks is into how many rows the way to 100 % is cut each time half of it is left: 5, as in other tools.
const ticks = 5

// WritePercentiles writes the percentile distribution (.hgrm) of h, which holds microseconds, in milliseconds:
// what HdrHistogram's plotter reads.
//
// The rows are not left to hdrhistogram-go: it cuts percentiles to six decimals, so that the tail of a large histogram is 1.000000 throughout.
func WritePercentiles(w io.Writer, h *hdrhistogram.Histogram) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")
	for _, row := range h.CumulativeDistributionWithTicks(ticks) {
		below, value := row.Quantile/100, float64(row.ValueAt)/microsInMilli
		if below < 1 {
			fmt.Fprintf(&b, "%12.3f %2.12f %10d %14.2f\n", value, below, row.Count, 1/(1-below))
		} else { // a plotter has no place for the infinite
			fmt.Fprintf(&b, "%12.3f %2.12f %10d\n", value, below, row.Count)
		}
	}
	foot, err := footer(h)
	if err != nil {
		return fmt.Errorf("write percentiles: %w", err)
	}
	b.Write(foot)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write percentiles: %w", err)
	}
	return nil
}

// footer is the three lines below the rows. hdrhistogram-go has them right, and is alone to know the buckets.
func footer(h *hdrhistogram.Histogram) ([]byte, error) {
	var all bytes.Buffer
	if _, err := h.PercentilesPrint(&all, 1, microsInMilli); err != nil {
		return nil, err
	}
	at := bytes.IndexByte(all.Bytes(), '#')
	if at < 0 {
		return nil, fmt.Errorf("hdrhistogram-go wrote no footer")
	}
	return all.Bytes()[at:], nil
}
