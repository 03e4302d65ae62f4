package invariant

import (
	"cmp"
	"slices"

	"skein/raftfsm/fleet"
)

// Recovered says that an operator cut the log: what a majority had is lost for
// good, and the fleet goes on from a State that may lack committed entries. What
// was acknowledged after it is not held against anybody, nor is it that machines
// run what the fleet has forgotten. Source: cmd/skein/DESIGN.md "Voters".
func (c *Checker) Recovered(s *fleet.State) {
	kept := c.acked[:0]
	for _, a := range c.acked {
		if a.Index <= s.Index() {
			kept = append(kept, a)
		}
	}
	c.acked = kept
	for token, r := range c.log.receipts {
		if r.index > s.Index() {
			delete(c.log.receipts, token)
		}
	}
	c.log.index, c.log.cut = s.Index(), true
	c.model.rebuild(s)
	c.forgetShares(s)
	c.late = nil
	for _, m := range c.machines {
		m.uses = fleet.Resources{}
		for id, r := range m.tasks {
			if r.task = c.model.tasks[id]; r.task != nil && r.alive > 0 {
				m.uses = plus(m.uses, r.task.def.need)
			}
		}
	}
}

// Cloned says that two machines go by one identity from now on. What one of them
// says of a task is no news of the other's containers.
func (c *Checker) Cloned(id fleet.HostID) { c.cloned[id] = true }

// rebuild reads the model from rows, the only time it does.
func (m *model) rebuild(s *fleet.State) {
	ever, raft := m.everTask, m.everRaft
	*m = newModel()
	m.everTask, m.everRaft, m.now = ever, raft, s.Now()
	if f := s.Fleet(); f != nil {
		m.format = f.Format
		m.lostAfter, m.setVoters = fleet.Time(f.Settings.LostAfterMs), f.Settings.Voters
	}
	for row := range s.TaskDefs() {
		m.defs[row.ID] = define(row)
	}
	for row := range s.Voters() {
		m.voters[row.ID] = row.Phase
	}
	for row := range s.Hosts() {
		m.hosts[row.ID] = hostOf(row, s.Index())
	}
	for row := range s.Services() {
		m.services[row.Name] = serviceFrom(row, s, m.defs)
	}
	for row := range s.Tasks() {
		m.taskFrom(row)
	}
	for row := range s.Rules() {
		if row.Action.Forward != nil {
			m.wrote[row.ID] = row.Action.Forward.Groups
		}
	}
	for d := range s.AllDeployments() {
		for _, wrote := range d.Wrote {
			m.wrote[wrote.Rule] = wrote.Groups
		}
	}
	slices.SortStableFunc(m.stopped, func(a, b *task) int { return cmp.Compare(a.stoppedAt, b.stoppedAt) })
	slices.SortStableFunc(m.settling, func(a, b settling) int { return cmp.Compare(a.at, b.at) })
}

func hostOf(row *fleet.Host, index uint64) *host {
	return &host{
		id: row.ID, name: row.Name, zone: row.Zone, state: row.State, stateSince: row.StateSince, flaps: row.Flaps,
		everReady: row.ReadyAt != 0,
		cordoned:  row.Cordon != nil, draining: row.Draining(), revoked: row.Cert.Revoked,
		boot: row.Session.Boot, session: row.Session.N, reads: row.ReadsFormat(), bootSession: row.BootSession,
		seq:      row.ReportSeq,
		capacity: row.Capacity, shrunk: true, roomAt: index,
		held: map[fleet.TaskID]*task{}, ports: map[port]*task{},
	}
}

func serviceFrom(row *fleet.Service, s *fleet.State, defs map[fleet.TaskDefID]*definition) *service {
	v := &service{name: row.Name, draining: row.Status == fleet.ServiceDraining, grace: fleet.Time(row.GraceS) * 1000,
		revision: row.Revision, cutOff: fleet.Time(row.OnDisconnect.StopAfterMs),
		stopAfter: fleet.Time(row.OnDisconnect.StopAfterMs), changedAt: s.Index(),
		defs: map[fleet.RevisionID]*definition{}, live: map[fleet.TaskID]*task{}, present: map[fleet.RevisionID]int{}}
	for r := range s.Revisions(row.Name) {
		v.defs[r.ID] = defs[r.TaskDef]
	}
	v.good, v.deployment = row.Good, deploymentFrom(v, s.LastDeployment(row.Name))
	v.groups = map[fleet.RevisionID][]fleet.TargetGroupName{}
	for r := range s.Revisions(row.Name) {
		if len(r.Groups) > 0 {
			v.groups[r.ID] = groupsOf(r)
		}
	}
	v.set(s.Index(), row.Desired, row.MinPercent, row.MaxPercent)
	if g := s.Goals(row.Name); g != nil {
		v.goals = goalsOf(g.By, g.Max, g.Revisions)
	}
	return v
}

// taskFrom adds a task as its row has it. Whether its host said that it stopped
// is not in the row, so nothing is concluded from that.
func (m *model) taskFrom(row *fleet.Task) {
	t := &task{id: row.ID, service: m.services[row.Service], revision: row.Revision, def: m.defs[row.TaskDef],
		host:  m.hosts[row.Host],
		toRun: row.Desired == fleet.TaskRunning, last: row.Last, health: row.Health, attempt: row.Attempt,
		session: row.Session, ports: row.Ports,
		cause: row.StopCause(), ended: row.StopCode == fleet.StopTaskFailedToStart ||
			row.StopCode == fleet.StopEssentialContainerExited,
		created: row.CreatedAt, started: row.StartedAt, stoppedAt: row.StoppedAt, unconfirmed: row.Unconfirmed}
	if row.Replace != nil {
		t.replace = row.Replace.Cause
	}
	for _, v := range row.Targets {
		t.targets = append(t.targets, target{v.Group, v.State})
	}
	m.tasks[t.id] = t
	m.everTask[hashOf(t.id)] = struct{}{}
	if t.last == fleet.TaskStopped {
		m.stopped = append(m.stopped, t)
	}
	if t.held() {
		t.host.held[t.id] = t
		t.host.reserved = plus(t.host.reserved, t.def.need)
		for _, p := range t.ports {
			t.host.ports[port{p.Protocol, p.HostPort}] = t
		}
	}
	if t.host == nil && t.toRun {
		m.waiting[t.id] = t
	}
	v := t.service
	if v == nil || t.last == fleet.TaskStopped {
		return
	}
	v.live[t.id] = t
	t.present, t.running, t.healthy = t.toRun && t.reaches(), t.runs(), t.isHealthy(m.now)
	if t.present {
		v.present[t.revision]++
	}
	v.running += one(t.running)
	v.healthy += one(t.healthy)
	if t.running && !t.def.checked && !t.healthy {
		m.settling = append(m.settling, settling{t, t.started + healthyAfter})
	}
}
