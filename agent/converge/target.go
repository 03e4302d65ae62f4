package converge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// targetProbe is how the checks of a task as a target of one group stand. They are the
// group's, as its row among the routes says, and begin when the container runs.
type targetProbe struct {
	binding   fleet.GroupBinding
	flying    bool
	asked     fleet.TargetGroupName // of the check that is flying
	began     time.Duration         // of the container, as far as this agent saw it
	next      time.Duration
	fails     int               // in a row
	successes int               // in a row
	state     fleet.TargetState // 0: no verdict yet in this life of the agent
	reason    string            // of the last failure
}

// freshTarget is the pause between the checks of a target that has never been well, for
// fastFor: a service waits for it.
const freshTarget = 250 * time.Millisecond

// targetsOf are the probes of a task, one for each group that it is in. Where a deployment
// took it from one group to another, it is the same port that is asked, and what is known
// of it stays.
func (t *task) targetsOf() []targetProbe {
	if t.spec.wanted == nil {
		return t.targets
	}
	groups := t.spec.wanted.Groups
	if len(t.targets) != len(groups) {
		t.targets = make([]targetProbe, len(groups))
	}
	for i, b := range groups {
		was := &t.targets[i].binding
		if was.Container != b.Container || was.ContainerPort != b.ContainerPort {
			t.targets[i] = targetProbe{binding: b}
		}
		was.Group = b.Group
	}
	return t.targets
}

// probeTargets makes the checks that are due of a task as a target.
func (m *Machine) probeTargets(t *task) {
	if t.phase != phaseStarting || t.deferral != deferNone || !m.relist.done {
		return
	}
	targets := t.targetsOf()
	for i := range targets {
		if c := t.container(targets[i].binding.Container); c != nil && c.state == cRunning && !c.leftover {
			m.probeTarget(t, c, &targets[i])
		}
	}
}

func (m *Machine) probeTarget(t *task, c *container, p *targetProbe) {
	if p.began != c.start.began {
		*p = targetProbe{binding: p.binding, began: c.start.began, next: c.start.began + firstProbe, flying: p.flying,
			asked: p.asked}
	}
	if p.flying || m.now.Mono < p.next {
		return
	}
	g, addr := m.targetGroup(p.binding.Group), m.checkedAddr(t)
	if g == nil || !addr.IsValid() {
		p.next = m.now.Mono + confirmProbe // no routes yet, or no address
		return
	}
	if m.probes.flying >= m.cfg.Limits.Checks {
		if !slices.Contains(m.probes.queue, t.id) {
			m.probes.queue = append(m.probes.queue, t.id)
		}
		return
	}
	portNumber := p.binding.ContainerPort
	if g.Check.Port != 0 {
		portNumber = g.Check.Port
	}
	p.flying, p.asked = true, g.Name
	m.probes.flying++
	m.emit(t.id, time.Duration(g.Check.TimeoutS)*time.Second, CheckTarget{
		Group: g.Name, Addr: netip.AddrPortFrom(addr, uint16(portNumber)), Protocol: g.Protocol, Path: g.Check.Path,
	})
}

