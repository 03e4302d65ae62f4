package sim

import (
	"strings"
	"time"

	"skein/agent/converge"
	"skein/agent/effects"
	"skein/agent/lead"
	"skein/agent/plan"
	"skein/agent/sim/invariant"
	"skein/agent/sim/simlog"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// watch tells the checker what happens, and keeps what it found broken.
type watch struct {
	w       *World
	checker *invariant.Checker
	broken  []invariant.Broken
	on      map[fleet.HostID]map[string]containerFact
	was     map[fleet.HostID]sessionFact
	commits uint64
}

// containerFact is what the checker was told of a container.
type containerFact struct{ started, signalled, ended bool }

// checkChangeSetEvery is how many entries of a large world lie between two at which
// State counts what was touched anew: it looks at each task of a service. The
// checker's own model judges every entry.
const checkChangeSetEvery = 64

// checkFullEvery is how many entries lie between two checks of everything.
const checkFullEvery = 2_000

func newWatch(w *World) *watch {
	x := &watch{w: w, on: map[fleet.HostID]map[string]containerFact{}, was: map[fleet.HostID]sessionFact{}}
	x.checker = invariant.New(w.time.Now, func(b invariant.Broken) {
		w.note("BROKEN %s: %s", b.Name, b.Detail)
		x.broken = append(x.broken, b)
	})
	w.net.Watch(x.linked)
	return x
}

// stopped reports whether a rule was broken: the world ends there.
func (x *watch) stopped() bool { return len(x.broken) > 0 || x.w.interrupted() }

// fail records a rule broken that the checker does not know.
func (x *watch) fail(name, detail string) {
	x.w.note("BROKEN %s: %s", name, detail)
	x.broken = append(x.broken, invariant.Broken{Name: name, Detail: detail, At: x.w.time.Now()})
}

// committed takes in an entry: State checks itself, the checker its model.
func (x *watch) committed(c simlog.Commit) {
	w := x.w
	w.truth = c.State
	x.commits++
	x.reached(c)
	if !w.cfg.Large || x.commits%checkChangeSetEvery == 0 {
		if err := c.State.CheckChangeSet(c.Outcome.ChangeSet); err != nil {
			x.fail("State", err.Error())
		}
	}
	x.checker.Committed(invariant.Entry{Index: c.Index, Term: c.Term, Leader: c.Leader, Planned: c.Planned, Entry: c.Entry,
		Results: c.Outcome.Results, After: c.State})
	if x.commits%(checkFullEvery*uint64(1+len(w.order)/100)) == 0 || !w.cfg.Large && x.commits%100 == 0 {
		x.full()
	}
	if c.Outcome.ChangeSet.Any(fleet.SubjectVoters) {
		x.linked("")
	}
	x.tell(c)
	w.stats.committed(w, c)
	w.tellCommit(c)
}

// reached marks what operators' rare orders come to.
func (x *watch) reached(c simlog.Commit) {
	for i, item := range c.Entry.Items {
		if c.Outcome.Results[i].Err != nil {
			if _, keys := item.Command.(fleet.PutSealedKeys); keys {
				x.w.sometimes("keys are refused that do not follow")
			}
			continue
		}
		switch command := item.Command.(type) {
		case fleet.SilenceHost:
			if command.Flaps > 1 {
				x.w.sometimes("a host that comes and goes is held back")
			}
		case fleet.RaiseFormat:
			if c.State.Fleet().Format == command.Format {
				x.w.sometimes("the format of the fleet is raised")
			}
		case fleet.RevokeCert:
			x.w.sometimes("a certificate is revoked")
		case fleet.ForgetHost:
			x.w.sometimes("a host is forgotten")
		case fleet.PutSealedKeys:
			x.w.sometimes("keys are rotated")
		case fleet.OpenSession:
			x.session(command)
		}
	}
}

// session marks a session in which a host is not what it was.
func (x *watch) session(c fleet.OpenSession) {
	if was := x.was[c.Host]; was != (sessionFact{}) && (was.zone != c.Zone || was.capacity != c.Capacity) {
		x.w.sometimes("a host has another zone or capacity")
	}
	x.was[c.Host] = sessionFact{c.Zone, c.Capacity}
}

// sessionFact is what a host said of itself in its last session.
type sessionFact struct {
	zone     string
	capacity fleet.Resources
}

// tell writes what an entry did into the trace: what was decided, and commands
// that no decision tells of.
func (x *watch) tell(c simlog.Commit) {
	if x.w.cfg.Large {
		return
	}
	told := x.w.stats.decided
	for e := range c.State.EventsAfter(told) {
		x.w.note("log %d: %s: %s", c.Index, e.By, e.Message)
		told = e.Seq
	}
	for i, item := range c.Entry.Items {
		if err := c.Outcome.Results[i].Err; err != nil {
			x.w.note("log %d: %s: %s refused: %v", c.Index, item.By, lead.CommandName(item.Command), err)
			continue
		}
		switch command := item.Command.(type) {
		case fleet.PutCondition:
			x.w.note("log %d: %s waits: %s %s %s", c.Index, item.By, command.Subject, command.Code, command.Message)
		case fleet.Report:
			for _, t := range command.Tasks {
				x.w.note("log %d: %s reports %s %s %s", c.Index, item.By, short(t.Task), t.Status, t.Health)
			}
		case fleet.Prune, fleet.PutSetting, fleet.SetVoter:
			x.w.note("log %d: %s: %s %+v", c.Index, item.By, lead.CommandName(command), command)
		}
	}
}

// full checks everything.
func (x *watch) full() {
	if err := x.w.truth.Check(); err != nil {
		x.fail("State", err.Error())
	}
	if err := x.checker.Full(x.w.truth); err != nil {
		x.fail("model", err.Error())
	}
}

func (x *watch) machine(h *host) invariant.Machine {
	return invariant.Machine{Host: h.id, Boot: h.bootID()}
}

func (x *watch) facts(h *host) map[string]containerFact {
	facts := x.on[h.id]
	if facts == nil {
		facts = map[string]containerFact{}
		x.on[h.id] = facts
	}
	return facts
}

func (x *watch) journaled(h *host, r converge.Record) {
	x.checker.StartRecorded(x.machine(h), r.Task, r.Container, r.Attempt, r.ContainerAttempt)
}

func (x *watch) created(h *host, spec port.ContainerSpec) {
	x.facts(h)[spec.ID] = containerFact{}
	x.checker.ContainerCreated(x.machine(h), spec.Task, spec.Def.Name, spec.Attempt)
}

func (x *watch) started(h *host, s port.ContainerStatus) {
	x.facts(h)[s.ID] = containerFact{started: true}
	x.checker.ContainerStarted(x.machine(h), s.Task, s.Container, s.Attempt)
}

// signalled is told before the signal is sent.
func (x *watch) signalled(a *agent, do converge.Signal) {
	h := a.host
	s, ok := h.containers.Get(do.Container)
	if !ok || s.State == port.ContainerExited {
		return
	}
	f := x.facts(h)[do.Container]
	f.signalled = true
	x.facts(h)[do.Container] = f
	signal := invariant.Signal{On: x.machine(h), Task: s.Task, Container: s.Container, Number: do.Number}
	for _, t := range a.loop.Status().Tasks {
		if t.Task == s.Task {
			signal.Code, signal.Reason = t.StopCode, t.Reason
		}
	}
	x.checker.Signalled(signal)
}

// look takes note of containers that changed.
func (x *watch) look(h *host, ids []string) {
	facts := x.facts(h)
	for _, id := range ids {
		f, known := facts[id]
		if !known || f.ended {
			continue
		}
		s, ok := h.containers.Get(id)
		task, container, _ := strings.Cut(id, ".")
		switch {
		case !ok:
			x.checker.ContainerEnded(x.machine(h), fleet.TaskID(task), container, invariant.Removed)
			delete(facts, id)
			continue
		case s.State != port.ContainerExited:
			continue
		case f.signalled:
			x.checker.ContainerEnded(x.machine(h), fleet.TaskID(task), container, invariant.Signalled)
		default:
			x.checker.ContainerEnded(x.machine(h), fleet.TaskID(task), container, invariant.Itself)
		}
		f.ended = true
		facts[id] = f
	}
}

func (x *watch) effectBegun(h *host, r effects.Request) {
	x.checker.EffectBegun(invariant.EffectRun{
		Host: h.id, Session: r.Session, ID: r.ID, Attempt: r.Attempt, Epoch: r.Fence.Epoch, Index: r.Fence.Index,
	})
}

func (x *watch) machineOff(h *host) {
	x.checker.MachineOff(x.machine(h))
	delete(x.on, h.id)
}

func (x *watch) accepted(h *host, f converge.Frame) {
	x.checker.FrameAccepted(x.machine(h), f.Session, f.Epoch, f.Index)
}

// served tells what a leader believes that hosts serve.
func (x *watch) served(seen plan.FleetLiveness) {
	for id, host := range seen.Hosts {
		if host.Served != (fleet.Served{}) {
			x.w.sometimes("a leader hears how far a host has come")
			x.checker.Served(id, host.Served)
		}
	}
}

func (x *watch) acked(r *request, index uint64, result fleet.Result) {
	x.checker.Acked(invariant.Ack{Index: index, Token: r.token, IDs: result.IDs, What: r.what})
}

// faults says whether something is wrong with a host that lasts.
func (x *watch) faults(h *host) {
	x.checker.Impaired(h.id, h.runtime != runtimeUp || h.disk != diskWell || h.starved || h.slow > 1)
	x.checker.SetFaults(h.id, h.runtime != runtimeUp || h.disk != diskWell || h.starved || h.slow > 1 || h.skew != 0 ||
		h.cuts > 0 || h.pairs > 1 || h.frozen())
}

// disturbed says that a fault touches a host, and for so long after.
func (x *watch) disturbed(h *host, d time.Duration) {
	if h != nil {
		x.checker.Disturbed(h.id, x.w.time.Now()+d)
	}
}

// linked tells the checker what a change of the network means for each host: its
// condition, and how many voters it hears.
func (x *watch) linked(id fleet.HostID) {
	voters := x.voters()
	if id != "" {
		if x.w.hosts[id] == nil {
			return // a copy of a host's disk is no host
		}
		x.checker.HostCondition(id, x.w.net.Condition(id))
		voter := false
		for _, v := range voters {
			voter = voter || v == id
		}
		if !voter {
			x.linkedOne(id, voters)
			return
		}
	}
	for _, h := range x.w.order {
		x.linkedOne(h.id, voters)
	}
}

func (x *watch) linkedOne(id fleet.HostID, voters []fleet.HostID) {
	n := 0
	for _, v := range voters {
		if x.w.net.Linked(id, v) {
			n++
		}
	}
	x.checker.Linked(id, n, len(voters))
}

// voters are the hosts that vote, by the newest State.
func (x *watch) voters() []fleet.HostID {
	var ids []fleet.HostID
	for v := range x.w.truth.Voters() {
		if v.Phase == fleet.VoterVoting {
			ids = append(ids, v.Host)
		}
	}
	return ids
}
