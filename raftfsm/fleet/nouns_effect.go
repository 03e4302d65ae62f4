package fleet

import (
	"fmt"
	"time"
)

// EffectID names an effect for ever: random, made by the planner that intends it.
type EffectID string

// Effect is something to be done outside the log: a request to another system, a
// question to a driver. The row is the intent, and later the outcome. It is carried
// out at least once: by attempts, one at a time, each handed to one host by a command
// before the host is told (see HandEffect).
type Effect struct {
	ID          EffectID `cbor:"1,keyasint"`
	ModifyIndex uint64   `cbor:"2,keyasint"`
	Kind        string   `cbor:"3,keyasint"` // which runner carries it out: "webhook"
	Role        Role     `cbor:"4,keyasint"` // which hosts may
	Subject     Subject  `cbor:"5,keyasint"` // for what
	Input       []byte   `cbor:"6,keyasint,omitempty"`
	// Token is what the far side knows the action by, in every attempt. Effects that
	// ask for the same thing may share one.
	Token       string       `cbor:"7,keyasint"`
	By          string       `cbor:"8,keyasint,omitempty"` // planner
	CreatedAt   Time         `cbor:"9,keyasint"`
	Deadline    Time         `cbor:"10,keyasint"` // no attempt is handed, and none goes on, from then on
	TimeoutMs   int64        `cbor:"11,keyasint"` // of one attempt
	MaxAttempts int          `cbor:"12,keyasint"` // that may have begun
	Status      EffectStatus `cbor:"13,keyasint"`

	Attempt   int    `cbor:"14,keyasint,omitempty"` // number of the newest attempt; 0: none yet
	NotBegun  int    `cbor:"15,keyasint,omitempty"` // attempts that surely never began
	NotBefore Time   `cbor:"16,keyasint,omitempty"` // of the next attempt
	Runner    HostID `cbor:"17,keyasint,omitempty"` // host that the newest attempt was handed to
	Session   uint64 `cbor:"18,keyasint,omitempty"` // of the runner then: a later one carries out nothing of it
	HandedAt  Time   `cbor:"19,keyasint,omitempty"`

	Outcome []byte `cbor:"20,keyasint,omitempty"` // of the newest attempt that has one
	Why     string `cbor:"21,keyasint,omitempty"` // what went wrong last, for people
	EndedAt Time   `cbor:"22,keyasint,omitempty"`
}

// EffectGrace is how long after the end of an attempt's time its runner is still
// waited for: for clocks that differ, and for the answer's way.
const EffectGrace = 5 * time.Second

// Open reports whether the effect has not ended.
func (e *Effect) Open() bool { return e.Status <= EffectHanded }

// Tries is how many attempts have begun, or may have.
func (e *Effect) Tries() int { return e.Attempt - e.NotBegun }

// AttemptEnds is when the attempt that was handed must be over at its runner, in
// fleet time.
func (e *Effect) AttemptEnds() Time { return min(e.HandedAt+Time(e.TimeoutMs), e.Deadline) }

// Due is when something is to be done about an open effect: an attempt handed, the
// attempt under way given up, or the effect expired.
func (e *Effect) Due() Time {
	if e.Status == EffectHanded {
		return e.AttemptEnds().Add(EffectGrace)
	}
	return min(e.NotBefore, e.Deadline)
}

// EffectStatus is how far an effect has come.
type EffectStatus uint8

// The statuses. All from EffectDone on are final.
const (
	EffectPending   EffectStatus = iota + 1 // its next attempt is to be handed to a host
	EffectHanded                            // an attempt is under way, as far as anybody knows
	EffectDone                              // it was carried out; Outcome is what came of it
	EffectFailed                            // it will not be tried again
	EffectExpired                           // its deadline passed before it was done
	EffectWithdrawn                         // nobody wants it any more
)

var effectStatusNames = names{"", "pending", "handed", "done", "failed", "expired", "withdrawn"}

func (s EffectStatus) String() string { return effectStatusNames.text(uint8(s), "effect status") }

// EffectVerdict is what is known of an attempt when it is over.
type EffectVerdict uint8

// The verdicts.
const (
	VerdictDone     EffectVerdict = iota + 1 // it succeeded: no more attempts
	VerdictFailed                            // it failed as any other would: no more attempts
	VerdictRetry                             // it failed; another may succeed
	VerdictNotBegun                          // nothing was done, surely: does not count as a try
	VerdictUnknown                           // its time is over, or its runner's session, and nobody knows what was done
	VerdictExpired                           // the effect's deadline has passed
)

var effectVerdictNames = names{"", "done", "failed", "retry", "not-begun", "unknown", "expired"}

func (v EffectVerdict) String() string { return effectVerdictNames.text(uint8(v), "verdict") }

