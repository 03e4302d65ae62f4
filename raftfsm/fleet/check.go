package fleet

import (
	"errors"
	"fmt"
	"slices"
)

// maxBroken is how many broken invariants Check lists: the first ones tell.
const maxBroken = 20

// Check lists broken invariants of the whole State; nil when there are none. It
// looks at every row, and rebuilds every index to compare.
func (s *State) Check() error {
	if err := s.checkRows(); err != nil {
		return err
	}
	if err := s.checkSums(); err != nil {
		return err
	}
	return s.checkIndices()
}

// violations collects what is wrong.
type violations struct{ errs []error }

func (b *violations) add(format string, args ...any) {
	if len(b.errs) < maxBroken {
		b.errs = append(b.errs, fmt.Errorf(format, args...))
	}
}

// must notes a broken invariant unless ok.
func (b *violations) must(ok bool, format string, args ...any) {
	if !ok {
		b.add(format, args...)
	}
}

func (b *violations) err() error { return errors.Join(b.errs...) }

// checkRows checks each row by itself and the rows it names.
func (s *State) checkRows() error {
	var b violations
	for i := range nouns {
		if nouns[i].check != nil {
			nouns[i].check(s, &b)
		}
	}
	return b.err()
}

func (s *State) checkTaskDefRow(b *violations, d *TaskDef) {
	b.must(d.ModifyIndex <= s.index, "task definition %s: mod %d is above index %d", d.ID, d.ModifyIndex, s.index)
	b.must(len(d.Containers) > 0, "task definition %s has no containers", d.ID)
}

func (s *State) checkRevision(b *violations, r *Revision) {
	b.must(s.TaskDef(r.TaskDef) != nil, "revision %s: no task definition %s", r.ID, r.TaskDef)
	b.must(s.Service(serviceOf(r.ID)) != nil, "revision %s has no service", r.ID)
}

// checkGoals: they are of a service that is to have tasks, made since it last changed,
// and ask for no more than they allow, of revisions that are there.
func (s *State) checkGoals(b *violations, g *Goals) {
	v := s.Service(g.Service)
	if v == nil {
		b.add("goals of service %s, which is not there", g.Service)
		return
	}
	b.must(v.Status == ServiceActive, "goals of service %s, which is %s", g.Service, v.Status)
	b.must(g.ModifyIndex >= v.ModifyIndex && g.ModifyIndex <= s.index,
		"goals of service %s: made at %d, the service is at %d of %d", g.Service, g.ModifyIndex, v.ModifyIndex, s.index)
	desired, last := 0, 0
	for _, r := range g.Revisions {
		name, n := r.Revision.Split()
		b.must(name == g.Service && n > last && s.Revision(r.Revision) != nil,
			"goals of service %s: revision %s", g.Service, r.Revision)
		b.must(r.Desired <= r.Max && r.Max <= g.Max, "goals of service %s: %+v, at most %d in all", g.Service, r, g.Max)
		desired, last = desired+r.Desired, n
	}
	b.must(desired <= g.Max, "goals of service %s: %d are desired, at most %d in all", g.Service, desired, g.Max)
}

func (s *State) checkCondition(b *violations, w *Condition) {
	b.must(s.mayHaveCondition(w.Subject), "condition of %s, which is not there", w.Subject)
}

func (s *State) checkFleet(b *violations) {
	if s.fleet == nil {
		b.must(s.hosts.Len()+s.tasks.Len()+s.services.Len() == 0, "rows without a fleet")
		return
	}
	b.must(s.fleet.Now == s.now, "fleet: now %s is not %s", s.fleet.Now, s.now)
	b.must(s.fleet.Routes.Any <= s.index && max(s.fleet.Routes.Rules, s.fleet.Routes.Removed) <= s.fleet.Routes.Any,
		"fleet: routes changed at %+v, above index %d", s.fleet.Routes, s.index)
	b.must(s.fleet.Epoch > 0 && s.fleet.Format > 0, "fleet: epoch %d, format %d", s.fleet.Epoch, s.fleet.Format)
	b.must(s.effects.Len() <= MaxEffects, "%d effects", s.effects.Len())
	b.must(s.receipts.Len() <= MaxReceipts, "%d receipts", s.receipts.Len())
	b.must(s.events.Len() <= MaxEvents && s.eventMemory <= MaxEventMemory, "%d events, %d bytes", s.events.Len(),
		s.eventMemory)
	b.must(s.serviceEventMemory <= MaxServiceEventMemory, "%d bytes of events of services", s.serviceEventMemory)
	if last, _, ok := s.events.Max(); ok {
		b.must(last == s.lastEvent, "newest event is %d, not %d", last, s.lastEvent)
	}
}

func (s *State) checkHost(b *violations, h *Host) {
	b.must(h.State >= HostJoining && h.State <= HostForgotten, "host %s: %s", h.ID, h.State)
	b.must(max(h.ModifyIndex, h.WantedModifyIndex, h.EntriesModifyIndex) <= s.index,
		"host %s: mod %d, wanted %d, entries %d above index %d", h.ID, h.ModifyIndex, h.WantedModifyIndex,
		h.EntriesModifyIndex, s.index)
	b.must(h.BootSession <= h.Session.N, "host %s: boot began in session %d of %d", h.ID, h.BootSession, h.Session.N)
	b.must(h.State != HostReady || h.ReadyAt != 0, "host %s is ready and never passed a self-check", h.ID)
	b.must(h.Drain == nil || h.Drain.Cause.Known(), "host %s drains for no known cause", h.ID)
	b.must(!h.mustRead() || s.VoterOf(h.ID) == nil || h.ReadsFormat() >= s.format(),
		"voter host %s reads format %d, the fleet is at %d", h.ID, h.ReadsFormat(), s.format())
	_, reads := h.Agent()
	b.must(h.Refused == nil || reads < s.format(), "host %s: its agent is refused, and reads format %d of %d", h.ID, reads,
		s.format())
	b.must(h.Name != "" && h.Cert.PublicKey != "", "host %s has no name or key", h.ID)
}

