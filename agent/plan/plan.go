// Package plan holds what all planners share: their input, their output and
// what the fleet is seen to do. Planners are pure functions in sub-packages
// (hosts, service, placement, ...): equal inputs give equal plans. They read no
// clock, depend on no order of a map, and change nothing. What they decide is
// commands, and why they hold something back is a condition, written by a command too
// (PutCondition), so that it outlives the leader.
//
// The package owns no decision of its own. Rules, orders and bounds of the
// planners are in DESIGN.md beside this file.
package plan

import (
	"net/netip"
	"strings"
	"time"

	"skein/raftfsm/fleet"
)

// MaxItems bounds the commands of one planner in one pass: what is left is
// planned on the State that has these, so it is a brake for our own bugs too. It
// is what the leader proposes at once (four entries of the log), since a pass
// that places looks at every host first. See Plan.More.
const MaxItems = 1024

// MaxTasks bounds the tasks that one planner creates, or places, in one pass: what a
// leader proposes at once (four entries of 512 KiB) holds that many created and
// placed. More would be planned and thrown away.
const MaxTasks = 16_384

// Input is all a planner may know.
type Input struct {
	State    *fleet.State // the earlier planners' commands are already applied
	Liveness FleetLiveness
	Traffic  Traffic // of the groups that planners watch
	Now      fleet.Time
	Scope    Scope
	NewID    func() fleet.TaskID // deterministic in tests and simulation
}

// Scope says what a pass must visit. A full pass gives the same commands as the
// incremental passes it replaces (proven by test).
type Scope struct {
	Full bool
	// From resumes a full pass that its bound cut: services before it were visited, so
	// that of those only the ones in Services are visited again. Empty for the first.
	From string
	// ChangeSet is what changed or is due: services, tasks, hosts also those whose
	// liveness changed or State disagrees with, and fleet.SubjectCapacity where room on
	// hosts may have changed (a host's row, its tasks, its liveness), so that work
	// which waits for room must be tried again. Subjects that planners do not visit
	// may be in it too.
	fleet.ChangeSet
}

// Plan is what a planner decided.
type Plan struct {
	Items []fleet.Item // in order of proposal, at most MaxItems
	// Probes are hosts whose silence needs witnesses before anything is decided,
	// sorted.
	Probes []fleet.HostID
	// Wakes ask for a visit of a subject at a time though nothing changed, where
	// State.Due does not know of the deadline. A full pass asks again, so they may
	// be forgotten with the leader.
	Wakes []Wake
	// Watch names target groups of which the planner wants to hear traffic, and while there
	// is one, how far hosts have come with routes (Input.RoutesServed). It is all that the
	// planner watches: it says so anew in each pass, whatever its scope, and what it does not
	// name is heard of no more. Of all planners together the first MaxWatched by name count.
	Watch []fleet.TargetGroupName
	// More says that MaxItems or MaxTasks cut the plan: the rest of the scope must be visited, from
	// the service Next on, or all of it again where Next is empty.
	More bool
	Next string
	// Visited is how many subjects were looked at, for statistics.
	Visited int

	tasks int // created or placed
}

// Wake is a visit asked for.
type Wake struct {
	At      fleet.Time
	Subject fleet.Subject
}

// Add appends commands of a planner.
func (p *Plan) Add(items ...fleet.Item) { p.Items = append(p.Items, items...) }

// AddTasks notes that commands create or place so many tasks.
func (p *Plan) AddTasks(n int) { p.tasks += n }

// TasksLeft is how many more tasks the plan may create or place.
func (p *Plan) TasksLeft() int { return MaxTasks - p.tasks }

// Full reports whether the plan has reached MaxItems or MaxTasks, and notes that it
// was cut.
func (p *Plan) Full() bool {
	if len(p.Items) < MaxItems && p.tasks < MaxTasks {
		return false
	}
	p.More = true
	return true
}

// WakeAt asks for a visit of a subject at a time.
func (p *Plan) WakeAt(at fleet.Time, subject fleet.Subject) {
	p.Wakes = append(p.Wakes, Wake{At: at, Subject: subject})
}

