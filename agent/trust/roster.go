package trust

import (
	"cmp"
	"net/netip"
	"slices"

	"skein/raftfsm/fleet"
)

// Roster is the fleet's voters as of an index of the log: whom a host that has
// no State follows, and where they listen. Voters are sorted by host and hold
// every phase that is not removed, since raft speaks to all of them.
type Roster struct {
	Epoch  uint64        `json:"epoch" cbor:"1,keyasint"`
	Index  uint64        `json:"index" cbor:"2,keyasint"`
	Voters []RosterVoter `json:"voters" cbor:"3,keyasint"`
}

// RosterVoter is one voter and its peer port.
type RosterVoter struct {
	Host   fleet.HostID   `json:"host" cbor:"1,keyasint"`
	Addr   netip.AddrPort `json:"addr" cbor:"2,keyasint"`
	Voting bool           `json:"voting" cbor:"3,keyasint,omitempty"` // its State is trusted to be current
}

// RosterOf reads the voters from State; empty before the fleet exists.
// It visits the voters only.
func RosterOf(st *fleet.State) Roster {
	row := st.Fleet()
	if row == nil {
		return Roster{}
	}
	r := Roster{Epoch: row.Epoch, Index: st.Index()}
	for v := range st.Voters() {
		host := st.Host(v.Host)
		if host == nil {
			continue
		}
		if i := slices.IndexFunc(r.Voters, func(o RosterVoter) bool { return o.Host == v.Host }); i >= 0 {
			r.Voters[i].Voting = r.Voters[i].Voting || v.Phase == fleet.VoterVoting
			continue
		}
		r.Voters = append(r.Voters, RosterVoter{Host: v.Host, Addr: host.Addr, Voting: v.Phase == fleet.VoterVoting})
	}
	slices.SortFunc(r.Voters, func(a, b RosterVoter) int { return cmp.Compare(a.Host, b.Host) })
	return r
}

// Newer reports whether r was made from later intent than o.
func (r Roster) Newer(o Roster) bool {
	return r.Epoch > o.Epoch || r.Epoch == o.Epoch && r.Index > o.Index
}

// With is the newer of r and the voters that State has; st may be nil, and without a
// fleet.
func (r Roster) With(st *fleet.State) Roster {
	if st == nil || st.Fleet() == nil {
		return r
	}
	if now := RosterOf(st); !r.Newer(now) {
		return now
	}
	return r
}

// Same reports whether r and o name the same voters at the same places.
func (r Roster) Same(o Roster) bool { return slices.Equal(r.Voters, o.Voters) }

// Has reports whether the host is on the roster.
func (r Roster) Has(host fleet.HostID) bool {
	_, ok := r.Addr(host)
	return ok
}

// Addr returns where a voter listens.
func (r Roster) Addr(host fleet.HostID) (netip.AddrPort, bool) {
	for _, v := range r.Voters {
		if v.Host == host {
			return v.Addr, true
		}
	}
	return netip.AddrPort{}, false
}
