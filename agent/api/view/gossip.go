package view

import (
	"net/netip"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// Members is what gossip knows.
type Members interface {
	// Reports are the newest of each host, in no order.
	Reports() []fleet.CapacityReport
	// Members are the hosts of the ring, this one included, in no order.
	Members() []Member
}

// Member is one host of the gossip ring.
type Member struct {
	Host    fleet.HostID
	Name    string
	Zone    string
	Role    string // "voter" or "worker"
	Version string
	Addr    netip.AddrPort
	Alive   bool // false: suspected or dead
}

// Heard of a host by gossip.
const (
	HeardAlive   = "alive"
	HeardFailed  = "failed"
	HeardUnknown = "unknown"
)

// gossip asks what gossip knows, once a read.
func (v *View) gossip() {
	if v.reports != nil {
		return
	}
	v.reports, v.members = map[fleet.HostID]*fleet.CapacityReport{}, map[fleet.HostID]Member{}
	if v.Members == nil {
		return
	}
	reports := v.Members.Reports()
	for i := range reports {
		v.reports[reports[i].Host] = &reports[i]
	}
	for _, m := range v.Members.Members() {
		v.members[m.Host] = m
	}
}

// Report is a host's newest capacity report as a row, or nil.
func (v *View) Report(id fleet.HostID) *types.HostReport {
	v.gossip()
	r := v.reports[id]
	if r == nil {
		return nil
	}
	return &types.HostReport{
		At: types.Stamp(r.At), Used: resources(r.Used), Starved: r.Starved, Protected: types.Clean(r.Protected),
		Pressure: types.Pressure{CPU: int(r.Pressure.CPU), Memory: int(r.Pressure.Memory), IO: int(r.Pressure.IO)},
		Runtime:  types.Clean(r.Runtime), DiskFreeMiB: r.DiskFreeMiB, PortsUsed: r.PortsUsed,
	}
}

// Heard is what the answering host hears of another by gossip.
func (v *View) Heard(id fleet.HostID) string {
	v.gossip()
	m, ok := v.members[id]
	switch {
	case !ok && string(id) == v.Self.ID, ok && m.Alive:
		return HeardAlive
	case ok:
		return HeardFailed
	}
	return HeardUnknown
}

// RunsAsWorker reports whether a host says by gossip that it has no log open.
func (v *View) RunsAsWorker(id fleet.HostID) bool {
	v.gossip()
	return v.members[id].Role == "worker"
}

// InRing are the hosts of the gossip ring, the answering one always among them.
func (v *View) InRing() map[fleet.HostID]Member {
	v.gossip()
	if self := fleet.HostID(v.Self.ID); v.members[self].Host == "" {
		v.members[self] = Member{Host: self, Name: v.Self.Name, Zone: v.Self.Zone, Role: "worker", Version: v.Self.Version,
			Alive: true}
	}
	return v.members
}

// MemberRow is a host of which gossip alone knows.
func (v *View) MemberRow(m Member) types.Host {
	row := types.Host{ID: string(m.Host), Name: types.Clean(m.Name), Zone: types.Clean(m.Zone), Role: "worker",
		State: "unknown", Version: types.Clean(m.Version), Gossip: v.Heard(m.Host)}
	if m.Role == "voter" {
		row.Role = "voter"
	}
	if m.Addr.IsValid() {
		row.Addr = m.Addr.String()
	}
	if r := v.reports[m.Host]; r != nil {
		row.Report = v.Report(m.Host)
		row.Capacity, row.Reserved, row.Free = resources(r.Capacity), resources(r.Reserved),
			resources(r.Capacity.Sub(r.Reserved))
		row.Running, row.Pending = r.TasksRunning, r.TasksPending
	}
	return row
}
