package reports

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// canvas builds one inline SVG. Everything that is not a number goes through
// attr or text, which escape it; colours come from classes of report.css, so that
// dark mode applies to pictures too and no style attribute weakens the CSP.
type canvas struct {
	strings.Builder
	width, height float64
}

func (c *canvas) begin(width, height float64, label string) {
	c.width, c.height = width, height
	fmt.Fprintf(c, `<svg viewBox="0 0 %s %s" role="img" aria-label="%s">`, px(c.width), px(height), html.EscapeString(label))
}

func (c *canvas) end() template.HTML {
	c.WriteString("</svg>")
	return template.HTML(c.String()) //nolint:gosec // every part was escaped when it was written
}

func (c *canvas) rect(class string, x, y, w, h float64, title string) {
	fmt.Fprintf(c, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"`, class, px(x), px(y), px(w), px(h))
	c.closeWith("rect", title)
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(c, `<path class="%s" d="M%s %sL%s %s"/>`, class, px(x1), px(y1), px(x2), px(y2))
}

func (c *canvas) path(class, d, title string) {
	if d == "" {
		return
	}
	fmt.Fprintf(c, `<path class="%s" d="%s"`, class, d)
	c.closeWith("path", title)
}

func (c *canvas) closeWith(tag, title string) {
	if title == "" {
		c.WriteString("/>")
		return
	}
	fmt.Fprintf(c, "><title>%s</title></%s>", html.EscapeString(plain(title, 300)), tag)
}

// text writes s with its anchor (start, middle or end) at x and its baseline at y.
func (c *canvas) text(class, anchor string, x, y float64, s string) {
	fmt.Fprintf(c, `<text class="%s" x="%s" y="%s"`, class, px(x), px(y))
	if anchor != "start" {
		fmt.Fprintf(c, ` text-anchor="%s"`, anchor)
	}
	fmt.Fprintf(c, ">%s</text>", html.EscapeString(plain(s, 80)))
}

// px prints a coordinate with one digit, which is finer than anyone sees.
func px(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0")
}

// textWidth is about how wide s is in the 11-unit type of the pictures.
func textWidth(s string) float64 { return 6.3 * float64(len([]rune(s))) }

// scale maps values onto a stretch of a picture.
type scale struct {
	min, max float64 // of the values
	lo, hi   float64 // where they go
}

func (s scale) at(v float64) float64 {
	lo, hi := s.min, s.max
	if hi <= lo {
		return s.lo
	}
	return s.lo + (min(max(v, lo), hi)-lo)/(hi-lo)*(s.hi-s.lo)
}

// ticks are round values in the range, about n of them: 1, 2 and 5 times a
// power of ten.
func (s scale) ticks(n int) []float64 {
	span := s.max - s.min
	if span <= 0 || n < 1 {
		return []float64{s.min}
	}
	step := math.Pow(10, math.Floor(math.Log10(span/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if span/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	var out []float64
	for i := math.Ceil(s.min / step); i*step <= s.max*(1+1e-9) && len(out) < 50; i++ {
		out = append(out, i*step)
	}
	return out
}

// thin keeps at most n of s, evenly spread, the first and the last among them.
func thin[T any](s []T, n int) []T {
	if len(s) <= n {
		return s
	}
	if n < 2 {
		return s[:max(n, 0)]
	}
	out := make([]T, 0, n)
	for i := range n {
		out = append(out, s[i*(len(s)-1)/(n-1)])
	}
	return out
}
