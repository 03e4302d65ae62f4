package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"skein/raftfsm/fleet"
)

// delegate is memberlist's view of a Ring. Its methods are called under
// memberlist's locks or in its packet loop: none blocks, none calls back.
type delegate struct{ r *Ring }

// NodeMeta returns the metadata; Open and SetRole made sure that it fits.
func (d *delegate) NodeMeta(int) []byte { return *d.r.meta.Load() }

func (d *delegate) NotifyMsg(b []byte) {
	select {
	case d.r.messages <- bytes.Clone(b):
	default:
		d.r.stats.dropped.Add(1)
	}
}

func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.r.queue.GetBroadcasts(overhead, limit)
}

func (d *delegate) LocalState(bool) []byte {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	return d.r.table.state()
}

func (d *delegate) MergeRemoteState(b []byte, _ bool) {
	if len(b) == 0 {
		return
	}
	select {
	case d.r.states <- b: // memberlist made it for this call
	default:
		d.r.stats.dropped.Add(1)
	}
}

// NotifyAlive refuses members whose metadata cannot be read or names another
// host than the member's name does.
func (d *delegate) NotifyAlive(node *memberlist.Node) error {
	m, err := decodeMeta(node.Meta)
	switch newer := errors.Is(err, errNewer); {
	case err != nil && !newer:
		d.r.stats.refused.Add(1)
		return err
	case !newer && string(m.Host) != node.Name:
		d.r.stats.refused.Add(1)
		return fmt.Errorf("%w: member %q carries metadata of host %q", errFormat, node.Name, m.Host)
	case d.full(fleet.HostID(node.Name)):
		d.r.stats.limited.Add(1)
		return fmt.Errorf("%w: more than %d members", errFormat, maxReports)
	}
	return nil
}

// full reports whether there is no room for a host that is not known yet.
func (d *delegate) full(host fleet.HostID) bool {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	_, member := d.r.members[host]
	_, left := d.r.gone[host]
	return !member && !left && len(d.r.members)+len(d.r.gone) >= maxReports
}

func (d *delegate) NotifyJoin(node *memberlist.Node) {
	m := memberOf(node)
	d.r.mu.Lock()
	d.r.members[m.Host] = m
	delete(d.r.gone, m.Host)
	d.r.count.Store(int64(len(d.r.members)))
	d.r.mu.Unlock()
	d.r.note(event{what: eventJoined, host: m.Host, name: m.Name, addr: m.Addr})
}

func (d *delegate) NotifyUpdate(node *memberlist.Node) {
	m := memberOf(node)
	d.r.mu.Lock()
	d.r.members[m.Host] = m
	d.r.mu.Unlock()
}

// NotifyLeave is told of members that died and of those that left on purpose;
// memberlist does not say which.
func (d *delegate) NotifyLeave(node *memberlist.Node) {
	m := memberOf(node)
	m.Suspect = true
	d.r.mu.Lock()
	delete(d.r.members, m.Host)
	d.r.gone[m.Host] = gone{m, time.Now()}
	d.r.count.Store(int64(len(d.r.members)))
	d.r.mu.Unlock()
	d.r.note(event{what: eventGone, host: m.Host, name: m.Name, addr: m.Addr})
}

func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.r.stats.conflicts.Add(1)
	m := memberOf(existing)
	d.r.note(event{what: eventConflict, host: m.Host, name: m.Name, addr: m.Addr, other: memberOf(other).Addr})
}

func (d *delegate) AckPayload() []byte { return nil }

func (d *delegate) NotifyPingComplete(other *memberlist.Node, _ time.Duration, _ []byte) {
	d.r.mu.Lock()
	d.r.answered[fleet.HostID(other.Name)] = time.Now()
	d.r.mu.Unlock()
}

// memberOf copies what is kept of a node; metadata was checked by NotifyAlive.
func memberOf(node *memberlist.Node) Member {
	m, _ := decodeMeta(node.Meta)
	addr, _ := netip.AddrFromSlice(node.Addr)
	return Member{
		Host: fleet.HostID(node.Name), Name: m.Name, Zone: m.Zone, Role: m.Role, Version: m.Version,
		Addr: netip.AddrPortFrom(addr.Unmap(), node.Port), Peer: m.Peer, Status: m.Status,
	}
}

// broadcast is a capacity report on its way; a newer one of the same host
// replaces it in the queue.
type broadcast struct {
	host    fleet.HostID
	encoded []byte
}

func (b *broadcast) Name() string    { return string(b.host) }
func (b *broadcast) Message() []byte { return b.encoded }
func (b *broadcast) Finished()       {}
func (b *broadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(*broadcast)
	return ok && o.host == b.host
}
