package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"skein/agent/peer/intake"
	"skein/agent/peer/protocol"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

const (
	// quiesceWithin is how long a fleet may take to come to rest once all faults have
	// ended. The longest chain of waits: a crash back-off of 5 minutes, a host that
	// is declared lost 5 minutes after its silence, what nobody knows removed from a
	// host after 10 minutes, a start with its tries and back-offs.
	quiesceWithin = 25 * time.Minute
	// ordersLast is how long an operator's order of before may still take to be
	// carried out: it is asked of one host after another.
	ordersLast = askMost*answerWithin + intake.ProposeWait
	// settleFor is how long nobody has had anything to say when a fleet is at rest: the
	// longest wait that planners have of their own, a crash back-off.
	settleFor = 6 * time.Minute
	// quiescentFor is how long a fleet at rest is watched: over a full pass, and a
	// prune.
	quiescentFor = 40 * time.Minute
	// transitMost is how long a task may be on its way to running or to its end in a
	// fleet without faults: a pull with its tries, a stop with its grace.
	transitMost = 3 * time.Minute
)

// Failure is why a life is not as it should be.
type Failure struct {
	Seed   uint64
	Name   string // the invariant, "liveness" or "quiescence"
	Detail string
	At     time.Duration
	Index  uint64
	Trace  []string // the last lines of the trace
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d, at %s, index %d: %s: %s", f.Seed, stamp(f.At), f.Index, f.Name, f.Detail)
}

// traceShown is how many lines of the trace a failure tells.
const traceShown = 60

func (w *World) failure(name, detail string) *Failure {
	return &Failure{Seed: w.cfg.Seed, Name: name, Detail: detail, At: w.time.Now(), Index: w.truth.Index(),
		Trace: w.trace.last(traceShown)}
}

// broken is the first rule that was broken, or nil.
func (w *World) broken() *Failure {
	if len(w.watch.broken) == 0 {
		return nil
	}
	b := w.watch.broken[0]
	return w.failure(b.Name, b.Detail)
}

// Heal ends every fault; hosts that are named stay dead.
func (w *World) Heal(dead ...string) {
	w.note("all faults end")
	w.healedAt = w.calls
	for _, key := range slices.Sorted(maps.Keys(w.heals)) {
		w.endCut(key)
	}
	for _, c := range w.clones {
		c.off()
	}
	w.net.SetConditions(virtual.NetworkConditions{Delay: 300 * time.Microsecond, Jitter: time.Millisecond})
	w.watch.checker.AllFaulty(false)
	w.registryDown = false
	w.cfg.FailCall, w.cfg.CrashLeader = 0, 0
	k := &w.cfg.Tuning
	k.AnswerLost, k.CallFails, k.StreamCut, k.TickTwice, k.StaleFrame, k.LateReport = 0, 0, 0, 0, 0, 0
	clear(w.brokenDefs)
	clear(w.numbers)
	for _, h := range w.order {
		if slices.Contains(dead, h.name) {
			h.powerOff()
			continue
		}
		h.thaw()
		h.setDisk(diskWell)
		h.setRuntime(runtimeUp)
		w.starve(h, false)
		h.skew, h.slow = 0, 1
		w.detectors.SetClock(h.id, 0)
		clear(h.faulty)
		w.watch.faults(h)
		h.powerOn()
		h.startAgentSoon()
		h.wakeUp()
	}
	w.disturbAll(nil)
	w.mendAgents()
	w.mendServices()
	for _, h := range w.order {
		if row := w.truth.Host(h.id); row != nil && row.Cordon != nil {
			_ = w.Do("uncordon " + h.name) // the name is right
		}
	}
}

// mendAgents has operators upgrade agents that the fleet refuses, and join again who was revoked.
func (w *World) mendAgents() {
	w.upgradeOld()
	w.joinRevoked()
}

// mendServices has operators repair services that cannot work as they were asked for, since a
// fleet cannot come to rest while it tries and tries, let deployments go on that wait for a
// person, and deploy anew, without anything that may fail, what stays where its deployment
// ended.
func (w *World) mendServices() {
	for v := range w.truth.Services() {
		d := w.truth.LiveDeployment(v.Name)
		switch {
		case v.Status != fleet.ServiceActive:
		case !w.works(v.Revision) || w.blocked(d):
			// It rolls: a rollback would bring back what cannot work.
			words := "update " + v.Name + " command=stay image=app:1"
			if v.LastDeployment > 0 {
				words += " strategy=ROLLING"
			}
			_ = w.Do(words) // the words of all of these are right
		case d != nil && (d.Pause != nil || awaitsPerson(d) != nil):
			_ = w.Do("order " + v.Name + " continue")
		case d == nil && w.truth.StalledDeployment(v) != nil:
			_ = w.Do("deploy " + v.Name + " strategy=ROLLING")
		}
	}
}

