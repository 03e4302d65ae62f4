package fleet

import (
	"fmt"
	"net/netip"
	"strconv"
)

// OpenSession begins a new life of an agent: refused when the host is forgotten,
// its agent is too old for the fleet's format, or the nonce is not newer. A changed boot id makes
// every task of the host that was not stopped unreachable until reported; a host that was silent or
// lost is ready again (joining when it never passed a self-check), unless it was silent and has
// come and gone of late (Host.Flaps).
//
// Of two live agents with one identity on one machine the newer wins: the agent
// restarted. Another machine (see SameMachine) opens no session while the former
// is heard (Contested): the clone is noted in the host's row instead, and nothing
// else changes. So is an agent that a voter has refused as too old (TooOld). IDs[0] is
// the session number; none where no session was opened.
type OpenSession struct {
	NextFields
	Host       HostID            `cbor:"1,keyasint"`
	Boot       string            `cbor:"2,keyasint"`
	Nonce      uint64            `cbor:"3,keyasint"`
	Addr       netip.AddrPort    `cbor:"4,keyasint"`
	Gossip     netip.AddrPort    `cbor:"5,keyasint,omitempty"`
	Status     string            `cbor:"6,keyasint,omitempty"`
	Zone       string            `cbor:"7,keyasint"`
	Attributes map[string]string `cbor:"8,keyasint,omitempty"`
	Capacity   Resources         `cbor:"9,keyasint"`
	Version    string            `cbor:"10,keyasint,omitempty"`
	OSImage    string            `cbor:"11,keyasint,omitempty"`
	RaftID     RaftID            `cbor:"12,keyasint,omitempty"` // the log it holds, empty for none
	// the present session was heard while this one was asked for
	Contested bool `cbor:"13,keyasint,omitempty"`
	Format    int  `cbor:"14,keyasint,omitempty"` // highest entry format the agent reads; 0 means 1
	// a voter has refused the agent as too old: the host's row is to say so
	TooOld bool `cbor:"15,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (OpenSession) Kind() Kind { return KindOpenSession }

func (c OpenSession) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.livingHost(c.Host, "open session")
	if err != nil {
		return nil, err
	}
	if old.Cert.Revoked {
		return nil, refuse(ErrConflict, "open session of %s: its certificate is revoked; it must join again", old.Name)
	}
	if c.Nonce <= old.Session.Nonce {
		return nil, refuse(ErrOldSession, "open session of %s: nonce %d is not above %d", old.Name, c.Nonce,
			old.Session.Nonce)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Contested && !c.SameMachine(old) {
		c.noteClone(s, x, old)
		return nil, nil
	}
	if err := c.CheckFormat(s); err != nil && c.TooOld {
		c.noteTooOld(s, x, old)
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	host := c.row(old, x.now)
	s.putHost(x, host)
	s.touchWanted(x, host.ID)
	if s.unplanFormat(x, &host) {
		return []string{strconv.FormatUint(host.Session.N, 10)}, nil
	}
	if code, message := c.message(old, &host); code != "" {
		s.recordEvent(x, Event{By: "host " + host.Name, Code: code, Subject: subjectOf(&host), Message: message})
	}
	return []string{strconv.FormatUint(host.Session.N, 10)}, nil
}

func (c OpenSession) check() error {
	if err := first(
		checkID("boot", c.Boot),
		checkAddr("addr", c.Addr),
		checkText("status", c.Status, maxURL),
		checkHostName("zone", c.Zone),
		checkTags("attributes", c.Attributes),
		checkResources("capacity", c.Capacity),
		checkText("version", c.Version, MaxName),
		checkText("osImage", c.OSImage, MaxName),
		checkRange("format", c.Format, 0, maxFormat),
	); err != nil {
		return err
	}
	if c.RaftID != "" {
		return checkRaftID("raftId", c.RaftID, c.Host)
	}
	return nil
}

// row is the host in its new session.
func (c OpenSession) row(old *Host, now Time) Host {
	h := *old
	h.Addr, h.Gossip, h.Status, h.Zone, h.Attributes = c.Addr, c.Gossip, c.Status, c.Zone, c.Attributes
	h.Version, h.OSImage, h.RaftID, h.Format = c.Version, c.OSImage, c.RaftID, c.Format
	h.setCapacity(c.Capacity, now)
	h.Session = Session{Boot: c.Boot, Nonce: c.Nonce, N: old.Session.N + 1, Since: now}
	h.LastBoot, h.ReportSeq, h.Refused = old.Session.Boot, 0, nil
	if c.Boot != old.Session.Boot {
		h.boot(old, now)
	}
	if old.State == HostSilent && old.Flaps == 0 || old.State == HostLost {
		h.wake(now)
	}
	if h.Clone != nil && h.Clone.Addr == c.Addr {
		h.Clone = nil // the other one is gone: this machine is the host now
	}
	return h
}

// noteClone keeps the alarm standing; only its beginning is an event.
func (c OpenSession) noteClone(s *State, x *applyContext, old *Host) {
	h := *old
	standing := old.ClonedNow(x.now)
	h.Clone = &Clone{Addr: c.Addr, Boot: c.Boot, Since: x.now, Last: x.now}
	if standing != nil {
		h.Clone.Since = standing.Since
	}
	s.putHost(x, h)
	if standing == nil {
		s.recordEvent(x, Event{By: "host " + h.Name, Code: "host-cloned", Subject: subjectOf(&h), Message: fmt.Sprintf(
			"%s runs at %s, and another machine at %s shows its identity: cloned disk? The second is not let in; wipe its "+
				"data folder and join it anew",
			h.Name, h.Addr, c.Addr)})
	}
}

// message is what people should hear of the session; an agent that merely
// restarted is no news.
func (c OpenSession) message(old, h *Host) (code, message string) {
	rebooted := old.Session.N > 0 && old.Session.Boot != c.Boot
	switch {
	case old.State != h.State && rebooted:
		return "host-returned", fmt.Sprintf("%s is back after a reboot (it was %s)", h.Name, old.State)
	case old.State != h.State:
		return "host-returned", fmt.Sprintf("%s is back (it was %s)", h.Name, old.State)
	case rebooted:
		return "host-rebooted", h.Name + " rebooted"
	default:
		return "", ""
	}
}
