package invariant

import (
	"testing"

	"skein/raftfsm/fleet"
)

func TestFormats(t *testing.T) {
	next := fleet.FormatVersion + 1
	// upgraded has agents of hosts read the next format.
	upgraded := func(r *rig, ids ...fleet.HostID) {
		for _, id := range ids {
			host := r.s.Host(id)
			r.do(fleet.OpenSession{Host: id, Boot: host.Session.Boot, Nonce: host.Session.Nonce + 1, Addr: host.Addr,
				Zone:     host.Zone,
				Capacity: fleet.Resources{CPU: 1024, Memory: 1024}, Format: next})
		}
	}
	raise := fleet.RaiseFormat{Format: next}
	tell(t, []story{
		{"a command that came with a later format", "format", func(r *rig) {
			r.c.NewKinds(map[fleet.Kind]int{fleet.KindCordonHost: next})
			r.do(fleet.CordonHost{Host: "h1"})
		}},
		{"it after the format was raised", "", func(r *rig) {
			r.c.NewKinds(map[fleet.Kind]int{fleet.KindCordonHost: next})
			upgraded(r, "h1", "h2")
			r.do(raise, fleet.CordonHost{Host: "h1"})
		}},
		{"a format that a host does not read is raised", "format", func(r *rig) {
			upgraded(r, "h1", "h2")
			r.c.model.hosts["h2"].reads = fleet.FormatVersion
			r.do(raise)
		}},
		{"an agent goes back before the format is raised", "", func(r *rig) {
			upgraded(r, "h1", "h2")
			r.open("h2", "boot-1")
		}},
		{"an older agent is refused after it", "", func(r *rig) {
			upgraded(r, "h1", "h2")
			r.do(raise)
			r.commit(fleet.Item{Command: fleet.OpenSession{Host: "h2", Boot: "boot-1", Nonce: 99, Addr: r.s.Host("h2").Addr,
				Zone:     "b",
				Capacity: fleet.Resources{CPU: 1024, Memory: 1024}}})
		}},
		{"an agent is refused before it", "format", func(r *rig) { r.c.TooOld("h2", fleet.FormatVersion) }},
		{"a voter stops at what its agent said that it reads", "format",
			func(r *rig) { r.c.Froze("h1.1", fleet.FormatVersion) }},
		{"a voter stops whose agent went back", "", func(r *rig) {
			upgraded(r, "h1", "h2")
			r.do(raise)
			r.c.Froze("h1.1", fleet.FormatVersion)
		}},
	})
}
