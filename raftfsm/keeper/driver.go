package keeper

import (
	"time"

	"skein/raftfsm/fleet"
)

const (
	// LookEvery is how often a leader looks at its voters.
	LookEvery = 500 * time.Millisecond
	// AskFor bounds one question to one voter; silence is an answer too.
	AskFor = 400 * time.Millisecond
	// StepsAtOnce bounds the steps of one look. What follows at once follows at once:
	// between the two additions that lead from one voter to three, losing one of two
	// would lose the fleet. Growing so takes four.
	StepsAtOnce = 8
	// ChangeFor bounds one effect.
	ChangeFor = 5 * time.Second
	// AwakeFor is how long a driver that looks seldom looks often after something
	// changed: longer than any of the keeper's own times but AvoidFor.
	AwakeFor = 3 * time.Minute
)

// Driver is the rules around Step for one term of leadership: when voters are asked,
// what counts as an answer and since when it has been so, and what is carried out in
// which order. It is a machine: its Step takes what happened and returns what to do.
// [Keeper] runs it with goroutines, the simulator over simulated time.
//
// A look asks all voters, decides, proposes, and carries effects out, one at a time;
// if all went well and there was something to do it looks again at once.
//
// Not safe for concurrent use. See NewDriver.
type Driver struct {
	seldom time.Duration

	memory   Memory
	answers  map[fleet.RaftID]Answer
	since    map[fleet.RaftID]time.Duration // of the present kind of answer
	prepared map[fleet.RaftID]bool          // handed over in this term

	phase phase
	at    time.Duration // of the next look, or until when answers are waited for
	began time.Duration // the look
	steps int           // of it
	round uint64        // of questions
	awake time.Duration // until then it looks often
	due   time.Duration // of what passes by itself; 0 for nothing
	asked map[fleet.RaftID]*Answer
	todo  []Effect // the first is under way
	well  bool     // all of the step went well

	in  Input
	now time.Duration
	out []Effect
}

// phase is what a driver waits for.
type phase uint8

const (
	resting phase = iota
	asking
	proposing
	changing
)

// NewDriver returns the driver of a term that begins now. Where nothing is to be
// done it looks each seldom, and each LookEvery while things change; 0 is LookEvery.
func NewDriver(now, seldom time.Duration) *Driver {
	return &Driver{
		seldom: max(seldom, LookEvery), at: now + LookEvery, awake: now + AwakeFor,
		answers: map[fleet.RaftID]Answer{}, since: map[fleet.RaftID]time.Duration{}, prepared: map[fleet.RaftID]bool{},
	}
}

// Step takes what happened and returns what to do. in is as of now, without Answers;
// a State of nil says that the log tells nothing now.
func (d *Driver) Step(wall fleet.Time, now time.Duration, in Input, events ...Event) []Effect {
	d.in, d.now, d.out = in, now, nil
	for _, e := range events {
		d.take(e)
	}
	if d.phase == resting && now >= d.at {
		d.began, d.steps = now, 0
		d.ask()
	}
	if d.phase == asking && (now >= d.at || d.allAnswered()) {
		d.decide(wall)
	}
	if d.phase == resting || d.phase == asking {
		d.do(Wake{At: d.at})
	}
	return d.out
}

func (d *Driver) do(e Effect) { d.out = append(d.out, e) }

func (d *Driver) take(e Event) {
	switch e := e.(type) {
	case Answered:
		if _, asked := d.asked[e.ID]; asked && e.N == d.round && d.phase == asking {
			d.asked[e.ID] = &e.Answer
		}
	case Proposed:
		if d.phase == proposing {
			d.proposed(e)
		}
	case Done:
		if d.phase == changing {
			d.done(e)
		}
	case Changed:
		if d.phase == resting && d.awake <= d.now {
			d.at = d.now + LookEvery
		}
		d.awake = d.now + AwakeFor
	}
}

// ask asks every voter but this one how far its log is, all at once.
func (d *Driver) ask() {
	if d.in.State == nil || d.in.State.Fleet() == nil {
		d.rest()
		return
	}
	d.phase, d.at, d.asked = asking, d.now+AskFor, map[fleet.RaftID]*Answer{}
	d.steps++
	d.round++
	for row := range d.in.State.Voters() {
		if row.ID != d.in.Self {
			d.asked[row.ID] = nil
			d.do(Ask{N: d.round, ID: row.ID})
		}
	}
}

