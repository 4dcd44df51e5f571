package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer/dlq"
)

// letterPrinter prints letters and summaries as text, or as JSON, one object a line.
type letterPrinter struct {
	w     io.Writer
	json  bool
	limit int // bytes of a key, value or header; 0: all
}

// letterLine is a letter in JSON.
type letterLine struct {
	Topic        string       `json:"topic"`
	Partition    int32        `json:"partition"`
	Offset       int64        `json:"offset"`
	Written      time.Time    `json:"written"`
	State        dlq.State    `json:"state,omitempty"`
	Origin       *place       `json:"origin"`
	To           *place       `json:"to,omitempty"` // where it is sent, without an offset
	Style        string       `json:"style,omitempty"`
	Group        string       `json:"group,omitempty"`
	Stage        string       `json:"stage,omitempty"`
	ErrorType    string       `json:"error_type,omitempty"`
	Message      string       `json:"message,omitempty"`
	Attempts     int          `json:"attempts,omitempty"`
	Cycles       int          `json:"cycles"`
	Instance     string       `json:"instance,omitempty"`
	SchemaID     string       `json:"schema_id,omitempty"`
	OriginalTime *time.Time   `json:"original_time,omitempty"`
	FirstFailure *time.Time   `json:"first_failure,omitempty"`
	Key          *content     `json:"key"`
	Value        *content     `json:"value"`
	Headers      []headerLine `json:"headers"` // those that the record had
}

type place struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    *int64 `json:"offset,omitempty"`
}

type headerLine struct {
	Key   string   `json:"key"`
	Value *content `json:"value"`
}

// content is a key, a value or a header: as text where it is that, else in base64.
type content struct {
	Text   *string `json:"text,omitempty"`
	Base64 *string `json:"base64,omitempty"`
	Bytes  int     `json:"bytes"`         // of the whole
	Cut    bool    `json:"cut,omitempty"` // only the beginning is here
}

func (p letterPrinter) content(raw []byte) *content {
	if raw == nil {
		return nil
	}
	c := &content{Bytes: len(raw)}
	text := printable(raw)
	if p.limit > 0 && len(raw) > p.limit {
		c.Cut = true
		n := p.limit
		if text {
			n = boundary(raw, n)
		}
		raw = raw[:n]
	}
	if text {
		s := string(raw)
		c.Text = &s
	} else {
		s := base64.StdEncoding.EncodeToString(raw)
		c.Base64 = &s
	}
	return c
}

// cut cuts text between two characters.
func (p letterPrinter) cut(s string) string {
	if p.limit == 0 || len(s) <= p.limit {
		return s
	}
	return s[:boundary(s, p.limit)] + "…"
}

// boundary is the last place at n or before it where a character of s begins.
func boundary[T string | []byte](s T, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

func printable(raw []byte) bool {
	return utf8.Valid(raw) && !strings.ContainsFunc(string(raw), func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r'
	})
}

// String writes it on one line.
func (c *content) String() string {
	var s string
	switch {
	case c == nil:
		return "null"
	case c.Text != nil:
		s = oneLine(*c.Text)
	default:
		s = "base64:" + *c.Base64
	}
	if c.Cut {
		s += fmt.Sprintf("… (%d bytes)", c.Bytes)
	}
	return s
}

// oneLine writes text so that it cannot break lines, or move the cursor of a terminal.
func oneLine(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		quoted := fmt.Sprintf("%q", s)
		return quoted[1 : len(quoted)-1]
	}
	return s
}

