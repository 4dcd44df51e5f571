package workload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"text/template"
	"time"
	"unicode/utf8"
)

// fields are what a template can use.
type fields struct {
	ID, Key string
	Seq     int
	Time    int64 // ms since the start of the schedule
	Padding string
}

// payloads renders values.
type payloads struct {
	spec     Spec
	template *template.Template // nil for the default JSON
	uses     int                // how often the template writes .Padding
	rand     *rand.PCG
	buf      bytes.Buffer
}

// marker opens an undecodable value: 0xFF never occurs in UTF-8, and JSON is UTF-8.
const marker = "\xff\xfeksim undecodable "

func newPayloads(s Spec, r *rand.PCG) (*payloads, error) {
	p := &payloads{spec: s, rand: r}
	if s.Template == "" {
		return p, nil
	}
	t, err := template.New("payload").Option("missingkey=error").Parse(s.Template)
	if err != nil {
		return nil, fmt.Errorf("workload: template: %w", err)
	}
	p.template = t
	probe := fields{ID: "m-000001", Key: keyName(0), Seq: 1}
	bare, err := p.execute(probe)
	if err != nil {
		return nil, err
	}
	probe.Padding = "x"
	padded, err := p.execute(probe)
	if err != nil {
		return nil, err
	}
	p.uses = len(padded) - len(bare)
	return p, nil
}

func (p *payloads) execute(f fields) ([]byte, error) {
	p.buf.Reset()
	if err := p.template.Execute(limited{&p.buf}, f); err != nil {
		return nil, fmt.Errorf("workload: template: %w", err)
	}
	return bytes.Clone(p.buf.Bytes()), nil
}

// limited keeps a template from writing more than Kafka would take.
type limited struct{ *bytes.Buffer }

func (l limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > MaxValue {
		return 0, fmt.Errorf("the value is larger than %d bytes, which Kafka refuses by default", MaxValue)
	}
	return l.Buffer.Write(b)
}

// value makes the value of m, of which all but Value is set; nil for a tombstone.
func (p *payloads) value(m Message) ([]byte, error) {
	size := p.spec.Size
	switch m.Poison {
	case Tombstone:
		return nil, nil
	case Undecodable:
		return p.undecodable(m.ID, size), nil
	case Oversized:
		size = p.spec.Mix.oversized()
	}
	if m.large {
		size = MaxValue
	}
	if p.template == nil {
		return p.json(m, size), nil
	}
	f := fields{ID: m.ID, Key: string(m.Key), Seq: m.Seq, Time: m.Due.Milliseconds()}
	value, err := p.execute(f)
	if err != nil || p.uses == 0 || len(value)+p.uses > size {
		return value, err
	}
	f.Padding = string(p.text(nil, (size-len(value))/p.uses))
	return p.execute(f)
}

func (p *payloads) undecodable(id string, size int) []byte {
	b := make([]byte, 0, max(size, len(marker)+len(id)+1))
	b = append(append(append(b, marker...), id...), ' ')
	for len(b) < size {
		b = append(b, byte(p.rand.Uint64()>>56))
	}
	return b
}

// json makes the default value. Nothing in it needs escaping.
func (p *payloads) json(m Message, size int) []byte {
	const end = `"}`
	b := make([]byte, 0, size)
	b = append(append(b, `{"id":"`...), m.ID...)
	b = append(append(b, `","key":"`...), m.Key...)
	b = strconv.AppendInt(append(b, `","seq":`...), int64(m.Seq), 10)
	b = strconv.AppendInt(append(b, `,"ts":`...), m.Due.Milliseconds(), 10)
	if m.Poison != Healthy { // so that a person who looks at the record sees it
		b = append(append(append(b, `,"poison":"`...), m.Poison...), '"')
	}
	b = append(b, `,"pad":"`...)
	b = p.text(b, size-len(b)-len(end))
	return append(b, end...)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// text appends n characters that do not compress below 6 bits each: a padding
// of blanks would make every codec look wonderful.
func (p *payloads) text(b []byte, n int) []byte {
	for n > 0 {
		bits := p.rand.Uint64()
		for i := 0; i < min(n, 10); i++ {
			b = append(b, alphabet[bits&63])
			bits >>= 6
		}
		n -= 10
	}
	return b
}

// validatePayload is the part of Validate that has to render values.
func (s Spec) validatePayload() (errs []error) {
	if s.Size > MaxValue || s.Size < 0 {
		errs = append(errs, fmt.Errorf("workload: size is %d bytes: at most %d fit into a record by Kafka's defaults", s.Size, MaxValue))
	}
	if n := s.Mix.oversized(); s.Mix.Oversized > 0 && (n > MaxValue || n <= s.Size) {
		errs = append(errs, fmt.Errorf("workload: mix: oversized bytes is %d: it must be above size (%d) and at most %d", n, s.Size, MaxValue))
	}
	p, err := newPayloads(s, rand.NewPCG(0, 0))
	if err != nil {
		return append(errs, err)
	}
	last := s.message(s.Messages, s.Keys-1)
	last.Due = max(last.Due, time.Millisecond)
	if p.template == nil {
		if s.Mix.Permanent+s.Mix.Transient > 0 {
			last.Poison = Permanent
		}
		if least := len(p.json(last, 0)); s.Size < least {
			errs = append(errs, fmt.Errorf("workload: size is %d bytes: the longest message of this workload needs %d", s.Size, least))
		}
		return errs
	}
	return append(errs, p.validateTemplate(last)...)
}

func (p *payloads) validateTemplate(last Message) (errs []error) {
	render := func(f fields) string {
		value, err := p.execute(f)
		if err != nil && !errors.Is(err, io.EOF) {
			errs = append(errs, err)
		}
		return string(value)
	}
	one := render(fields{ID: "m-000001", Seq: 1})
	two := render(fields{ID: "m-000002", Seq: 2})
	full := render(fields{ID: last.ID, Key: string(last.Key), Seq: last.Seq, Time: last.Due.Milliseconds()})
	if len(errs) > 0 {
		return errs[:1]
	}
	if one == two {
		errs = append(errs, errors.New("workload: template: two messages would have the same value; use {{.ID}} or {{.Seq}}"))
	}
	if full == "" || one == "" {
		errs = append(errs, errors.New("workload: template: a value would be empty"))
	}
	if !utf8.ValidString(full) {
		errs = append(errs, errors.New("workload: template: a value would not be UTF-8; undecodable messages are made by the mix"))
	}
	if p.uses == 0 && p.spec.Mix.Oversized > 0 {
		errs = append(errs, errors.New("workload: template: oversized messages need {{.Padding}}"))
	}
	return errs
}
