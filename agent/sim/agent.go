package sim

import (
	"slices"
	"time"

	"skein/agent/converge"
	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/raftfsm/voter"
)

// agent is one life of a host's agent: the host loop, the link to a voter and,
// on a voter, the log, the leader loop and the voter keeper.
type agent struct {
	*host
	life  *virtual.Run
	loop  *converge.Machine
	timer *virtual.Timer
	armed time.Duration

	answers   map[uint64]error  // of frames
	unwritten []converge.Record // of the journal: asked for and not durable
	link      *hostLink
	node      *simlog.Node // nil on workers
	serves    *serving
	runs      *running
	lead      *leading
	stamper   fleet.Stamper
}

// selfCheckTakes is about how long the self-check takes: a probe container.
const selfCheckTakes = 300 * time.Millisecond

// startAgent begins a life of the agent with what the disk holds.
func (h *host) startAgent() {
	if !h.on() || h.agent != nil {
		return
	}
	a := &agent{host: h, answers: map[uint64]error{}}
	h.agent = a
	a.life = h.w.net.Begin(h.id)
	h.w.note("agent of %s starts", h.name)
	h.journal, h.wanted, h.wrote = read(h.w, h.journal, h.wrote, h.build), read(h.w, h.wanted, h.wrote, h.build), h.build
	saved := converge.Saved{Journal: slices.Clone(h.journal), Wanted: h.savedWanted(), Routes: h.routes}
	a.loop = converge.NewMachine(converge.MachineConfig{
		Fleet: fleetID, Host: h.id, HostName: h.name, Zone: h.zone, Boot: h.bootID(), LogDir: "/log",
		Limits: converge.Limits{Starts: h.w.cfg.Tuning.Starts},
	}, saved, a.now())
	a.serves, a.runs = newServing(a), newRunning(a)
	_ = a.stepLog(voter.Started{}) // it refuses nothing
	a.link = newLink(a)
	a.life.OnEnd(a.link.hangUp)
	a.seeRuntime()
	a.life.After(h.w.net.Takes(h.id, selfCheckTakes), a.checkSelf)
	a.link.begin()
}

// savedWanted is the list that an agent finds on its disk. It is behind where a newer
// copy cannot be read, or where starts may be missing from the journal.
func (h *host) savedWanted() *converge.SavedWanted {
	if h.wanted == nil || !h.behind {
		return h.wanted
	}
	found := *h.wanted
	found.Behind = true
	return &found
}

// openLog opens the voter's log of an id, which is made where the disk does not hold it.
func (a *agent) openLog(id fleet.RaftID) {
	if a.log == nil || a.log.ID() != id {
		a.log = simlog.NewDisk(id)
		a.setDisk(a.disk)
	}
	node, err := a.w.log.Open(id, a.log, a.life)
	if err != nil {
		a.w.note("log of %s cannot be opened: %v", a.name, err)
		if tooNew(err) {
			a.w.watch.checker.Froze(id, a.build)
		}
		return
	}
	a.takeNode(node)
}

// takeNode begins to vote, or to learn.
func (a *agent) takeNode(node *simlog.Node) {
	a.node = node
	a.w.rows.opened(node.ID())
	a.lead = newLeading(a)
	node.Subscribe(a.applied)
	node.OnLeadership(func(leads bool) { a.lead.turned(leads) })
}

// applied passes on what an entry touched, on this voter.
func (a *agent) applied(_ uint64, t fleet.ChangeSet) {
	a.w.rows.applied(a)
	a.endRefused(slices.Collect(t.Hosts()))
	a.serves.wake(t)
	a.lead.applied(t)
}

// closeLog stops voting.
func (a *agent) closeLog() {
	a.node.Close()
	a.node = nil
	a.serves.closeAll()
	a.lead.turned(false)
}

// checkSelf reports what the self-check found: the runtime and the disk.
func (a *agent) checkSelf() {
	ok := a.runtime == runtimeUp && a.disk == diskWell
	capacity := a.capacity
	a.step(converge.HostChecked{Checks: []fleet.Check{{Name: "containerd and disk", OK: ok, Required: true}},
		Capacity: &capacity})
	if !ok {
		a.life.After(5*time.Second, a.checkSelf)
	}
}

// fleetTime is what this agent, as a voter, stamps entries with.
func (a *agent) fleetTime() fleet.Time {
	if a.node == nil {
		return a.wallClock()
	}
	return a.stamper.Stamp(a.node.State().Now(), a.wallClock(), a.w.time.Now())
}

// now is the time as this host's loop has it.
func (a *agent) now() converge.Now {
	return converge.Now{Wall: a.wallClock(), Mono: a.w.time.Now()}
}

// seeRuntime tells the loop whether its runtime answers. One that hangs is known
// by its silence.
func (a *agent) seeRuntime() {
	switch a.runtime {
	case runtimeUp:
		a.step(converge.RuntimeUp{Version: "twin"})
	case runtimeDown:
		a.step(converge.RuntimeDown{Err: errRuntimeGone})
	case runtimeHangs:
	}
}

// step gives events to the host loop and carries out what it asks for. A host
// whose stream flows has heard its voter within the last second.
func (a *agent) step(events ...converge.Event) {
	if a.life.Over() {
		return
	}
	if a.link != nil && a.link.flows() {
		events = append([]converge.Event{converge.VoterHeard{LeaderAge: a.link.stream.voter.leaderAge()}}, events...)
	}
	for _, e := range a.loop.Step(a.now(), events) {
		a.carry(e)
	}
}

func (a *agent) carry(e converge.Effect) {
	switch do := e.Do.(type) {
	case converge.ArmTimer:
		a.arm(do)
	case converge.Note:
		a.hear(e.Task, do)
	case converge.Answer:
		a.answers[do.Ref] = do.Err
	case converge.SendReports:
		a.link.report(do.Report)
	case converge.ServeRoutes: // nobody serves here
		a.w.watch.checker.RoutesServed(a.id, do.Index, do.Routes.Rules)
	default:
		a.perform(e)
	}
}

// hear writes what the loop says of its tasks into the trace.
func (a *agent) hear(task fleet.TaskID, n converge.Note) {
	switch n.Code {
	case converge.NoteTaskRerun:
		a.w.sometimes("a task is run again after a cold start")
	case converge.NoteTaskStuck:
		a.w.sometimes("a task cannot be killed")
	case converge.NoteMassStop:
		a.w.sometimes("a snapshot that would stop most tasks is refused")
	case converge.NoteOrphan:
		a.w.sometimes("remains of an unknown task are found")
	case converge.NoteTaskFound:
		a.w.sometimes("a running task is found again")
	default: // nothing that lives should reach now and then
	}
	a.w.note("%s: %s %s %s", a.name, n.Code, short(task), n.Reason)
}

// arm has the loop woken. A host on which all is well sleeps through its maintenance
// in a large world.
func (a *agent) arm(t converge.ArmTimer) {
	at := t.At
	if a.w.cfg.Large && a.link != nil && a.link.flows() && a.runtime == runtimeUp && len(a.faulty) == 0 {
		at = t.Work
	}
	a.timer.Stop()
	if at >= never {
		return
	}
	a.armed = at
	a.timer = a.life.After(at-a.w.time.Now(), a.tick)
}

// never is the loop's "no deadline".
const never = time.Duration(1<<62 - 1)

func (a *agent) tick() {
	a.step(converge.Tick{})
	if a.w.chance.Is(a.w.cfg.Tuning.TickTwice) {
		a.step(converge.Tick{})
	}
}

func short(id fleet.TaskID) string {
	if len(id) < 8 {
		return string(id)
	}
	return string(id[:8])
}