// letter prints a letter, and where it is sent if it is.
func (p letterPrinter) letter(l *dlq.Letter, to *kgo.Record) error {
	if p.json {
		return p.encode(p.line(l, to))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", l.Place(), l.Record.Timestamp.UTC().Format(time.RFC3339))
	if l.State != dlq.Unknown {
		fmt.Fprintf(&b, "  %s", l.State)
	}
	origin := oneLine(l.Origin.String())
	if origin == "" {
		origin = "an unknown place"
	}
	fmt.Fprintf(&b, "  from %s", origin)
	if to != nil {
		fmt.Fprintf(&b, "  to %s/%d", to.Topic, to.Partition)
	}
	fmt.Fprintf(&b, "  cycle %d", l.Cycles)
	if l.Attempts > 0 {
		fmt.Fprintf(&b, "  attempts %d", l.Attempts)
	}
	if l.Group != "" {
		fmt.Fprintf(&b, "  group %s", oneLine(l.Group))
	}
	if l.Stage != "" {
		fmt.Fprintf(&b, "  stage %s", oneLine(l.Stage))
	}
	if what := strings.TrimPrefix(l.ErrorType+": "+l.Message, ": "); what != "" {
		fmt.Fprintf(&b, "\n    %s", oneLine(p.cut(what)))
	}
	fmt.Fprintf(&b, "\n    key %s  value %s\n", p.content(l.Record.Key), p.content(l.Record.Value))
	_, err := io.WriteString(p.w, b.String())
	return err
}

func (p letterPrinter) encode(v any) error {
	enc := json.NewEncoder(p.w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (p letterPrinter) line(l *dlq.Letter, to *kgo.Record) letterLine {
	line := letterLine{
		Topic: l.Record.Topic, Partition: l.Record.Partition, Offset: l.Record.Offset, Written: l.Record.Timestamp.UTC(), State: l.State,
		Style: string(l.Style), Group: l.Group, Stage: l.Stage, ErrorType: l.ErrorType, Message: l.Message, Attempts: l.Attempts, Cycles: l.Cycles,
		Instance: l.Instance, SchemaID: l.SchemaID, Key: p.content(l.Record.Key), Value: p.content(l.Record.Value), Headers: []headerLine{},
	}
	if l.Origin.Topic != "" {
		line.Origin = &place{l.Origin.Topic, l.Origin.Partition, &l.Origin.Offset}
	}
	if to != nil {
		line.To = &place{Topic: to.Topic, Partition: to.Partition}
	}
	for at, field := range map[*time.Time]**time.Time{&l.OriginalTime: &line.OriginalTime, &l.FirstFailure: &line.FirstFailure} {
		if !at.IsZero() {
			utc := at.UTC()
			*field = &utc
		}
	}
	for _, h := range l.Headers() {
		line.Headers = append(line.Headers, headerLine{h.Key, p.content(h.Value)})
	}
	return line
}

// summary prints what is to be sent (plan), or was (sent).
func (p letterPrinter) summary(what string, s dlq.Summary) error {
	if p.json {
		return p.encode(map[string]dlq.Summary{what: s})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s of %s, as group %s\n", what, count(s.Letters), s.Topic, s.Group)
	for _, t := range s.Targets {
		fmt.Fprintf(&b, "  to %s: %d\n", t.Topic, t.Letters)
	}
	for _, e := range s.Offsets {
		fmt.Fprintf(&b, "  of partition %d: %d, offsets %d to %d\n", e.Partition, e.Letters, e.First, e.Last)
	}
	for _, l := range s.Left {
		fmt.Fprintf(&b, "  left, %s: %d", leftBecause[l.Reason], l.Letters)
		if l.Reason != dlq.LeftFiltered {
			fmt.Fprintf(&b, ", at %s", strings.Join(l.First, " "))
			if l.Letters > len(l.First) {
				b.WriteString(" …")
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

// count writes a number of letters.
func count(n int) string {
	if n == 1 {
		return "1 letter"
	}
	return fmt.Sprintf("%d letters", n)
}

var leftBecause = map[dlq.Reason]string{
	dlq.LeftFiltered:  "not picked by the filters",
	dlq.LeftNoOrigin:  "they do not tell where they came from (--to sends them)",
	dlq.LeftMaxCycles: "dead-lettered more than --max-cycles times",
}