// Liveness is what observers agree on about a host.
type Liveness uint8

// The values of Liveness. LivenessUnknown is never a reason to act (a new leader starts there).
const (
	LivenessUnknown Liveness = iota
	LivenessAlive            // a byte on its stream, or a witness was answered
	LivenessSuspect          // no byte for longer than the threshold; witnesses not heard yet
	LivenessRefused          // the machine answers, its agent does not: it is restarting
	LivenessSilent           // by majority of witnesses nothing answers
)

var livenessNames = [...]string{"unknown", "alive", "suspect", "refused", "silent"}

func (s Liveness) String() string {
	if int(s) < len(livenessNames) {
		return livenessNames[s]
	}
	return "liveness?"
}

// Doubted reports whether a host is seen otherwise than alive: suspect, refused or
// silent. One that is unknown is not doubted, nor is it known to live.
func (s Liveness) Doubted() bool {
	return s == LivenessSuspect || s == LivenessRefused || s == LivenessSilent
}

// MinClockSamples is how many hosts' clocks make a median that says which of them
// is wrong.
const MinClockSamples = 3

// FleetLiveness is the leader's view of the fleet at one instant. Hosts not in it are
// LivenessUnknown; a host that was never heard since this view began must become
// LivenessSuspect after the threshold, or nobody would ever ask for witnesses.
// Ages are on the observer's monotonic clock, never wall time. A FleetLiveness is
// immutable once handed over.
type FleetLiveness struct {
	Hosts map[fleet.HostID]HostLiveness
	// Taken is how long ago the view was taken; Of adds it to the ages in the view. The
	// leader loop sets it, since it is given a view only when one changes.
	Taken time.Duration
	// LeaderAge is how long this leader has led. Set by the leader loop itself.
	LeaderAge time.Duration
	// ClockOffset is the median of the ready hosts' clocks (the leader's own with
	// offset 0 among them) minus the leader's; ClockSamples is how many hosts it
	// is made of.
	ClockOffset  time.Duration
	ClockSamples int
}

// Of is how a host is seen now: Taken is added to its ages. The Age of a host that is
// alive is an upper bound, since it may have been heard after the view was taken.
func (f FleetLiveness) Of(id fleet.HostID) HostLiveness {
	host, ok := f.Hosts[id]
	if !ok {
		return host
	}
	host.For += f.Taken
	if host.Age >= 0 {
		host.Age += f.Taken
	}
	return host
}

// HostLiveness is one host as seen.
type HostLiveness struct {
	Liveness Liveness
	// Session is the one on whose stream the host is heard now; 0 for none: no
	// stream of it flows (it may be alive by the word of a witness), or not known
	// yet. A machine that runs again is alive before State knows of its session.
	Session  uint64
	For      time.Duration // how long the liveness has held
	Age      time.Duration // since the last byte from the host; negative: never heard by this fleet view
	Pressure int8          // in percent: fleet.Pressure.Highest of its last capacity report
	Starved  bool          // it said it is late: no witness, no voter, slower timers
	// Served is how far the host has come with what it is sent, as far as the leader
	// asked to hear of it; zero for not known.
	Served fleet.Served
	// Leaving: its agent is stopped for good, and works on for a moment so that others take
	// over what it does.
	Leaving  bool
	Troubles []EntryTrouble // with entry addresses that it is to answer for
}

// EntryTrouble is why a host does not answer for an entry address that it is given.
type EntryTrouble struct {
	Addr netip.Addr `cbor:"1,keyasint"`
	// Other is the link address of a neighbour that says the address is its own; empty: none.
	Other string `cbor:"2,keyasint,omitempty"`
	Why   string `cbor:"3,keyasint,omitempty"` // what failed; empty where there is another
}

// MaxEntryTroubles is how many a host tells of; MaxEntryWhy is the longest reason, in bytes.
const (
	MaxEntryTroubles = 16
	MaxEntryWhy      = 200
)

// Clip cuts what is too long.
func (t EntryTrouble) Clip() EntryTrouble {
	t.Other, t.Why = clip(t.Other), clip(t.Why)
	return t
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), MaxEntryWhy)], "") }