// works reports whether tasks of a revision may run for long once they have a host.
func (w *World) works(revision fleet.RevisionID) bool {
	c := &w.truth.TaskDef(w.truth.Revision(revision).TaskDef).Containers[0]
	_, known := w.images[c.Image]
	return known && !endsByItself(c) && (len(c.Command) == 0 || c.Command[0] != "exit")
}

// fits reports whether a machine is large enough for a task of a revision.
func (w *World) fits(revision fleet.RevisionID) bool {
	need := w.truth.TaskDef(w.truth.Revision(revision).TaskDef).Reservation()
	return slices.ContainsFunc(w.order, func(h *host) bool {
		return need.CPU <= h.capacity.CPU && need.Memory <= h.capacity.Memory
	})
}

// blocked reports whether a deployment cannot begin, or end going back, since blue cannot work:
// what others have left stays, where it may do its work, for as long as blue is not whole. A
// rolling one needs no blue.
func (w *World) blocked(d *fleet.Deployment) bool {
	if d == nil || d.Blue == "" || !d.Config.Strategy.Shifts() || w.works(d.Blue) && w.fits(d.Blue) {
		return false
	}
	return d.Status == fleet.DeploymentRollingBack || d.Stage <= fleet.StageReconcileService
}

// endsByItself reports whether a container runs for a while and ends well.
func endsByItself(c *fleet.Container) bool { return len(c.Command) > 0 && c.Command[0] == "for" }

// job reports whether a task is to run once, for a while.
func (w *World) job(t *fleet.Task) bool {
	return t.Standalone() && !t.Stopped() && endsByItself(&w.truth.TaskDef(t.TaskDef).Containers[0])
}

// jobs counts the tasks that are to run once, with or without a host.
func (w *World) jobs() (n int) {
	for t := range w.truth.Tasks() {
		if w.job(t) {
			n++
		}
	}
	return n
}

// Quiesce waits until the fleet, without faults, has come to rest, and checks that
// all is as desired; then it watches that nobody has anything more to say. An
// interrupted world has no failure.
func (w *World) Quiesce(dead ...string) *Failure {
	until, jobs := w.time.Now()+quiesceWithin, w.jobs()
	var why []string
	spoken, since := w.stats.Planned, w.time.Now()
	ordered := w.time.Now() + ordersLast
	for {
		w.Run(w.time.Now() + 30*time.Second)
		if f := w.broken(); f != nil || w.interrupted() {
			return f
		}
		if w.time.Now() <= ordered {
			w.mendAgents() // an order that was under way may have come after the repair
		}
		w.mendServices() // a rollback may have brought back what cannot work
		if n := w.stats.Planned; n != spoken {
			spoken, since = n, w.time.Now()
		}
		if n := w.jobs(); n < jobs {
			until, jobs = w.time.Now()+quiesceWithin, n // the next may have begun when this one made room
		}
		if why = w.notQuiescent(dead); len(why) == 0 && w.time.Now()-since >= settleFor {
			break
		}
		if w.time.Now() < until {
			continue
		}
		if len(why) == 0 {
			return w.failure("quiescence",
				fmt.Sprintf("planners have something to say at least each %s, %s after all faults ended", settleFor, quiesceWithin))
		}
		return w.failure("liveness", strings.Join(why, "; "))
	}
	w.watch.full()
	if why := w.notServed(dead); len(why) > 0 {
		return w.failure("liveness", strings.Join(why, "; "))
	}
	w.Run(w.time.Now() + quiescentFor)
	if f := w.broken(); f != nil || w.interrupted() {
		return f
	}
	if n := w.stats.Planned - spoken; n > 0 {
		return w.failure("quiescence", fmt.Sprintf("planners had %d more commands to say though nothing happened", n))
	}
	if why := w.notQuiescent(dead); len(why) > 0 {
		return w.failure("liveness", strings.Join(why, "; "))
	}
	w.watch.final()
	return w.broken()
}

// servedWithin is how long it may take until a leader knows that hosts without faults
// serve what State has: a beat to each, one back, and two words of its voter.
const servedWithin = 5 * time.Second

