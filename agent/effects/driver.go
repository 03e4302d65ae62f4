package effects

import (
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// By names the driver in commands and events.
const By = "effects"

// Driver is a leader's rules for one term of leadership, which begins after the term's
// barrier: which attempt is handed to which host, when a host is asked, which answers
// count, and what is committed of them. It is a machine: Step takes what happened and
// returns what to do. All that must not be lost is in State, so a new leader's Driver
// asks for what the former's had handed.
//
// Not safe for concurrent use. See NewDriver.
type Driver struct {
	fence    Fence
	mine     map[fleet.EffectID]int // attempts that this term handed
	asking   map[fleet.EffectID]*asking
	requests uint64 // made so far

	proposing bool
	proposed  uint64        // index of the newest proposal that committed
	pause     time.Duration // no proposal before

	verifying bool
	batch     []fleet.EffectID // asked for once this leader has verified itself
	recheck   time.Duration    // no verification before

	in   Input
	out  []Action
	next time.Duration // of the next step though nothing happens; 0: none
}

// asking is an attempt that was handed, as far as its host is asked.
type asking struct {
	attempt int
	host    fleet.HostID
	request uint64        // under way; 0: none
	at      time.Duration // of the next request
	doubt   bool          // an earlier request may have begun it
	answer  *Answer       // to be committed
}

// Input is what a step may know beside what happened.
type Input struct {
	Wall  fleet.Time // as the log would stamp an entry now
	Mono  time.Duration
	State *fleet.State // the newest that is applied here
	// Liveness is who is heard; asked for where a host is to be chosen.
	Liveness func() plan.FleetLiveness
}

// Event is something that happened. Closed set.
type Event interface{ event() }

type (
	// Verified answers Verify: this leader still leads if Err is nil.
	Verified struct{ Err error }
	// Proposed answers Propose: at Index if Err is nil.
	Proposed struct {
		Index   uint64
		Results []fleet.Result
		Err     error
	}
	// Answered answers Ask N. Err says that the host gave no answer; NotSent, that it
	// surely was not asked.
	Answered struct {
		N       uint64
		ID      fleet.EffectID
		Answer  Answer
		Err     error
		NotSent bool
	}
)

func (Verified) event() {}
func (Proposed) event() {}
func (Answered) event() {}

// Action is something to be done. Closed set.
type Action interface{ action() }

type (
	// Verify asks a majority whether this leader still leads.
	Verify struct{}
	// Propose commits one entry. At most one is under way.
	Propose struct{ Items []fleet.Item }
	// Ask makes a request of a host, for at most CallFor.
	Ask struct {
		N       uint64
		Host    fleet.HostID
		Request Request
	}
	// Wake steps the driver at a time of the monotonic clock, if nothing did before.
	Wake struct{ At time.Duration }
)

func (Verify) action()  {}
func (Propose) action() {}
func (Ask) action()     {}
func (Wake) action()    {}

// NewDriver returns the driver of a term that begins on a State with everything in it
// that earlier leaders committed.
func NewDriver(state *fleet.State) *Driver {
	d := &Driver{mine: map[fleet.EffectID]int{}, asking: map[fleet.EffectID]*asking{}}
	d.fence.Index = state.Index()
	if f := state.Fleet(); f != nil {
		d.fence.Epoch = f.Epoch
	}
	return d
}

// Concerns reports whether a driver is to be stepped when an entry changed State so.
func Concerns(state *fleet.State, changes fleet.ChangeSet) bool {
	if changes.Any(fleet.SubjectEffects) {
		return true
	}
	if changes.Any(fleet.SubjectHost) {
		for range state.OpenEffects() {
			return true
		}
	}
	return false
}

// Step takes what happened and returns what to do. A step costs O(open effects), and
// O(hosts) where one of a driver's is due.
func (d *Driver) Step(in Input, events ...Event) []Action {
	d.in, d.out, d.next = in, nil, 0
	d.follow()
	for _, e := range events {
		d.take(e)
	}
	d.decide()
	d.ask()
	if d.next != 0 {
		d.do(Wake{At: d.next})
	}
	return d.out
}

func (d *Driver) do(a Action) { d.out = append(d.out, a) }

func (d *Driver) take(e Event) {
	switch e := e.(type) {
	case Verified:
		d.verified(e.Err)
	case Proposed:
		d.proposing, d.proposed = false, max(d.proposed, e.Index)
		refused := e.Err != nil
		for _, r := range e.Results {
			refused = refused || r.Err != nil
		}
		if refused { // State moved, or clocks differ: it is looked at anew
			d.pause = d.in.Mono + ProposeAgain
		}
	case Answered:
		d.answered(e)
	}
}

// follow brings what is asked in line with State: an attempt is asked for from when it
// is handed to when another is, or the effect ends.
func (d *Driver) follow() {
	for id, a := range d.asking {
		if e := d.in.State.Effect(id); e == nil || e.Status != fleet.EffectHanded || e.Attempt != a.attempt {
			delete(d.asking, id)
		}
	}
	for id := range d.mine {
		if e := d.in.State.Effect(id); e == nil || !e.Open() {
			delete(d.mine, id)
		}
	}
	for e := range d.in.State.OpenEffects() {
		if e.Status == fleet.EffectHanded && d.asking[e.ID] == nil {
			d.asking[e.ID] = &asking{attempt: e.Attempt, host: e.Runner, at: d.in.Mono, doubt: d.mine[e.ID] != e.Attempt}
		}
	}
}

// verified makes the requests that waited for it: of attempts that are still handed.
func (d *Driver) verified(err error) {
	batch := d.batch
	d.verifying, d.batch = false, nil
	if err != nil {
		d.recheck = d.in.Mono + VerifyAgain
		return
	}
	for _, id := range batch {
		a := d.asking[id]
		if a == nil || !a.due(d.in.Mono) {
			continue
		}
		e := d.in.State.Effect(id)
		d.requests++
		a.request = d.requests
		d.do(Ask{N: a.request, Host: a.host, Request: Request{
			Fence: d.fence, ID: e.ID, Attempt: e.Attempt, Session: e.Session, Kind: e.Kind, Subject: e.Subject,
			Input: e.Input, Token: e.Token, WithinMs: int64(e.AttemptEnds() - d.in.Wall), Until: e.AttemptEnds(),
		}})
	}
}

func (a *asking) due(now time.Duration) bool { return a.request == 0 && a.answer == nil && a.at <= now }

// answered takes what a host said, or that it said nothing.
func (d *Driver) answered(e Answered) {
	a := d.asking[e.ID]
	if a == nil || a.request != e.N {
		return
	}
	a.request, a.at = 0, d.in.Mono+AskAgain
	switch {
	case e.Err != nil && !e.NotSent:
		a.doubt = true
	case e.Err != nil:
		a.refused("not reached: " + e.Err.Error())
	case e.Answer.Running:
		a.doubt, a.at = true, d.in.Mono+PollAgain
	case e.Answer.Refusal == OlderLeader:
		// Another leads, and will ask.
	case e.Answer.Refusal != 0:
		a.refused("refused: " + e.Answer.Refusal.String())
	default:
		answer := e.Answer.Bounded()
		a.answer = &answer
	}
}

// refused takes that a request began nothing. Unless another may have, the attempt
// never began.
func (a *asking) refused(why string) {
	if !a.doubt {
		answer := Answer{Verdict: fleet.VerdictRetry, Why: why}.Bounded()
		answer.Verdict = fleet.VerdictNotBegun
		a.answer = &answer
	}
}

// ask has this leader verify itself where requests are due.
func (d *Driver) ask() {
	if d.verifying || d.in.State.Index() < d.proposed {
		return
	}
	for e := range d.in.State.OpenEffects() {
		a := d.asking[e.ID]
		switch {
		case a == nil || a.request != 0 || a.answer != nil || d.in.Wall >= e.AttemptEnds():
		case max(a.at, d.recheck) > d.in.Mono:
			d.by(max(a.at, d.recheck))
		default:
			d.batch = append(d.batch, e.ID)
		}
	}
	if len(d.batch) > 0 {
		d.verifying = true
		d.do(Verify{})
	}
}

// by has the driver stepped no later than at a time.
func (d *Driver) by(at time.Duration) {
	if at = max(at, d.in.Mono+minWake); d.next == 0 || at < d.next {
		d.next = at
	}
}

// byFleetTime is by for a time as State has it. Fleet time may go slower than the
// monotonic clock: then the driver is stepped more than once.
func (d *Driver) byFleetTime(at fleet.Time) { d.by(d.in.Mono + at.Sub(d.in.Wall)) }
