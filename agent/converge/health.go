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

// healthView is what is told of a task's health.
type healthView struct {
	reported fleet.Health // zero: never told, which reads as UNKNOWN
	changed  time.Duration
}

// probeView is how one container's health check stands.
type probeView struct {
	flying    bool
	began     time.Duration // of the container, as far as this agent saw it
	next      time.Duration
	succeeded bool // ever
	fails     int  // in a row that count
	successes int  // in a row
	verdict   fleet.Health
	shown     fleet.Health // reported of the container; zero: UNKNOWN
}

// probeQueue bounds the checks in flight, apart from all other steps.
type probeQueue struct {
	flying int
	queue  []fleet.TaskID
}

// checked reports whether the container's health is the task's.
func (c *container) checked() bool {
	return c.def != nil && c.essential() && c.def.HealthCheck != nil
}

// probe makes the checks of a task that are due, and shows its health.
func (m *Machine) probe(t *task) {
	if t.phase != phaseStarting || t.deferral != deferNone || !m.relist.done {
		return
	}
	for _, c := range t.containers {
		if c.checked() && c.state == cRunning && !c.leftover {
			m.probeOne(t, c)
		}
	}
	m.showHealth(t)
}

func (m *Machine) probeOne(t *task, c *container) {
	p := &c.probe
	if p.began == 0 {
		p.began, p.verdict = c.start.began, fleet.HealthUnknown
		p.next = p.began + firstProbe
	}
	if p.flying || m.now.Mono < p.next {
		return
	}
	check := m.check(t, c)
	if check == nil {
		p.next = m.now.Mono + confirmProbe // no address yet, or no runtime to ask
		return
	}
	if m.probes.flying >= m.cfg.Limits.Checks {
		if !slices.Contains(m.probes.queue, t.id) {
			m.probes.queue = append(m.probes.queue, t.id)
		}
		return
	}
	p.flying = true
	m.probes.flying++
	m.emit(t.id, probeTimeout(c.def.HealthCheck), check)
}

// fillProbes starts checks that wait, as far as the bound on checks in flight allows.
func (m *Machine) fillProbes() {
	for len(m.probes.queue) > 0 && m.probes.flying < m.cfg.Limits.Checks {
		t := m.tasks[m.probes.queue[0]]
		m.probes.queue = m.probes.queue[1:]
		if t != nil {
			m.advance(t)
		}
	}
}

// check is the action that checks a container; nil when it cannot be made now.
func (m *Machine) check(t *task, c *container) Action {
	h := c.def.HealthCheck
	if h.HTTP == nil {
		if !m.runtime.up {
			return nil
		}
		return ExecCheck{Container: c.id, Argv: h.Command}
	}
	addr := m.checkedAddr(t)
	if !addr.IsValid() {
		return nil
	}
	return HTTPCheck{Container: c.id, Addr: netip.AddrPortFrom(addr, uint16(h.HTTP.Port)), Path: h.HTTP.Path}
}

// probed judges the answer of a check.
func (m *Machine) probed(t *task, id string, f flight, d Done) {
	c := t.byID(id)
	if c == nil || !c.checked() {
		return
	}
	p, h := &c.probe, c.def.HealthCheck
	p.flying = false
	good := d.Err == nil && d.Code == 0
	switch {
	case good:
		m.probeGood(t, p)
	case errors.Is(d.Err, port.ErrRuntimeDown), errors.Is(d.Err, port.ErrNotFound),
		m.now.Mono-f.at > probeTimeout(h)+lateProbe:
		// Nothing was learned about the container: the runtime was away, or this
		// agent was not running when the answer came.
	default:
		p.failed(h, m.now.Mono)
	}
	p.next = max(m.now.Mono, f.at+p.gap(h, m.now.Mono))
}

func (m *Machine) probeGood(t *task, p *probeView) {
	p.fails, p.succeeded = 0, true
	p.successes++
	if p.verdict != fleet.HealthUnhealthy || p.successes >= recoverAfter {
		p.verdict = fleet.HealthHealthy
	}
	t.report.notBefore = 0
}

