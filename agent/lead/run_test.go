package lead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
)

// fakeLog is a log of one voter in memory.
type fakeLog struct {
	leadership chan bool
	leads      atomic.Bool
	barriers   atomic.Int64
	transfers  atomic.Int64

	mu          sync.Mutex
	work        *fleet.State
	published   *fleet.State
	subscribers map[int]func(uint64, fleet.ChangeSet)
	barrierErr  error
	barrierHold chan struct{} // barriers wait for it, when not nil
	proposeErr  error         // of the next proposal
	stall       chan struct{} // proposals wait for it, when not nil
}

func newFakeLog(s *fleet.State) *fakeLog {
	return &fakeLog{leadership: make(chan bool, 1), work: s, published: s.Clone(),
		subscribers: map[int]func(uint64, fleet.ChangeSet){}}
}

func (l *fakeLog) State() *fleet.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.published
}

func (l *fakeLog) FleetTime() fleet.Time { return max(l.State().Now(), fleet.TimeOf(time.Now())) }

func (l *fakeLog) Subscribe(call func(uint64, fleet.ChangeSet)) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.subscribers)
	l.subscribers[n] = call
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subscribers, n)
	}
}

func (l *fakeLog) Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	l.mu.Lock()
	stall, err := l.stall, l.proposeErr
	l.proposeErr = nil
	l.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	if stall != nil {
		select {
		case <-stall:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	results, index := l.apply(items)
	return results, index, nil
}

func (l *fakeLog) apply(items []fleet.Item) ([]fleet.Result, uint64) {
	l.mu.Lock()
	out := l.work.Apply(l.work.Index()+1, fleet.Entry{At: fleet.TimeOf(time.Now()), Items: items})
	index := l.work.Index()
	l.published = l.work.Clone()
	var calls []func(uint64, fleet.ChangeSet)
	for _, call := range l.subscribers {
		calls = append(calls, call)
	}
	l.mu.Unlock()
	for _, call := range calls {
		call(index, out.ChangeSet)
	}
	return out.Results, index
}

func (l *fakeLog) Leadership() <-chan bool { return l.leadership }
func (l *fakeLog) IsLeader() bool          { return l.leads.Load() }

func (l *fakeLog) Barrier(context.Context) error {
	l.barriers.Add(1)
	l.mu.Lock()
	hold, err := l.barrierHold, l.barrierErr
	l.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return err
}

func (l *fakeLog) Transfer() error {
	l.transfers.Add(1)
	return errors.New("no other voter")
}

func (l *fakeLog) elect(leads bool) {
	l.leads.Store(leads)
	l.leadership <- leads
}

// fakeDetector see what the test tells them.
type fakeDetector struct {
	mu      sync.Mutex
	hosts   map[fleet.HostID]plan.HostLiveness
	probed  []fleet.HostID
	changed chan struct{}
}

func (e *fakeDetector) Liveness() plan.FleetLiveness {
	e.mu.Lock()
	defer e.mu.Unlock()
	liveness := plan.FleetLiveness{Hosts: map[fleet.HostID]plan.HostLiveness{}}
	for id, host := range e.hosts {
		liveness.Hosts[id] = host
	}
	return liveness
}

func (e *fakeDetector) Probe(hosts []fleet.HostID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.probed = append(e.probed, hosts...)
}

func (*fakeDetector) Traffic() plan.Traffic         { return plan.Traffic{} }
func (*fakeDetector) Watch([]fleet.TargetGroupName) {}

func (e *fakeDetector) Changed() <-chan struct{} { return e.changed }

func (e *fakeDetector) see(id fleet.HostID, liveness plan.Liveness) {
	e.mu.Lock()
	e.hosts[id] = plan.HostLiveness{Liveness: liveness, For: time.Second}
	e.mu.Unlock()
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// rig is a Leader that runs over fakes inside a bubble of fake time.
type rig struct {
	t        *testing.T
	log      *fakeLog
	detector *fakeDetector
	leader   *Leader
	duty     atomic.Int64 // runs of the duty that are under way
	end      func()
}

// errBusy is an error that says that nothing was done.
var errBusy = errors.New("busy")

func newRig(t *testing.T) *rig {
	w := newWorldAt(t, fleet.TimeOf(time.Now()).Add(-time.Hour), 3)
	w.service("web", 3, false)
	r := &rig{t: t, log: newFakeLog(w.s), detector: &fakeDetector{hosts: w.liveness, changed: make(chan struct{}, 1)}}
	var ids atomic.Int64
	r.leader = New(Config{
		Log: r.log, FailureDetector: r.detector, Clock: clock.System(), Logger: slog.New(slog.DiscardHandler),
		NewID:       func() fleet.TaskID { return fleet.TaskID(fmt.Sprintf("task-%d", ids.Add(1))) },
		NotProposed: func(err error) bool { return errors.Is(err, errBusy) },
		Duties: []Duty{{Name: "keeper", Run: func(ctx context.Context) error {
			r.duty.Add(1)
			<-ctx.Done()
			r.duty.Add(-1)
			return ctx.Err()
		}}},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.leader.Run(ctx) }()
	r.end = func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if n := r.duty.Load(); n != 0 {
			t.Errorf("%d duties run after the end", n)
		}
	}
	return r
}

// after lets fake time pass.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) tasks() int { return r.log.State().Counts("web", "").Total }

func TestRunPlansWhileItLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.end()
		r.after(time.Minute)
		if r.tasks() != 0 || r.duty.Load() != 0 {
			t.Fatalf("%d tasks and %d duties before it leads", r.tasks(), r.duty.Load())
		}
		r.log.elect(true)
		r.after(100 * time.Millisecond)
		if r.tasks() != 3 || r.duty.Load() != 1 || r.log.barriers.Load() != 1 {
			t.Fatalf("%d tasks, %d duties and %d barriers after election", r.tasks(), r.duty.Load(), r.log.barriers.Load())
		}
		r.log.elect(false)
		r.after(100 * time.Millisecond)
		if r.duty.Load() != 0 {
			t.Errorf("the duty runs on after the loss")
		}
		r.log.apply([]fleet.Item{{Command: fleet.ScaleService{Name: "web", Desired: 5}}})
		r.after(time.Minute)
		if r.tasks() != 3 {
			t.Errorf("%d tasks: it plans on after the loss", r.tasks())
		}
	})
}

func TestRunActsOnChangesWithoutATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.end()
		r.log.elect(true)
		r.after(time.Second)
		r.log.apply([]fleet.Item{{Command: fleet.ScaleService{Name: "web", Desired: 5}}})
		r.after(2 * GatherFor)
		if r.tasks() != 5 {
			t.Errorf("%d tasks %v after the change", r.tasks(), 2*GatherFor)
		}
		r.detector.see("h2", plan.LivenessSuspect)
		r.after(2 * GatherFor)
		if len(r.detector.probed) == 0 || r.detector.probed[0] != "h2" {
			t.Errorf("probed %v", r.detector.probed)
		}
		r.detector.see("h2", plan.LivenessSilent)
		r.after(2 * GatherFor)
		if state := r.log.State().Host("h2").State; state != fleet.HostSilent {
			t.Errorf("h2 is %s", state)
		}
	})
}

func TestRunVisitsEverythingOnceASettingHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.end()
		r.log.elect(true)
		r.after(time.Second)
		before := r.leader.Stats().FullPasses
		r.log.apply([]fleet.Item{{Command: fleet.PutSetting{Name: fleet.SettingLostAfter, Value: 20_000}}})
		r.after(2 * GatherFor)
		if got := r.leader.Stats().FullPasses - before; got != 1 {
			t.Errorf("%d full passes %v after the change", got, 2*GatherFor)
		}
	})
}

func TestRunTriesABarrierAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.end()
		r.log.barrierErr = errors.New("no quorum")
		r.log.elect(true)
		r.after(time.Second)
		if r.tasks() != 0 {
			t.Fatal("planned without a barrier")
		}
		r.log.mu.Lock()
		r.log.barrierErr = nil
		r.log.mu.Unlock()
		r.after(time.Second)
		if r.tasks() != 3 {
			t.Errorf("%d tasks after the barrier passed", r.tasks())
		}
	})
}

func TestRunPlansOnlyAfterABarrierOfItsOwnTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.end()
		first, second := make(chan struct{}), make(chan struct{})
		r.log.barrierHold = first
		r.log.elect(true)
		r.after(time.Second)
		r.log.elect(false)
		r.after(time.Millisecond)
		r.log.elect(true)
		r.after(time.Millisecond)
		r.log.mu.Lock()
		r.log.barrierHold = second
		r.log.mu.Unlock()
		close(first)
		r.after(time.Second)
		if r.tasks() != 0 {
			t.Error("planned after the barrier of an earlier term")
		}
		close(second)
		r.after(time.Second)
		if r.tasks() != 3 {
			t.Errorf("%d tasks after the barrier passed", r.tasks())
		}
	})
}

func TestRunOfTheOnlyVoterPlansAgainAfterAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.end()
		r.log.stall = make(chan struct{})
		r.log.elect(true)
		r.after(UnknownAfter + time.Second)
		if r.leader.Stats().StepDowns != 1 || r.log.transfers.Load() != 1 || r.duty.Load() != 0 {
			t.Fatalf("stats %+v, %d transfers, %d duties", r.leader.Stats(), r.log.transfers.Load(), r.duty.Load())
		}
		r.log.mu.Lock()
		close(r.log.stall)
		r.log.stall = nil
		r.log.mu.Unlock()
		r.after(RegainAfter + time.Second)
		if r.tasks() != 3 || r.duty.Load() != 1 {
			t.Errorf("%d tasks and %d duties after the stall", r.tasks(), r.duty.Load())
		}
	})
}

func TestRunTakesABusyLogForWhatItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.end()
		r.log.proposeErr = errBusy
		r.log.elect(true)
		r.after(RetryFirst / 2)
		if r.tasks() != 0 {
			t.Fatalf("%d tasks", r.tasks())
		}
		r.after(RetryFirst)
		if r.tasks() != 3 || r.leader.Stats().StepDowns != 0 {
			t.Errorf("%d tasks, stats %+v", r.tasks(), r.leader.Stats())
		}
	})
}

func TestRunNoticesATermThatNobodyToldItOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.end()
		r.log.leads.Store(true) // the notice was replaced by a later one
		r.after(time.Second)
		if r.tasks() != 3 {
			t.Errorf("%d tasks", r.tasks())
		}
		r.log.elect(true) // lost and won again in between
		r.after(time.Second)
		if got := r.log.barriers.Load(); got != 2 {
			t.Errorf("%d barriers for two terms", got)
		}
		close(r.log.leadership)
		r.log.leads.Store(false)
		r.after(time.Second)
		if r.duty.Load() != 0 {
			t.Error("leads on though the log is closed")
		}
	})
}