// checkedAddr is where checks find a task's ports; not valid before its network is up.
func (m *Machine) checkedAddr(t *task) netip.Addr {
	if t.mode() == fleet.NetworkHost {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return t.sandbox.addr
}

// targetGroup is the row of a group among the routes; nil for none.
func (m *Machine) targetGroup(name fleet.TargetGroupName) *fleet.TargetGroup {
	groups := m.routing.routes.Groups
	i, found := slices.BinarySearchFunc(groups, name, func(g fleet.GroupTargets, name fleet.TargetGroupName) int {
		switch {
		case g.TargetGroup.Name < name:
			return -1
		case g.TargetGroup.Name > name:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &groups[i].TargetGroup
}

// targetProbed judges the answer of a check.
func (m *Machine) targetProbed(t *task, do CheckTarget, f flight, d Done) {
	i := slices.IndexFunc(t.targets, func(p targetProbe) bool { return p.flying && p.asked == do.Group })
	if i < 0 {
		return
	}
	p := &t.targets[i]
	g := m.targetGroup(p.binding.Group)
	p.flying = false
	if g == nil {
		return // the group was deleted meanwhile
	}
	c := &g.Check
	switch why := failureOf(do, c, d); {
	case f.at < p.began, errors.Is(d.Err, port.ErrRuntimeDown), m.now.Mono-f.at > seconds(c.TimeoutS)+lateProbe:
		// Nothing was learned: of another container, or this agent was not running when
		// the answer came.
	case why == "":
		p.succeeded(c)
	default:
		p.failed(c, why, m.now.Mono)
	}
	p.next = max(m.now.Mono, f.at+p.gap(c, m.now.Mono))
}

// failureOf is why an answer is none of a target that is well; empty for one that is.
func failureOf(do CheckTarget, c *fleet.TargetCheck, d Done) string {
	switch {
	case d.Err != nil:
		return "Target.FailedHealthChecks: " + d.Err.Error()
	case do.Path != "" && !c.Matches(do.Protocol, d.Code):
		return fmt.Sprintf("Target.ResponseCodeMismatch: %s answered %d", do.Path, d.Code)
	}
	return ""
}

// succeeded counts a success. The first of a new target is enough (ELB guide, target
// health status).
func (p *targetProbe) succeeded(c *fleet.TargetCheck) {
	p.fails = 0
	p.successes++
	if p.state == 0 || p.successes >= c.Healthy {
		p.state, p.reason = fleet.TargetHealthy, ""
	}
}

// failed counts a failure, unless the target is still young and has never been well: its
// first checks come faster than its program may be ready.
func (p *targetProbe) failed(c *fleet.TargetCheck, why string, now time.Duration) {
	p.successes = 0
	if p.fresh(now) {
		return
	}
	if p.fails++; p.fails >= c.Unhealthy {
		p.state, p.reason = fleet.TargetUnhealthy, clip(why)
	}
}

// gap is the time from one check to the next.
func (p *targetProbe) gap(c *fleet.TargetCheck, now time.Duration) time.Duration {
	if p.fresh(now) {
		return min(freshTarget, seconds(c.IntervalS))
	}
	if p.state == fleet.TargetUnhealthy && p.successes > 0 {
		return min(confirmProbe, seconds(c.IntervalS))
	}
	return seconds(c.IntervalS)
}

// fresh reports whether the target is young and nothing is known of it yet.
func (p *targetProbe) fresh(now time.Duration) bool { return p.state == 0 && now < p.began+fastFor }

// seconds is at least one: what a voter sends is validated, and this keeps a wrong one
// from spinning.
func seconds(n int) time.Duration { return max(time.Duration(n)*time.Second, time.Second) }

// targetReports is what is told of a task as a target: of the groups whose checks have
// come to a verdict in this life of the agent.
func (t *task) targetReports() []fleet.TargetReport {
	var list []fleet.TargetReport
	for i := range t.targets {
		if p := &t.targets[i]; p.state != 0 {
			list = append(list, fleet.TargetReport{Group: p.binding.Group, State: p.state, Reason: p.reason})
		}
	}
	return list
}

// targetDue is when the next check of a task as a target is due. A check of one that is
// well is maintenance.
func (t *task) targetDue(work, maintenance *waiting) {
	if t.phase != phaseStarting {
		return
	}
	for i := range t.targets {
		p := &t.targets[i]
		c := t.container(p.binding.Container)
		if c == nil || c.state != cRunning || p.began == 0 || p.flying {
			continue
		}
		if p.state == fleet.TargetHealthy && p.fails == 0 {
			maintenance.until(p.next)
		} else {
			work.until(p.next)
		}
	}
}