// failed counts a failure, unless the container is still young and has never
// succeeded (ECS API, HealthCheck).
func (p *probeView) failed(h *fleet.HealthCheck, now time.Duration) {
	p.successes = 0
	young := max(time.Duration(h.StartPeriodS)*time.Second, fastFor)
	if !p.succeeded && now < p.began+young {
		return
	}
	p.fails++
	if p.fails >= max(h.Retries, 1) {
		p.verdict = fleet.HealthUnhealthy
	}
}

// probeTimeout is how long a check may take. Definitions are validated when they
// are registered; the floor only keeps a wrong one from spinning.
func probeTimeout(h *fleet.HealthCheck) time.Duration {
	return max(time.Duration(h.TimeoutS)*time.Second, time.Second)
}

// gap is the time from one probe to the next.
func (p *probeView) gap(h *fleet.HealthCheck, now time.Duration) time.Duration {
	interval := max(time.Duration(h.IntervalS)*time.Second, time.Second)
	switch {
	case !p.succeeded && now < p.began+fastFor && h.HTTP != nil:
		return fastHTTP
	case !p.succeeded && now < p.began+fastFor:
		return fastExec
	case p.verdict == fleet.HealthUnhealthy && p.successes > 0:
		return min(confirmProbe, interval)
	}
	return interval
}

// showHealth makes the worst verdict of essential checked containers the task's,
// and each one's its own, not more often than once a second.
func (m *Machine) showHealth(t *task) {
	h := &t.health
	if !t.healthDiffers() || h.changed != 0 && m.now.Mono < h.changed+healthChangeGap {
		return
	}
	worst := t.worstHealth()
	if worst != t.reportedHealth() {
		m.recordNote(t.id, NoteHealth, fmt.Sprintf("%s to %s", t.reportedHealth(), worst))
	}
	h.reported, h.changed = worst, m.stamp()
	for _, c := range t.containers {
		c.probe.shown = c.health()
	}
}

// healthDiffers reports whether the health of the task or of one of its containers
// is not what is shown.
func (t *task) healthDiffers() bool {
	return t.worstHealth() != t.reportedHealth() ||
		slices.ContainsFunc(t.containers, func(c *container) bool {
			return c.health() != max(c.probe.shown, fleet.HealthUnknown)
		})
}

// health is the container's own; that of one without a check is UNKNOWN.
func (c *container) health() fleet.Health {
	if !c.checked() || c.state != cRunning {
		return fleet.HealthUnknown
	}
	return max(c.probe.verdict, fleet.HealthUnknown)
}

func (t *task) worstHealth() fleet.Health {
	worst := fleet.Health(0)
	for _, c := range t.containers {
		if c.checked() {
			worst = worse(worst, c.health())
		}
	}
	if worst == 0 {
		return fleet.HealthUnknown
	}
	return worst
}

// worse orders UNHEALTHY before UNKNOWN before HEALTHY.
func worse(a, b fleet.Health) fleet.Health {
	for _, h := range []fleet.Health{fleet.HealthUnhealthy, fleet.HealthUnknown} {
		if a == h || b == h {
			return h
		}
	}
	return max(a, b)
}

func (t *task) reportedHealth() fleet.Health {
	if t.health.reported == 0 {
		return fleet.HealthUnknown
	}
	return t.health.reported
}

// probeDue is when the task's next check, or change of health, is due. A check of
// a container that is well is maintenance.
func (t *task) probeDue(work, maintenance *waiting) {
	if t.phase != phaseStarting {
		return
	}
	for _, c := range t.containers {
		if !c.checked() || c.state != cRunning || c.probe.began == 0 || c.probe.flying {
			continue
		}
		if c.probe.verdict == fleet.HealthHealthy && c.probe.fails == 0 {
			maintenance.until(c.probe.next)
		} else {
			work.until(c.probe.next)
		}
	}
	if t.health.changed != 0 && t.healthDiffers() {
		work.until(t.health.changed + healthChangeGap)
	}
}
