package fleet

import (
	"net/netip"
	"time"
)

// Clone is another machine that shows a host's identity while the host itself is
// heard, as a copied disk does. It gets no session, so it can neither report nor
// receive; a person has to wipe one of both.
type Clone struct {
	Addr  netip.AddrPort `cbor:"1,keyasint"`
	Boot  string         `cbor:"2,keyasint"`
	Since Time           `cbor:"3,keyasint"` // of the first attempt since the alarm stands
	Last  Time           `cbor:"4,keyasint"` // of the last attempt noted
}

const (
	// CloneStands is how long after a clone's last attempt the alarm stands.
	CloneStands = 5 * time.Minute
	// CloneNotedEvery is how often attempts reach the log: a clone that asks every
	// few seconds for months must fill neither log nor events.
	CloneNotedEvery = time.Minute
)

// ClonedNow is the clone that the alarm stands for at a time, or nil.
func (h *Host) ClonedNow(now Time) *Clone {
	if h.Clone == nil || now.Sub(h.Clone.Last) >= CloneStands {
		return nil
	}
	return h.Clone
}

// CloneNoted reports whether a clone's attempt was noted so lately that another
// need not be.
func (h *Host) CloneNoted(now Time) bool {
	return h.Clone != nil && now.Sub(h.Clone.Last) < CloneNotedEvery
}

// SameMachine reports whether the machine that asks for a session is the one that
// has the present session, with its agent started anew: same boot, same address.
func (c OpenSession) SameMachine(h *Host) bool {
	return h.Session.N == 0 || h.Session.Boot == c.Boot && h.Addr == c.Addr
}
