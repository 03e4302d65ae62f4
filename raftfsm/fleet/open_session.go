package fleet

import (
	"fmt"
	"net/netip"
	"strconv"
)

// OpenSession begins a new life of an agent: refused when the host is forgotten
// or the nonce is not newer. A changed boot id makes every task of the host
// that was not stopped unreachable until reported; a host that was silent or
// lost is ready again (joining when it never passed a self-check). Two live
// sessions of one identity: the newer wins and a decision asks "cloned disk?".
// IDs[0] is the session number.
type OpenSession struct {
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
	Contested  bool              `cbor:"13,keyasint,omitempty"` // the voter saw the old session alive within the last second
	Format     int               `cbor:"14,keyasint,omitempty"` // highest entry format the agent reads; 0 means 1
}

// Kind is the command's number in the log.
func (OpenSession) Kind() Kind { return KindOpenSession }

func (c OpenSession) apply(s *State, x *context) ([]string, error) {
	old, err := s.livingHost(c.Host, "open session")
	if err != nil {
		return nil, err
	}
	if old.Cert.Revoked {
		return nil, refuse(ErrConflict, "open session of %s: its certificate is revoked; it must join again", old.Name)
	}
	if c.Nonce <= old.Session.Nonce {
		return nil, refuse(ErrOldSession, "open session of %s: nonce %d is not above %d", old.Name, c.Nonce, old.Session.Nonce)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	host := c.row(old, x.now)
	s.putHost(x, host)
	s.touchWanted(x, host.ID)
	if code, message := c.story(old, &host); code != "" {
		s.decide(x, Decision{By: "host " + host.Name, Code: code, About: aboutHost(&host), Message: message})
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
		checkRange("format", c.Format, 0, 1<<16),
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
	h.LastBoot, h.ReportSeq = old.Session.Boot, 0
	if c.Boot != old.Session.Boot {
		h.boot(old, now)
	}
	if old.Life == HostSilent || old.Life == HostLost {
		h.wake(now)
	}
	return h
}

// story is what people should hear of the session; an agent that merely
// restarted is no news.
func (c OpenSession) story(old, h *Host) (code, message string) {
	rebooted := old.Session.N > 0 && old.Session.Boot != c.Boot
	switch {
	case c.Contested:
		return "session-contested", h.Name + " has two live agents with one identity, the newer one wins: cloned disk?"
	case old.Life != h.Life && rebooted:
		return "host-returned", fmt.Sprintf("%s is back after a reboot (it was %s)", h.Name, old.Life)
	case old.Life != h.Life:
		return "host-returned", fmt.Sprintf("%s is back (it was %s)", h.Name, old.Life)
	case rebooted:
		return "host-rebooted", h.Name + " rebooted"
	default:
		return "", ""
	}
}
