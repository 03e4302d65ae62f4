package lead

import (
	"time"

	"skein/raftfsm/fleet"
)

const (
	// PollEvery is how often leadership and the failure detector's view are read
	// although nobody said that they changed: a notice may have been replaced by a
	// later one, and a view's clocks and loads move without a word.
	PollEvery = 500 * time.Millisecond
	// BarrierFor bounds one barrier, and BarrierAgain is the pause after one that did
	// not pass.
	BarrierFor   = 5 * time.Second
	BarrierAgain = 250 * time.Millisecond
	// RegainAfter is how long a leader that stepped down waits before it plans again
	// if it still leads, as the only voter does: a new barrier then proves what
	// became of its proposals.
	RegainAfter = 5 * time.Second
)

// Driver is the rules around a Loop: when a term of planning begins and ends, when
// a barrier is asked for and whose answer counts, when the failure detector's view
// is read, how a proposal of several entries is made, and which of its errors are
// unknown. It is a machine like Loop: Step takes what happened and returns what to
// do. [Leader] runs it over a log and goroutines, the simulator over simulated time.
//
// Not safe for concurrent use. See NewDriver.
type Driver struct {
	cfg  DriverConfig
	loop *Loop

	leads   bool          // the loop plans; duties run
	notices uint64        // of leadership, so far
	waiting bool          // a barrier is under way
	passed  bool          // a barrier of this notice has passed; the view is asked for
	pause   time.Duration // no barrier is asked for before this time
	readAt  time.Duration // when the view was read
	entries *sequence     // of the proposal under way, or nil

	in   Input
	out  []Effect
	due  []Event // for the loop, in this step
	read bool    // the view is to be read
}

// sequence is a proposal of which entries are not committed yet.
type sequence struct {
	left [][]fleet.Item // the first of them is under way
	done ProposalDone   // so far
}

// DriverConfig is what a Driver needs.
type DriverConfig struct {
	NewID    func() fleet.TaskID
	Planners []Planner
	// NotProposed reports whether an error of a proposal says that nothing was done
	// and nothing will be (the log is busy); nil for no such errors.
	NotProposed func(error) bool
	// Told says that the caller reports every change of leadership and of the view; the
	// Driver then reads neither without a report.
	Told bool
}

// Input is what a step may know beside what happened.
type Input struct {
	Now   Instant
	Leads bool         // this voter's log leads now
	State *fleet.State // the newest that is applied here
}

// NewDriver returns a Driver that does not lead.
func NewDriver(cfg DriverConfig) *Driver {
	return &Driver{cfg: cfg, loop: NewLoop(cfg.NewID, cfg.Planners...)}
}

// Leading reports whether planning goes on.
func (d *Driver) Leading() bool { return d.leads }

// Stats returns what has been counted. The map is the caller's.
func (d *Driver) Stats() Stats { return d.loop.Stats() }

// Step takes what happened and returns what to do, in order.
func (d *Driver) Step(in Input, events ...Event) []Effect {
	d.in, d.out, d.due, d.read = in, nil, nil, false
	for _, e := range events {
		d.take(e)
	}
	if !in.Leads {
		d.endTerm()
	}
	wake, planned := d.stepLoop()
	d.mayBarrier()
	d.wake(wake, planned)
	d.mayRead()
	return d.out
}

func (d *Driver) take(e Event) {
	switch e := e.(type) {
	case LeadershipChanged:
		// The log led before and leads now: it lost leadership in between and nobody noticed.
		d.notices++
		d.endTerm()
	case BarrierDone:
		d.waiting = false
		switch {
		case e.N != d.notices: // it passed in an earlier term
		case e.Err != nil:
			d.pause = d.in.Now.Mono + BarrierAgain
		case d.in.Leads && !d.leads:
			d.passed, d.read = true, true
		}
	case LivenessNoticed:
		d.read = d.read || d.leads
	case LivenessChanged:
		d.takeLiveness(e)
	case Applied:
		d.due = append(d.due, e)
	case EntryDone:
		d.entryDone(e)
	}
}

// takeLiveness passes a view on; the first after a barrier begins the term.
func (d *Driver) takeLiveness(e LivenessChanged) {
	d.readAt = d.in.Now.Mono
	d.due = append(d.due, e)
	if !d.passed || !d.in.Leads {
		return
	}
	d.passed, d.leads = false, true
	d.due = append(d.due, BecameLeader{State: d.in.State})
	d.do(StartDuties{})
}

// endTerm ends planning and drops what was planned: the entries that are left of a
// proposal are not proposed in another term.
func (d *Driver) endTerm() {
	d.passed = false
	if !d.leads {
		return
	}
	d.due = append(d.due, LostLeadership{})
	d.stopPlanning()
}

