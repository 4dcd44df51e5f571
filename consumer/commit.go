package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	errOutdated = errors.New("consumer: a partition was lost while its commit waited")
	errHeldUp   = errors.New("consumer: a rebalance held up the commit for too long")
)

// committer sends commits, one at a time: two under way at once could reach the
// coordinator in the wrong order.
type committer struct {
	s    *session
	sem  chan struct{} // holds a token while a commit is under way
	wake chan struct{}
}

// maxCommitPause is how long the loop waits after commits that failed, at most.
const maxCommitPause = 5 * time.Second

func newCommitter(s *session) *committer {
	return &committer{s: s, sem: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

func (c *committer) soon() { signal(c.wake) }

// run commits every interval, and when woken, until quit ends; a commit that is
// under way then goes on, until life ends. After a failure it waits a little
// longer each time.
func (c *committer) run(quit, life context.Context) {
	cfg := c.s.e.cfg
	tick := time.NewTicker(cfg.CommitInterval)
	defer tick.Stop()
	for failures := 0; ; {
		c.s.e.vitals.commitTurned()
		select {
		case <-quit.Done():
			return
		case <-tick.C:
		case <-c.wake:
		}
		if err := c.flush(life, c.s.all()); err == nil {
			failures = 0
			continue
		}
		failures++
		if !pause(quit, Retry{Initial: 50 * time.Millisecond, Max: maxCommitPause, Multiplier: 2, Jitter: 0.2}.after(failures, 0)) {
			return
		}
		c.soon()
	}
}

// finish commits what is left of parts, again and again until all is committed
// or ctx ends.
func (c *committer) finish(ctx context.Context, parts []*partition) error {
	for n := 1; ; n++ {
		err := c.flush(ctx, parts)
		if err == nil || membership(err) || errors.Is(err, errOutdated) || ctx.Err() != nil {
			return err
		}
		if !pause(ctx, Retry{Initial: 20 * time.Millisecond, Max: time.Second, Multiplier: 2, Jitter: 0.2}.after(n, 0)) {
			return err
		}
	}
}

// flush commits what parts have done and is not committed, in one request.
func (c *committer) flush(ctx context.Context, parts []*partition) (err error) {
	defer func() {
		if !interim(err) {
			c.s.e.vitals.commitEnded(err)
		}
	}()
	select {
	case c.sem <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.sem }()

	offsets := make(map[string]map[int32]kgo.EpochOffset)
	var snaps []snapshot
	for _, p := range parts {
		snap, ok := p.snapshot()
		if !ok {
			continue
		}
		snaps = append(snaps, snap)
		if offsets[p.topic] == nil {
			offsets[p.topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[p.topic][p.partition] = kgo.EpochOffset{Epoch: snap.epoch, Offset: snap.offset}
	}
	if len(snaps) == 0 {
		return nil
	}
	took := c.s.e.vitals.commitSent()
	resp, err := c.send(ctx, offsets, snaps)
	waited := took()
	err = c.answered(snaps, resp, err)
	if hook := c.s.e.cfg.Hooks.OnCommitRequest; hook != nil && !unsent(err) {
		hook(CommitInfo{Partitions: len(snaps), Duration: waited, Err: err})
	}
	return err
}

// answer is the error of each partition of a commit.
type answer map[topicPartition]error

// send makes one commit request and waits for its end.
//
// kgo holds a commit back while it joins, and reads member and generation only
// when it sends. So a commit decided on before a loss could leave as the new
// member, and the broker would take it. The last look is therefore taken when
// the request is built: it must be for the member that the epoch belongs to, and
// the epoch must not be fenced.
//
// Only the wait for the join has a deadline of its own. Giving up a request that
// is on the wire would let it arrive after the next one, and move the commit back.
func (c *committer) send(ctx context.Context, offsets map[string]map[int32]kgo.EpochOffset, snaps []snapshot) (answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var settled atomic.Bool // it has left, or has been given up
	held := time.AfterFunc(c.s.e.cfg.CommitTimeout, func() {
		if settled.CompareAndSwap(false, true) {
			cancel(errHeldUp)
		}
	})
	defer held.Stop()
	check := func(req *kmsg.OffsetCommitRequest) error {
		if c.s.aborted.Err() != nil {
			return errOutdated // all is about to be fenced
		}
		for _, s := range snaps {
			if !s.part.current(req.MemberID) {
				return errOutdated
			}
		}
		if !settled.CompareAndSwap(false, true) {
			return errHeldUp
		}
		annotate(req, snaps)
		return nil
	}
	type end struct {
		answer answer
		err    error
	}
	ended := make(chan end, 1)
	c.s.cl.CommitOffsets(kgo.PreCommitFnContext(ctx, check), offsets, func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			ended <- end{err: err}
			return
		}
		ended <- end{answer: readAnswer(req, resp)}
	})
	select {
	case e := <-ended:
		if e.err != nil && ctx.Err() != nil {
			return nil, fmt.Errorf("%w (%w)", context.Cause(ctx), e.err)
		}
		return e.answer, e.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// annotate puts the notes of attempts into a request, where kgo would have the
// member id.
func annotate(req *kmsg.OffsetCommitRequest, snaps []snapshot) {
	notes := make(map[topicPartition]*string, len(snaps))
	for i := range snaps {
		if snaps[i].note != "" {
			notes[snaps[i].part.topicPartition] = &snaps[i].note
		}
	}
	for _, t := range req.Topics {
		for i := range t.Partitions {
			if note, ok := notes[topicPartition{t.Topic, t.Partitions[i].Partition}]; ok {
				t.Partitions[i].Metadata = note
			}
		}
	}
}

// readAnswer maps the codes of a response to partitions. From version 10 on a
// response has topic ids instead of names.
func readAnswer(req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) answer {
	names := make(map[[16]byte]string, len(req.Topics))
	for _, t := range req.Topics {
		names[t.TopicID] = t.Topic
	}
	a := make(answer)
	for _, t := range resp.Topics {
		name := t.Topic
		if name == "" {
			name = names[t.TopicID]
		}
		for _, p := range t.Partitions {
			a[topicPartition{name, p.Partition}] = kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return a
}

var errNoAnswer = errors.New("consumer: the broker did not answer for this partition")

// answered takes the end of a commit: what the broker took is committed, and a
// refusal that means this member is out of the group fences everything.
func (c *committer) answered(snaps []snapshot, a answer, err error) error {
	var errs error
	for _, s := range snaps {
		perr := err
		if perr == nil {
			var ok bool
			if perr, ok = a[s.part.topicPartition]; !ok {
				perr = errNoAnswer
			}
		}
		if hook := c.s.e.cfg.Hooks.OnCommit; hook != nil && !unsent(perr) {
			hook(s.part.topic, s.part.partition, s.offset, perr)
		}
		if perr != nil && errs == nil {
			errs = fmt.Errorf("consumer: commit of %s/%d@%d: %w", s.part.topic, s.part.partition, s.offset, perr)
		}
	}
	// Fence before lanes are let go, so that none starts for a member that is out.
	switch {
	case errs == nil:
	case errors.Is(errs, kerr.FencedInstanceID), denied(errs):
		c.s.abort(errs)
	case membership(errs):
		c.s.rejoin(errs)
	case !errors.Is(errs, errOutdated) && !errors.Is(errs, context.Canceled):
		c.s.e.log.Warn("commit failed, will try again", "err", errs)
	}
	if errors.Is(errs, errOutdated) || c.s.aborted.Err() != nil {
		// Nothing was sent: lanes that wait for it wait for the next one. Or all is about
		// to be fenced, and that it is has ended the wait: none must start just before.
		return errs
	}
	for _, s := range snaps {
		perr, ok := a[s.part.topicPartition]
		s.part.answered(s, err == nil && ok && perr == nil)
	}
	return errs
}

// unsent tells of commits that never left.
func unsent(err error) bool { return errors.Is(err, errOutdated) || errors.Is(err, errHeldUp) }

// membership tells whether a refusal means that the group goes on without this
// member. REBALANCE_IN_PROGRESS and STALE_MEMBER_EPOCH do not: the member is
// still in, and commits again after the rebalance.
func membership(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.FencedMemberEpoch) || errors.Is(err, kerr.FencedInstanceID)
}

// denied tells of refusals that only an operator can put right.
func denied(err error) bool {
	return errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(err, kerr.TopicAuthorizationFailed) ||
		errors.Is(err, kerr.InvalidGroupID)
}
