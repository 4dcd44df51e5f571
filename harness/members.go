package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/sink"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/harness/tap"
)

// members is the group of subject processes of one scenario. It joins what
// belongs to one life of a member: the process, its listeners in the tap, its
// address in the sink, and the events that tell of it.
type members struct {
	cfg   Config
	log   *history.Log
	tap   *tap.Tap
	sink  *sink.Sink
	admin groupAdmin
	env   subject.Env // what all members share
	dir   string      // for logs

	ctx context.Context // of the scenario; ends all restarts
	wg  sync.WaitGroup
	mu  sync.Mutex
	all map[string]*member
	// starting holds the names whose next life is being started.
	starting map[string]bool
	closing  bool  // the scenario is over: nothing starts any more
	wider    int32 // partitions of the topic, once it has got more; else 0
	fail     error // a subject that does not start, or exits for ever
	// abandon ends the scenario early, with a reason.
	abandon context.CancelCauseFunc
}

// member is one life of one member, the newest.
type member struct {
	name        string
	incarnation int
	restarts    int // on its own account
	inst        subject.Instance
	wire        *tap.Member
	metrics     string // address of its metrics, "" if they are not read
	groupID     string // member id in the group, kept after its end for Evict
	wanted      bool   // false once the harness has asked for its end
	alive       bool
}

// groupAdmin removes members from the group on behalf of the harness, for good or
// only for now.
type groupAdmin interface {
	evict(ctx context.Context, group string, who seatHolder) error
	release(ctx context.Context, group string, who seatHolder) error
}

// seatHolder is who a member is to its group.
type seatHolder struct {
	memberID, instanceID string // instanceID is "" but for static members
	protocol             string // classic or consumer
}

