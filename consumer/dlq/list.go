package dlq

import (
	"context"
	"errors"
	"iter"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ListOptions pick the letters of [List].
type ListOptions struct {
	Filter Filter
	// Pending leaves out the letters that were sent back already.
	Pending bool
}

// List yields the letters that lie in the dead-letter topic when it is called, in
// the order in which [Replay] would send them. It joins no group and leaves no
// trace. An error is yielded last, with a nil letter. Letters are read as they are
// asked for: breaking off costs nothing.
func List(ctx context.Context, cfg Config, opts ListOptions) iter.Seq2[*Letter, error] {
	return func(yield func(*Letter, error) bool) {
		if err := list(ctx, cfg, opts, func(l *Letter) bool { return yield(l, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func list(ctx context.Context, cfg Config, opts ListOptions, yield func(*Letter) bool) error {
	cfg, err := cfg.withDefaults()
	if err = errors.Join(err, opts.Filter.Validate()); err != nil {
		return err
	}
	adm, all, err := cfg.admin(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	sent, err := cfg.progress(ctx, adm, all)
	if err != nil && (opts.Pending || !errors.Is(err, kerr.GroupAuthorizationFailed)) {
		return err
	}
	r, err := newReader(&cfg, all, func(partition int32) int64 {
		if opts.Pending {
			return sent[partition].next
		}
		return 0
	})
	if err != nil {
		return err
	}
	defer r.close()
	for {
		l, err := r.next(ctx)
		if err != nil || l == nil {
			return err
		}
		if p := sent[l.Record.Partition]; p != nil {
			l.State = Pending
			if p.sent(l.Record.Offset) {
				l.State = Replayed
			}
		}
		if !opts.Filter.Match(l) || opts.Pending && l.State == Replayed {
			continue
		}
		if !yield(l) {
			return nil
		}
	}
}