// notServed has the leader ask how far hosts have come, and lists those that it does
// not hear of.
func (w *World) notServed(dead []string) (why []string) {
	leaders, err := w.find("leader")
	if err != nil {
		return []string{err.Error()}
	}
	leads := leaders[0].agent.lead
	asked := leads.await()
	for until := w.time.Now() + servedWithin; w.time.Now() < until; {
		w.Run(w.time.Now() + protocol.VoterBeat)
		if w.interrupted() || leads.detector == nil {
			return nil // who leads instead asks anew
		}
		for _, h := range w.order {
			if h.agent != nil && h.agent.link != nil {
				h.agent.link.look()
			}
		}
		why = nil
		for id, host := range leads.detector.Liveness().Hosts {
			if h := w.hosts[id]; !slices.Contains(dead, h.name) && !host.Served.Reached(asked) {
				why = append(why, fmt.Sprintf("%s serves %+v, as far as the leader knows, and %+v is asked for", h.name,
					host.Served, asked))
			}
		}
		if len(why) == 0 {
			return nil
		}
	}
	slices.Sort(why)
	return why[:min(len(why), maxWhy)]
}

// maxWhy bounds what is told of a fleet that does not come to rest.
const maxWhy = 8

// notQuiescent lists what is not as it should be in a fleet without faults.
func (w *World) notQuiescent(dead []string) []string {
	var why []string
	add := func(format string, args ...any) {
		if len(why) < maxWhy {
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	for _, h := range w.order {
		w.notQuiescentHost(h, slices.Contains(dead, h.name), add)
	}
	for _, lack := range w.watch.checker.Desired(w.truth, transitMost) {
		add("%s", lack)
	}
	w.notQuiescentVoters(dead, add)
	for e := range w.truth.OpenEffects() {
		add("effect %s is %s", e.ID, e.Status)
	}
	w.notDeployed(add)
	return why
}

// notDeployed lists deployments that go on in a fleet at rest though nothing is missing:
// one that has tasks to wait for does so for as long as it may.
func (w *World) notDeployed(add func(string, ...any)) {
	for d := range w.truth.LiveDeployments() {
		v := w.truth.Service(d.Service)
		if w.truth.Counts(d.Service, v.Revision).Serving >= v.Desired {
			add("deployment %s is %s at %s", d.ID, d.Status, d.Stage)
		}
	}
}

// notQuiescentHost compares a machine with what State says of it.
func (w *World) notQuiescentHost(h *host, dead bool, add func(string, ...any)) {
	row := w.truth.Host(h.id)
	switch {
	case row == nil || row.State == fleet.HostForgotten:
		return
	case dead:
		if row.State != fleet.HostLost {
			add("%s never comes back and is %s", h.name, row.State)
		}
		return
	case row.State != fleet.HostReady:
		add("%s is %s", h.name, row.State)
		return
	}
	running := map[fleet.TaskID]bool{}
	all, _ := h.containers.List(background)
	for _, c := range all {
		if c.State == port.ContainerRunning || c.State == port.ContainerCreated {
			running[c.Task] = true
			if t := w.truth.Task(c.Task); t == nil || t.Host != h.id || t.Stopped() {
				add("%s runs container %s, which State does not have there", h.name, short(c.Task))
			}
		}
	}
	for t := range w.truth.HeldBy(h.id) {
		if t.Last == fleet.TaskRunning && !running[t.ID] {
			add("State has task %s running on %s, and no container runs", short(t.ID), h.name)
		}
		if w.job(t) {
			add("%s runs task %s, which ends by itself", h.name, short(t.ID))
		}
	}
	if a := h.agent; a != nil {
		for _, c := range a.loop.Status().Conditions {
			add("%s: %s: %s", h.name, c.Code, c.Reason)
		}
	}
}

// notQuiescentVoters checks that there are as many voters as there should be.
func (w *World) notQuiescentVoters(dead []string, add func(string, ...any)) {
	voting, other := 0, 0
	for v := range w.truth.Voters() {
		switch h := w.hosts[v.Host]; {
		case v.Phase == fleet.VoterVoting && !slices.Contains(dead, h.name):
			voting++
			if h.agent == nil || h.agent.node == nil || h.agent.node.ID() != v.ID {
				add("%s votes by State and holds no log of that id", h.name)
			}
		default:
			other++
		}
	}
	living := len(w.order) - len(dead)
	if want := wantedVoters(w.truth, living); voting < want {
		add("%d voters of %d live (%d others)", voting, want, other)
	}
}

// wantedVoters is how many living voters a fleet can and should have: cmd/skein/DESIGN.md "Voters".
func wantedVoters(s *fleet.State, living int) int {
	if s.Fleet() == nil {
		return 0
	}
	n := s.Fleet().Settings.Voters
	if s.HostCount() < 3 {
		return 1
	}
	for n > living {
		n -= 2
	}
	return min(n, living)
}
