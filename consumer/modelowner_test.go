package consumer

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// modelOwner stands for the session: it tells the model what partitions ask of it.
type modelOwner struct {
	m *model

	mu      sync.Mutex
	paused  map[topicPartition]bool
	twice   bool // pausing what is paused, resuming what is not, settling what is settled
	stops   int
	aborts  int
	letters []*modelLetter
	tx      *modelTx
}

// modelLetter is a dead letter that was not answered yet.
type modelLetter struct {
	c      *modelCall
	answer chan error
}

// modelTx is a transaction: what it has produced, and how many records are not done.
type modelTx struct {
	left    int
	careful bool // an output of a record that it has was refused before
	epochs  []*modelEpoch
	outputs map[topicPartition]map[int64]int // by offset, dead letters too
}

func (o *modelOwner) pause(tp topicPartition)  { o.setPaused(tp, true) }
func (o *modelOwner) resume(tp topicPartition) { o.setPaused(tp, false) }

func (o *modelOwner) setPaused(tp topicPartition, paused bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.twice = o.twice || o.paused[tp] == paused
	o.paused[tp] = paused
}

func (o *modelOwner) commitSoon()          {}
func (o *modelOwner) memberOf(string) bool { return true }

func (o *modelOwner) stop(err error) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	var poison *PoisonError
	if errors.As(err, &poison) {
		c, late := o.m.buries(topicPartition{poison.Topic, poison.Partition}, poison.Offset)
		if c != nil || late {
			o.m.stops++
		}
		if c != nil {
			o.m.finish(c, true)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stops++; o.stops > o.m.stops+100 {
		o.m.fail("it spins: %v", err)
		runtime.Goexit()
	}
}

func (o *modelOwner) rejoin(err error) { o.abort(err) }

func (o *modelOwner) abort(err error) {
	o.mu.Lock()
	o.aborts++
	o.mu.Unlock()
	for _, p := range o.m.parts {
		if ep := p.epoch(); ep != nil {
			ep.part.fence(err)
		}
	}
}

// skipped is told when a record is dropped by policy.
func (o *modelOwner) skipped(r *kgo.Record, _ int, _ error, policy PoisonPolicy) {
	if policy != PoisonSkip {
		return
	}
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	if c, _ := o.m.buries(topicPartition{r.Topic, r.Partition}, r.Offset); c != nil {
		o.m.bury(c)
	}
}

func (o *modelOwner) letter(ctx context.Context, r *kgo.Record) error {
	at := topicPartition{header(r, HeaderTopic), int32(number(header(r, HeaderPartition)))}
	offset := number(header(r, HeaderOffset))
	o.m.mu.Lock()
	c, late := o.m.buries(at, offset)
	for _, other := range o.m.calls {
		if other.ep.of.tp == at && len(other.poison) > 0 && other.poison[0].rec.Offset == offset {
			c = other
		}
	}
	if late {
		o.m.mu.Unlock()
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if c == nil {
		o.m.fail("a dead letter of %v@%d, which is no poison", at, offset)
		o.m.mu.Unlock()
		return nil
	}
	l := &modelLetter{c, make(chan error)}
	o.letters = append(o.letters, l)
	o.m.mu.Unlock()
	select {
	case err := <-l.answer:
		return err
	case <-o.m.over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (o *modelOwner) emit(p *partition, offset int64, outputs []*kgo.Record) {
	if p.ended() {
		return // as the transactor does
	}
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	if len(outputs) != 1 || outputs[0].Offset != offset || outputs[0].Partition != p.partition {
		o.m.fail("the outputs of %d are another record's", offset)
	}
	if o.tx == nil {
		o.m.fail("an output of %d outside of a transaction", offset)
		return
	}
	o.tx.add(p.topicPartition, offset)
}

func (x *modelTx) add(tp topicPartition, offset int64) {
	if x.outputs[tp] == nil {
		x.outputs[tp] = make(map[int64]int)
	}
	x.outputs[tp][offset]++
}

// settled is told under the mutex of a partition, which abort asks for.
func (o *modelOwner) settled(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tx != nil {
		o.tx.left -= n
		o.twice = o.twice || o.tx.left < 0
	}
}
