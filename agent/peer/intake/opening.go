package intake

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// Opening is one host's way to a session at a voter. Where another machine than the one
// that has the present session asks, that one is looked for first: a byte that came
// before the other asked could be its last, so one that comes afterwards is waited for.
//
// Each Step returns the one thing to do next; Opened is the last.
type Opening struct {
	ask     fleet.OpenSession
	present uint64 // session, when this one was asked for
	looks   int    // for the machine that has it
	refused error  // the agent is too old, which is to be written down
}

// heardTimes is how often the former machine must be heard to count as alive.
const heardTimes = 3

// NewOpening takes up what a host asks for. Contested and TooOld are this voter's to say.
func NewOpening(ask fleet.OpenSession) *Opening {
	ask.Contested, ask.TooOld = false, false
	return &Opening{ask: ask}
}

// SessionEvent is what came of a SessionEffect. Closed set.
type SessionEvent interface{ sessionEvent() }

type (
	// Asked begins.
	Asked struct{}
	// Looked answers LookFor; it is an error that nobody knows who is heard.
	Looked struct {
		Heard bool
		Err   error
	}
	// Waited answers Wait.
	Waited struct{}
	// Applied answers ProposeSession.
	Applied struct {
		Results []fleet.Result
		Index   uint64
		Err     error
	}
)

func (Asked) sessionEvent()   {}
func (Looked) sessionEvent()  {}
func (Waited) sessionEvent()  {}
func (Applied) sessionEvent() {}

// SessionEffect is what an Opening asks for. Closed set.
type SessionEffect interface{ sessionEffect() }

type (
	// LookFor asks whether a host is heard in a session, by this voter or, as the leader
	// knows, by another.
	LookFor struct {
		Host    fleet.HostID
		Session uint64
	}
	// Wait lets time go by.
	Wait struct{ For time.Duration }
	// ProposeSession commits one item, from any voter.
	ProposeSession struct{ Item fleet.Item }
	// Opened ends it: with a grant, whose roster the caller fills in, or why there is
	// none. Noted says that the alarm of a clone was written into State with it, Unnoted
	// why it could not be written down that the agent is too old: it asks again.
	Opened struct {
		Grant   protocol.SessionGrant
		Err     error
		Noted   bool
		Unnoted error
	}
)

func (LookFor) sessionEffect()        {}
func (Wait) sessionEffect()           {}
func (ProposeSession) sessionEffect() {}
func (Opened) sessionEffect()         {}

// Step goes on; st is this voter's State now. now is its clock: State's own time stands
// still while nothing is committed.
func (o *Opening) Step(st *fleet.State, now fleet.Time, event SessionEvent) SessionEffect {
	h := st.Host(o.ask.Host)
	if h == nil || st.Fleet() == nil {
		return Opened{Err: fmt.Errorf("session of %s: %w", o.ask.Host, protocol.ErrBehind)}
	}
	switch e := event.(type) {
	case Asked:
		if err := o.ask.CheckFormat(st); err != nil {
			return o.refuse(h, err)
		}
		if !o.ask.SameMachine(h) {
			o.present = h.Session.N
			return LookFor{Host: h.ID, Session: o.present}
		}
	case Looked:
		if e.Err != nil {
			return Opened{Err: e.Err}
		}
		if o.looks++; e.Heard && o.looks < heardTimes {
			return Wait{For: detector.HeardWithin + protocol.AgesEvery}
		}
		o.ask.Contested = e.Heard
	case Waited:
		return LookFor{Host: h.ID, Session: o.present}
	case Applied:
		return o.applied(st, h, e)
	}
	if o.ask.Contested && h.CloneNoted(max(now, st.Now())) {
		return o.cloned(h)
	}
	return o.propose(h)
}

func (o *Opening) propose(h *fleet.Host) SessionEffect {
	return ProposeSession{Item: fleet.Item{Command: o.ask, By: "host " + h.Name}}
}

// refuse turns an agent away that is too old. Its host's row is to say so, once.
func (o *Opening) refuse(h *fleet.Host, why error) SessionEffect {
	if h.Refuses(o.ask) {
		return Opened{Err: why}
	}
	o.ask.TooOld, o.refused = true, why
	return o.propose(h)
}

// applied reads what State made of the session.
func (o *Opening) applied(st *fleet.State, h *fleet.Host, e Applied) SessionEffect {
	switch {
	case o.refused != nil:
		return Opened{Err: o.refused, Unnoted: e.Err}
	case e.Err != nil:
		return Opened{Err: e.Err}
	case len(e.Results) != 1:
		return Opened{Err: fmt.Errorf("session of %s: %d results: %w", h.Name, len(e.Results), protocol.ErrUnknown)}
	case e.Results[0].Err != nil:
		return Opened{Err: e.Results[0].Err}
	}
	ids := e.Results[0].IDs
	if o.ask.Contested && len(ids) == 0 {
		cloned := o.cloned(h)
		cloned.Noted = true
		return cloned
	}
	n, err := strconv.ParseUint(strings.Join(ids, ""), 10, 64)
	if err != nil {
		return Opened{Err: fmt.Errorf("session of %s has no number: %w", h.Name, protocol.ErrUnknown)}
	}
	return Opened{Grant: protocol.SessionGrant{Epoch: st.Fleet().Epoch, Index: e.Index, Session: n}}
}

func (o *Opening) cloned(h *fleet.Host) Opened {
	return Opened{Err: fmt.Errorf("session of %s at %s: that host is heard at %s: %w: wipe the data folder of one of "+
		"both machines and join it anew", h.Name, o.ask.Addr, h.Addr, protocol.ErrCloned)}
}