// RoleKind is a kind of role.
type RoleKind uint8

// The kinds of role.
const (
	RoleVoter  RoleKind = iota + 1 // any voting host
	RoleDriver                     // a host with the credentials of a driver; see DriverAttribute
	RoleHost                       // one host, like that of a task
)

var roleKindNames = names{"", "voter", "driver", "host"}

func (k RoleKind) String() string { return roleKindNames.text(uint8(k), "role") }

// Role says which hosts may carry out an effect.
type Role struct {
	Kind RoleKind `cbor:"1,keyasint"`
	Name string   `cbor:"2,keyasint,omitempty"` // of the driver, or the id of the host
}

// VoterRole is the role of any voting host.
func VoterRole() Role { return Role{Kind: RoleVoter} }

// DriverRole is the role of hosts with a driver's credentials.
func DriverRole(name string) Role { return Role{RoleDriver, name} }

// HostRole is the role of one host.
func HostRole(id HostID) Role { return Role{RoleHost, string(id)} }

func (r Role) String() string {
	if r.Name == "" {
		return r.Kind.String()
	}
	return fmt.Sprintf("%s:%s", r.Kind, r.Name)
}

// DriverAttribute is the attribute by which a host says that it holds the
// credentials of a driver; its value is free.
func DriverAttribute(name string) string { return "driver." + name }

// MayRun reports whether effects of a role may be handed to a host now: it is ready,
// has a session, and fills the role. Neither cordon nor drain matter, which keep
// tasks off a host.
func (s *State) MayRun(h *Host, r Role) bool {
	if h == nil || h.State != HostReady || h.Session.N == 0 {
		return false
	}
	switch r.Kind {
	case RoleVoter:
		v := s.VoterOf(h.ID)
		return v != nil && v.Phase == VoterVoting
	case RoleDriver:
		_, holds := h.Attributes[DriverAttribute(r.Name)]
		return holds
	case RoleHost:
		return string(h.ID) == r.Name
	default:
		return false
	}
}

// checkRole refuses a role that no host can ever fill.
func (s *State) checkRole(r Role) error {
	switch r.Kind {
	case RoleVoter:
		if r.Name != "" {
			return field("role", "is of any voter and has the name %s: it takes none", quoted(r.Name))
		}
		return nil
	case RoleDriver:
		return checkName("role", r.Name, MaxID)
	case RoleHost:
		_, err := s.livingHost(HostID(r.Name), "role")
		return err
	default:
		return field("role", "is %s: voter, driver or host is needed", r.Kind)
	}
}

// lessEffectTime orders open effects before ended ones: the open by when something
// is due, the ended by when they ended.
func lessEffectTime(a, b *Effect) bool {
	if ao, bo := a.Open(), b.Open(); ao != bo {
		return ao
	}
	if at, bt := a.orderTime(), b.orderTime(); at != bt {
		return at < bt
	}
	return a.ID < b.ID
}

func (e *Effect) orderTime() Time {
	if e.Open() {
		return e.Due()
	}
	return e.EndedAt
}

func lessEffectSubject(a, b *Effect) bool {
	if c := a.Subject.compare(b.Subject); c != 0 {
		return c < 0
	}
	return a.ID < b.ID
}

// mayHaveEffect reports whether a subject is there: the fleet as a whole, a service,
// a host or a task.
func (s *State) mayHaveEffect(subject Subject) bool {
	if s.mayHaveCondition(subject) {
		return true
	}
	return subject.Kind == SubjectTask && s.Task(TaskID(subject.Name)) != nil
}

func (s *State) checkEffect(b *violations, e *Effect) {
	b.must(e.Status >= EffectPending && e.Status <= EffectWithdrawn, "effect %s: %s", e.ID, e.Status)
	b.must(e.ModifyIndex <= s.index, "effect %s: modify index %d is above index %d", e.ID, e.ModifyIndex, s.index)
	b.must(e.NotBegun >= 0 && e.NotBegun <= e.Attempt,
		"effect %s: %d of %d attempts not begun", e.ID, e.NotBegun, e.Attempt)
	b.must(e.Open() == (e.EndedAt == 0), "effect %s is %s, ended %s", e.ID, e.Status, e.EndedAt)
	b.must(e.Open() || e.Input == nil, "effect %s is %s and keeps its input", e.ID, e.Status)
	b.must((e.Attempt == 0) == (e.Runner == ""), "effect %s: attempt %d, runner %q", e.ID, e.Attempt, e.Runner)
	b.must(e.Status != EffectHanded || e.Attempt > 0, "effect %s is handed to nobody", e.ID)
	b.must(e.Status != EffectPending || e.Tries() < e.MaxAttempts,
		"effect %s: %d of %d tries, and pending", e.ID, e.Tries(), e.MaxAttempts)
}