// Live implements fault.Members.
func (g *members) Live() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name, m := range g.all {
		if m.alive && m.wanted {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Start implements fault.Members: it starts the next incarnation and returns
// when the process runs. AwaitStable waits for the group.
func (g *members) Start(ctx context.Context, name string) error {
	return g.start(ctx, name, false)
}

// start starts the next life of a member, because the harness asks for it or again because the
// last one ended on its own. Whichever comes first takes the place; the other
// finds the member there.
func (g *members) start(ctx context.Context, name string, again bool) error {
	incarnation, restarts, err := g.reserve(name, again)
	if err != nil {
		return err
	}
	defer func() {
		g.mu.Lock()
		delete(g.starting, name)
		g.mu.Unlock()
	}()
	wire, err := g.tap.Open(ctx, name, incarnation)
	if err != nil {
		return fmt.Errorf("open the tap for %s: %w", name, err)
	}
	env := g.env
	env.Member, env.Incarnation = name, incarnation
	env.BootstrapServers = wire.Bootstrap()
	env.SinkURL = g.sink.Open(name, incarnation)
	env.Extra = maps.Clone(g.cfg.Extra)
	if g.cfg.Static {
		env.InstanceID = name
	}
	if env.MetricsAddr, err = g.metricsAddr(); err != nil {
		wire.Close()
		return err
	}
	if env.OutputTopic != "" && g.cfg.Promises.Delivery == history.ExactlyOnce {
		env.TransactionalID = transactionalID(env.GroupID, name)
	}
	logPath := filepath.Join(g.dir, fmt.Sprintf("%s.%d.log", name, incarnation))
	// The event comes first: what the process does can only follow it.
	g.log.Append(history.Event{Kind: history.MemberStarted, Member: name, Incarnation: incarnation, Note: g.cfg.Subject.Name()})
	inst, err := g.cfg.Subject.Start(g.ctx, env, logPath)
	if err != nil {
		g.sink.End(name, incarnation)
		wire.Close()
		g.log.Append(history.Event{Kind: history.MemberEnded, Member: name, Incarnation: incarnation, Outcome: history.Exited, Error: err.Error(), Note: "could not be started"})
		return &SubjectError{Reason: err.Error(), CannotStart: true}
	}
	m := &member{name: name, incarnation: incarnation, restarts: restarts, inst: inst, wire: wire, metrics: env.MetricsAddr, wanted: true, alive: true}
	g.mu.Lock()
	g.all[name] = m
	if g.closing { // it ends with g.ctx, and its end is no event
		m.wanted, m.alive = false, false
	}
	g.mu.Unlock()
	g.wg.Add(1)
	go g.watch(m)
	return nil
}

// reserve takes the place of a member for a life that is about to start.
func (g *members) reserve(name string, again bool) (incarnation, restarts int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.all[name]
	switch {
	case g.closing:
		return 0, 0, errors.New("the scenario is over")
	case g.starting[name], old != nil && old.alive:
		return 0, 0, fmt.Errorf("member %s runs already", name)
	case again && !old.wanted:
		return 0, 0, fmt.Errorf("member %s was asked to end", name)
	}
	g.starting[name] = true
	if old == nil {
		return 1, 0, nil
	}
	if again {
		restarts = 1
	}
	return old.incarnation + 1, old.restarts + restarts, nil
}

// watch waits for the end of one life, writes it down, and starts the next one
// if nobody had asked for the end.
func (g *members) watch(m *member) {
	defer g.wg.Done()
	<-m.inst.Done()
	exit := m.inst.Exit()
	g.mu.Lock()
	wanted := m.wanted
	if wanted {
		g.end(m, history.Exited, exitText(exit))
	}
	g.mu.Unlock()
	if !wanted {
		return // who asked for it writes it down
	}
	if m.wire.ID() != "" {
		// A member that died without a word keeps its seat until its session
		// ends; nobody is served by waiting for that.
		_ = g.Release(g.ctx, m.name)
	}
	m.wire.Close()
	if m.restarts >= g.cfg.MaxRestarts || m.restarts >= hopeless && g.cfg.Evidence == history.EvidenceEffects && g.sink.Effects(m.name) == 0 {
		g.giveUp(&SubjectError{
			Reason: fmt.Sprintf("%s exited on its own %d times, the last time with %s", m.name, m.restarts+1, exitText(exit)), Tail: exit.Tail,
		})
		return
	}
	backoff := time.NewTimer(min(200*time.Millisecond<<m.restarts, 5*time.Second))
	defer backoff.Stop()
	select {
	case <-backoff.C:
	case <-g.ctx.Done():
		return
	}
	var subj *SubjectError
	if err := g.start(g.ctx, m.name, true); errors.As(err, &subj) && g.ctx.Err() == nil {
		g.giveUp(subj)
	}
}

// hopeless is how often a member that never made an effect is started again.
const hopeless = 2

// giveUp notes that a member is not started again. Nobody needs to wait for it, or for anything else.
func (g *members) giveUp(why *SubjectError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = why
	g.log.Append(history.Event{Kind: history.Phase, Note: "a member is not started again: " + why.Reason})
	g.abandon(why)
}

// end writes the end of a life down, with g.mu held. The sink is closed to it
// first, so that no effect of a dead member follows its end.
func (g *members) end(m *member, how history.Outcome, text string) {
	m.alive = false
	m.groupID = m.wire.ID()
	g.sink.End(m.name, m.incarnation)
	note := ""
	if how == history.Killed && text == deadlineNote {
		note, text = text, ""
	}
	g.log.Append(history.Event{Kind: history.MemberEnded, Member: m.name, Incarnation: m.incarnation, Outcome: how, Error: text, Note: note})
}

const deadlineNote = "deadline" // MemberEnded killed: it did not stop in time

// anyLife stands for the life of a member that runs, whichever it is.
const anyLife = 0

// take marks a life of a member as one whose end the harness asked for.
func (g *members) take(name string, incarnation int) (*member, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m, err := g.alive(name, incarnation)
	if err == nil {
		m.wanted = false
	}
	return m, err
}

// alive finds a life of a member that runs, with g.mu held.
func (g *members) alive(name string, incarnation int) (*member, error) {
	m := g.all[name]
	if m == nil || !m.alive || !m.wanted || incarnation != anyLife && incarnation != m.incarnation {
		return nil, fmt.Errorf("member %s: %w", name, fault.ErrNotRunning)
	}
	return m, nil
}

// Kill implements fault.Members.
func (g *members) Kill(_ context.Context, name string, incarnation int) error {
	m, err := g.take(name, incarnation)
	if err != nil {
		return err
	}
	// Half-open: the broker is not told, as in a crash of the whole machine.
	// (kfake also keeps a dead seat when a connection drops during a join.)
	m.wire.HalfOpen()
	if err := m.inst.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	<-m.inst.Done()
	g.mu.Lock()
	g.end(m, history.Killed, exitText(m.inst.Exit()))
	g.mu.Unlock()
	return nil
}

// Evict implements fault.Members.
func (g *members) Evict(ctx context.Context, name string) error {
	return g.unseat(ctx, name, g.admin.evict)
}

// Release implements fault.Members.
func (g *members) Release(ctx context.Context, name string) error {
	return g.unseat(ctx, name, g.admin.release)
}

// unseat takes the newest life of a member out of the group by the given means.
func (g *members) unseat(ctx context.Context, name string, by func(context.Context, string, seatHolder) error) error {
	g.mu.Lock()
	m := g.all[name]
	if m == nil {
		g.mu.Unlock()
		return fmt.Errorf("there never was a member %s", name)
	}
	who, alive := seatHolder{memberID: m.groupID, instanceID: m.wire.InstanceID(), protocol: m.wire.Protocol()}, m.alive
	g.mu.Unlock()
	if who.memberID == "" {
		who.memberID = m.wire.ID()
	}
	if who.memberID != "" {
		bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		switch err := by(bounded, g.env.GroupID, who); {
		case errors.Is(err, errKeepsSeat):
		case err != nil:
			return fmt.Errorf("evict %s from group %s: %w", name, g.env.GroupID, err)
		default:
			g.log.Append(history.Event{Kind: history.Left, Member: name, Incarnation: m.incarnation, Note: "evicted"})
		}
	}
	if !alive {
		m.wire.Close()
	}
	return nil
}

// Freeze implements fault.Members.
func (g *members) Freeze(_ context.Context, name string, incarnation int) error {
	return g.signal(name, incarnation, history.MemberFrozen, subject.Instance.Stop)
}

// Thaw implements fault.Members.
func (g *members) Thaw(_ context.Context, name string, incarnation int) error {
	return g.signal(name, incarnation, history.MemberThawed, subject.Instance.Continue)
}

func (g *members) signal(name string, incarnation int, kind history.Kind, send func(subject.Instance) error) error {
	g.mu.Lock()
	m, err := g.alive(name, incarnation)
	g.mu.Unlock()
	if err != nil {
		return err
	}
	if kind == history.MemberThawed { // what it does once it runs comes after
		g.log.Append(history.Event{Kind: kind, Member: name, Incarnation: m.incarnation})
	}
	if err := send(m.inst); errors.Is(err, subject.ErrEnded) {
		return fmt.Errorf("member %s: %w", name, fault.ErrNotRunning)
	} else if err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	if kind == history.MemberFrozen {
		g.log.Append(history.Event{Kind: kind, Member: name, Incarnation: m.incarnation})
	}
	return nil
}

// AwaitStable implements fault.Members.
func (g *members) AwaitStable(ctx context.Context) error {
	var failed error
	err := g.tap.Await(ctx, func() bool {
		g.mu.Lock()
		failed = g.fail
		g.mu.Unlock()
		live := g.Live()
		return failed != nil || len(live) > 0 && g.tap.Stable(g.env.Topic, g.partitions(), live)
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("the group did not become stable (every partition owned, every member in the newest generation): %w", err)
	}
	return nil
}