func (d *Driver) stopPlanning() {
	d.leads, d.entries = false, nil
	d.do(StopDuties{})
}

// entryDone goes on with the entry after one that has committed.
func (d *Driver) entryDone(e EntryDone) {
	p := d.entries
	if p == nil || p.done.N != e.N {
		return // of a term that is over
	}
	switch {
	case e.Err != nil && d.cfg.NotProposed != nil && d.cfg.NotProposed(e.Err):
		p.done.NotProposed = e.Err
	case e.Err != nil:
		d.entries = nil
		d.due = append(d.due, ProposalUnknown{N: e.N, Err: e.Err})
		return
	default:
		p.done.Index, p.done.Results = e.Index, append(p.done.Results, e.Results...)
		if p.left = p.left[1:]; len(p.left) > 0 {
			d.do(ProposeEntry{N: e.N, Items: p.left[0]})
			return
		}
	}
	d.entries = nil
	d.due = append(d.due, p.done)
}

// stepLoop has the loop take what is due and passes its effects on; wake is when
// it wants to be stepped again.
func (d *Driver) stepLoop() (wake time.Duration, planned bool) {
	for _, e := range d.loop.Step(d.in.Now, d.due...) {
		switch e := e.(type) {
		case Propose:
			d.entries = &sequence{left: e.Entries, done: ProposalDone{N: e.N}}
			d.do(ProposeEntry{N: e.N, Items: e.Entries[0]})
		case StepDown:
			d.pause = d.in.Now.Mono + RegainAfter
			d.stopPlanning()
			d.do(e)
		case Wake:
			wake, planned = e.At, true
		default:
			d.do(e)
		}
	}
	return wake, planned
}

// mayBarrier asks for a barrier where the log leads and the loop does not: planning
// starts when it has passed.
func (d *Driver) mayBarrier() {
	if !d.in.Leads || d.leads || d.waiting || d.passed || d.in.Now.Mono < d.pause {
		return
	}
	d.waiting = true
	d.do(Barrier{N: d.notices})
}

// mayRead asks for the view when the loop needs it, and every PollEvery where changes
// are not told.
func (d *Driver) mayRead() {
	if d.read || d.leads && !d.cfg.Told && d.in.Now.Mono-d.readAt >= PollEvery {
		d.do(ReadLiveness{})
	}
}

// wake asks for a step at the earliest time at which there may be something to do.
func (d *Driver) wake(at time.Duration, planned bool) {
	if d.in.Leads && !d.leads && !d.waiting && !d.passed && (!planned || d.pause < at) {
		at, planned = d.pause, true
	}
	if poll := d.in.Now.Mono + PollEvery; !d.cfg.Told && (!planned || poll < at) {
		at, planned = poll, true
	}
	if planned {
		d.do(Wake{At: at})
	}
}

func (d *Driver) do(e Effect) { d.out = append(d.out, e) }

// Events and effects of a Driver that a Loop does not know.
type (
	// LeadershipChanged: the log gained or lost leadership, or both in turn.
	LeadershipChanged struct{}
	// BarrierDone answers Barrier N.
	BarrierDone struct {
		N   uint64
		Err error
	}
	// LivenessNoticed: the failure detector has something new to see.
	LivenessNoticed struct{}
	// EntryDone answers ProposeEntry N, which is at Index if Err is nil.
	EntryDone struct {
		N       uint64
		Index   uint64
		Results []fleet.Result
		Err     error
	}

	// Barrier waits until everything earlier in the log is applied here, for at most
	// BarrierFor, and answers with BarrierDone.
	Barrier struct{ N uint64 }
	// ReadLiveness reads the failure detector's view and answers with LivenessChanged
	// at once. It is the last effect of a step.
	ReadLiveness struct{}
	// ProposeEntry commits one entry and answers with EntryDone.
	ProposeEntry struct {
		N     uint64
		Items []fleet.Item
	}
	// StartDuties and StopDuties begin and end the work that only a leader does. All duties
	// of a term have ended before those of the next begin.
	StartDuties struct{}
	StopDuties  struct{}
)

func (LeadershipChanged) event() {}
func (BarrierDone) event()       {}
func (LivenessNoticed) event()   {}
func (EntryDone) event()         {}

func (Barrier) effect()      {}
func (ReadLiveness) effect() {}
func (ProposeEntry) effect() {}
func (StartDuties) effect()  {}
func (StopDuties) effect()   {}

// Merge adds what a later entry changed. Entries that are applied between two steps are
// merged, so that the State and the change set of a step belong together.
func (e *Applied) Merge(state *fleet.State, changes fleet.ChangeSet) {
	e.State = state
	e.ChangeSet.Merge(changes)
}
