package dlq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pass is one way through the letters, to send them or to plan it.
type pass struct {
	cfg     Config
	opts    ReplayOptions
	sum     Summary
	adm     *kadm.Client
	targets *targets
	reader  *reader
	out     *sender // nil for a plan
	sent    map[int32]*progress
	seen    map[int32]int64 // by partition: the offset after the last letter that was met
	memory  time.Duration   // for how long brokers keep offsets; zero until asked
}

// outgoing is a letter to be sent.
type outgoing struct {
	letter *Letter
	record *kgo.Record
	// from is the offset after the letter before it: what lies between is no letter.
	from         int64
	expired, old bool // see Target
}

func newPass(ctx context.Context, cfg Config, opts ReplayOptions, send bool) (_ *pass, err error) {
	cfg, err = cfg.withDefaults()
	if err = errors.Join(err, opts.Validate()); err != nil {
		return nil, err
	}
	if opts.To == cfg.Topic {
		return nil, fmt.Errorf("dlq: ReplayOptions.To: %s is the dead-letter topic itself", opts.To)
	}
	p := &pass{
		cfg: cfg, opts: opts, sum: Summary{Topic: cfg.Topic, Group: cfg.Group, Targets: []Target{}, Offsets: []Extent{}, Left: []Left{}},
		seen: make(map[int32]int64),
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	var all map[int32]bounds
	if p.adm, all, err = cfg.admin(ctx); err != nil {
		return nil, err
	}
	if err := inUse(ctx, p.adm, cfg.Group); err != nil {
		return nil, err
	}
	if send {
		// The fence comes first: whoever was sending can commit nothing after it, so
		// the progress that is read then stands.
		if p.out, err = newSender(ctx, &p.cfg); err != nil {
			return nil, err
		}
		if all, err = topicBounds(ctx, p.adm, cfg.Topic); err != nil {
			return nil, err
		}
	}
	if p.sent, err = cfg.progress(ctx, p.adm, all); err != nil {
		return nil, err
	}
	for partition, at := range p.sent {
		p.seen[partition] = at.next
	}
	p.targets = newTargets(p.adm, cfg.Timeout)
	p.reader, err = newReader(&p.cfg, all, func(partition int32) int64 { return p.sent[partition].next })
	return p, err
}

func (p *pass) close() {
	if p.reader != nil {
		p.reader.close()
	}
	if p.out != nil {
		p.out.close()
	}
	if p.adm != nil {
		p.adm.Close()
	}
}

// pick returns the next letter to be sent, nil at the end, and notes those that it
// leaves on the way.
func (p *pass) pick(ctx context.Context) (*outgoing, error) {
	for {
		l, err := p.reader.next(ctx)
		if err != nil || l == nil {
			return nil, err
		}
		partition, offset := l.Record.Partition, l.Record.Offset
		from := p.seen[partition]
		p.seen[partition] = offset + 1
		if p.sent[partition].sent(offset) {
			continue
		}
		l.State = Pending
		if why := p.reason(l); why != "" {
			p.sum.leave(l, why)
			continue
		}
		return p.restore(ctx, l, from)
	}
}

// reason is why a letter is left; "" if it is not.
func (p *pass) reason(l *Letter) Reason {
	switch {
	case !p.opts.Filter.Match(l):
		return LeftFiltered
	case l.Origin.Topic == "" && p.opts.To == "":
		return LeftNoOrigin
	case p.opts.MaxCycles > 0 && l.Cycles > p.opts.MaxCycles:
		return LeftMaxCycles
	}
	return ""
}

// restore makes the record to send, and says what speaks against sending it.
func (p *pass) restore(ctx context.Context, l *Letter, from int64) (*outgoing, error) {
	o := &outgoing{letter: l, record: l.Restore(), from: from}
	if p.opts.To != "" {
		o.record.Topic = p.opts.To
	}
	to, err := p.targets.get(ctx, o.record.Topic)
	if err != nil {
		return nil, err
	}
	to.place(o.record, l.Origin.Topic != "")
	if p.opts.Timestamp == Now {
		o.record.Timestamp = time.Time{} // the client fills it in
	} else {
		o.expired = to.retention > 0 && time.Since(o.record.Timestamp) > to.retention
	}
	if !p.sent[l.Record.Partition].stored && !p.opts.First {
		if p.memory == 0 {
			p.memory = p.targets.forgotten(ctx)
		}
		o.old = time.Since(l.Record.Timestamp) > p.memory
	}
	return o, nil
}
