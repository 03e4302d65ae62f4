package gossip

import (
	"net/netip"

	"skein/raftfsm/fleet"
)

// event is something a callback saw and Run logs.
type event struct {
	what  eventKind
	host  fleet.HostID
	name  string
	addr  netip.AddrPort
	other netip.AddrPort
}

type eventKind uint8

const (
	eventJoined   eventKind = iota + 1
	eventGone               // it does not answer, or left
	eventConflict           // the name is announced from another address
	eventTwin               // somebody else publishes reports as this host
)

func (r *Ring) note(e event) {
	select {
	case r.events <- e:
	default:
		r.stats.dropped.Add(1)
	}
}

func (r *Ring) logEvent(e event) {
	log := r.log.With("host", e.name, "host_id", string(e.host), "addr", e.addr.String())
	switch e.what {
	case eventJoined:
		log.Info("gossip member joined")
	case eventGone:
		log.Info("gossip member gone")
	case eventConflict:
		log.Warn("gossip member refused", "refused_addr", e.other.String(),
			"reason", "its host id is in use at another address: is this a cloned disk?")
	case eventTwin:
		log.Warn("foreign capacity report refused",
			"reason", "somebody publishes newer reports under this host's id: is this a cloned disk?")
	}
}