func (d *Driver) allAnswered() bool {
	for _, answer := range d.asked {
		if answer == nil {
			return false
		}
	}
	return true
}

// decide takes the answers, also those that did not come, and begins what they
// lead to.
func (d *Driver) decide(wall fleet.Time) {
	if d.in.State == nil {
		d.rest()
		return
	}
	d.takeAnswers()
	d.in.Answers = d.answers
	var plan Plan
	plan, d.memory = Step(wall, d.in, d.memory)
	if len(plan.Items)+len(plan.Effects) > 0 || plan.Why != "" {
		d.awake = d.now + AwakeFor
	}
	d.due = 0
	if plan.At > 0 {
		d.due = d.now + max(plan.At.Sub(wall), 0)
	}
	d.todo, d.well = plan.Effects, true
	switch {
	case len(plan.Items) > 0:
		d.phase = proposing
		d.do(Propose{Items: plan.Items})
	case len(d.todo) > 0:
		d.next()
	default:
		d.rest()
	}
}

func (d *Driver) takeAnswers() {
	next := map[fleet.RaftID]Answer{}
	for id, asked := range d.asked {
		row := d.in.State.Voter(id)
		if row == nil {
			continue
		}
		var answer Answer
		if asked != nil {
			answer = *asked
		}
		// A host that is to become a voter may still hold an older log: only one that
		// was prepared in this term counts as answering for the new one.
		if row.Phase == fleet.VoterPreparing && !d.prepared[id] {
			answer.Now = false
		}
		old, known := d.answers[id]
		if !known || !old.Like(answer) {
			d.since[id] = d.now
		}
		answer.For = d.now - d.since[id]
		next[id] = answer
	}
	d.answers = next
}

// proposed goes on once State has what was intended. Of a proposal that is unknown a
// later look sees what became; nothing is done outside of State meanwhile.
func (d *Driver) proposed(e Proposed) {
	if e.Err != nil {
		d.todo, d.well = nil, false
	}
	d.next()
}

// done goes on with the effect after one that ended.
func (d *Driver) done(e Done) {
	if keys, ok := d.todo[0].(HandOverKeys); ok && e.Err == nil {
		d.prepared[keys.ID] = true
	}
	d.well = d.well && e.Err == nil
	d.todo = d.todo[1:]
	d.next()
}

// next begins the next effect, or ends the step: with another one at once where all
// went well.
func (d *Driver) next() {
	switch {
	case len(d.todo) > 0:
		d.phase = changing
		d.do(d.todo[0])
	case d.well && d.steps < StepsAtOnce:
		d.ask()
	default:
		d.rest()
	}
}

// rest waits for the next look.
func (d *Driver) rest() {
	d.phase, d.at = resting, max(d.began+LookEvery, d.now)
	if d.now >= d.awake {
		d.at = d.now + d.seldom
		if d.due > 0 {
			d.at = max(d.now, min(d.at, d.due))
		}
	}
}

// Event is something that happened to a Driver. Closed set.
type Event interface{ event() }

type (
	// Answered answers Ask N: For is left out.
	Answered struct {
		N      uint64
		ID     fleet.RaftID
		Answer Answer
	}
	// Proposed answers Propose; with an error nobody knows whether it commits. What was
	// refused is no error.
	Proposed struct{ Err error }
	// Done answers an effect of Step.
	Done struct{ Err error }
	// Changed: State or the view of the fleet has changed in something that may matter.
	Changed struct{}
)

func (Answered) event() {}
func (Proposed) event() {}
func (Done) event()     {}
func (Changed) event()  {}

// Effects of a Driver beside those of Step, which it gives one at a time.
type (
	// Ask asks a voter's host what its log is, within AskFor. N counts the rounds: an
	// answer may come late.
	Ask struct {
		N  uint64
		ID fleet.RaftID
	}
	// Propose commits items as one entry.
	Propose struct{ Items []fleet.Item }
	// Wake steps the driver at a time of the monotonic clock.
	Wake struct{ At time.Duration }
)

func (Ask) effect()     {}
func (Propose) effect() {}
func (Wake) effect()    {}