func (s *State) checkVoter(b *violations, v *Voter) {
	h := s.Host(v.Host)
	b.must(v.ID.Host() == v.Host, "voter %s: host %s", v.ID, v.Host)
	b.must(h != nil && (h.State != HostForgotten || v.Phase == VoterRetiring), "voter %s: its host is not there", v.ID)
	b.must(h == nil || v.ID.Number() <= h.LastRaft, "voter %s: number is above the highest used", v.ID)
	b.must(v.Phase >= VoterPreparing && v.Phase <= VoterRetiring, "voter %s: %s", v.ID, v.Phase)
	if v.Phase != VoterRetiring {
		other := s.VoterOf(v.Host)
		b.must(other.ID == v.ID, "voters %s and %s are one host", v.ID, other.ID)
	}
}

func (s *State) checkService(b *violations, v *Service) {
	r := s.Revision(v.Revision)
	b.must(r != nil && serviceOf(v.Revision) == v.Name, "service %s: no current revision %s", v.Name, v.Revision)
	_, n := v.Revision.Split()
	b.must(n <= v.LastRevision, "service %s: revision %d is above the last, %d", v.Name, n, v.LastRevision)
	b.must(v.Status == ServiceActive || v.Status == ServiceDraining && v.Desired == 0, "service %s: %s, desired %d",
		v.Name, v.Status, v.Desired)
	b.must(v.MinPercent >= 0 && v.MinPercent <= 100 && v.MaxPercent >= 100, "service %s: %d/%d percent", v.Name,
		v.MinPercent, v.MaxPercent)
	b.must(get(s.former, v.Name) == nil, "service %s is among the removed ones", v.Name)
	b.must(v.ModifyIndex <= s.index, "service %s: mod %d is above index %d", v.Name, v.ModifyIndex, s.index)
	s.checkUses(b, v)
}

// checkSums checks what holds between many rows: names, reservations, ports.
func (s *State) checkSums() error {
	var b violations
	living := 0
	held, ports := s.heldByHosts()
	for h := range s.Hosts() {
		if h.State != HostForgotten {
			living++
			b.must(s.HostByName(h.Name) == h && s.HostByKey(h.Cert.PublicKey) == h, "hosts: name %s or its key is there twice",
				h.Name)
		}
		s.checkReserved(&b, h, held[h.ID])
	}
	b.must(living == s.hostByName.Len() && living == s.hostByKey.Len(), "%d hosts, %d names, %d keys", living,
		s.hostByName.Len(), s.hostByKey.Len())
	b.must(ports == s.ports.Len(), "%d ports are held, %d are different", ports, s.ports.Len())
	s.checkUsers(&b)
	for v := range s.Services() {
		b.must(v.Status == ServiceActive || s.Counts(v.Name, "").Total > 0, "service %s is drained and still there", v.Name)
	}
	return b.err()
}

// heldTasks is what tasks hold of a host.
type heldTasks struct {
	sum    Resources
	newest Time // assignment
}

func (h *heldTasks) add(t *Task, def defFacts) {
	h.sum = h.sum.Add(def.reservation)
	h.newest = max(h.newest, t.AssignedAt)
}

// heldByHosts adds up what tasks hold, by host, and their ports.
func (s *State) heldByHosts() (held map[HostID]heldTasks, ports int) {
	held = map[HostID]heldTasks{}
	defs := newLookup(s.defFacts)
	for t := range s.Tasks() {
		if t.Held() {
			h := held[t.Host]
			h.add(t, defs.get(t.TaskDef))
			held[t.Host] = h
			ports += len(t.Ports)
		}
	}
	return held, ports
}

// heldBy adds up what tasks hold of one host.
func (s *State) heldBy(host HostID) (h heldTasks) {
	for t := range s.HeldBy(host) {
		h.add(t, s.defFacts(t.TaskDef))
	}
	return h
}

// checkReserved: reservations exceed capacity only where capacity shrank under
// tasks that were there (I3).
func (s *State) checkReserved(b *violations, h *Host, held heldTasks) {
	sum := held.sum
	b.must(sum == s.Reserved(h.ID), "host %s: reserved %v, tasks hold %v", h.ID, s.Reserved(h.ID), sum)
	b.must(sum.Fits(h.Capacity) || held.newest <= h.CapacityAt, "host %s: %v reserved of %v", h.ID, sum, h.Capacity)
}

// checkIndices rebuilds all indices and compares.
func (s *State) checkIndices() error {
	want := &State{index: s.index, now: s.now, fleet: s.fleet, lastEvent: s.lastEvent, tables: s.tables}
	want.buildIndices()
	var b violations
	for i := range derived {
		derived[i].compare(&b, &s.indices, &want.indices)
	}
	b.must(s.eventMemory == want.eventMemory, "events: %d bytes, counted %d", s.eventMemory, want.eventMemory)
	b.must(s.serviceEventMemory == want.serviceEventMemory, "events of services: %d bytes, counted %d",
		s.serviceEventMemory, want.serviceEventMemory)
	return b.err()
}

func sameList[T comparable](b *violations, what string, got, want []T) {
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			b.add("index of %s: %+v is too many", what, got[i])
			return
		case i >= len(got):
			b.add("index of %s: %+v is missing", what, want[i])
			return
		case got[i] != want[i]:
			b.add("index of %s: %+v instead of %+v", what, got[i], want[i])
			return
		}
	}
}
