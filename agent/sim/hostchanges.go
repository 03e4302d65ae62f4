package sim

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"skein/agent/sim/virtual"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

func init() {
	maps.Copy(verbs, map[string]verb{
		"zone":     {use: "HOST ZONE: its agent restarts in another zone", least: 2, most: 2, do: (*World).moveZone},
		"capacity": {use: "HOST CPU MEMORY: its agent restarts with so much", least: 3, most: 3, do: (*World).setCapacity},
		"lose-journal": hostVerb(func(w *World, h *host) {
			h.withoutAgent(func() {
				w.sometimes("the journal of a host is lost")
				h.journal, h.behind = nil, true
				w.watch.checker.RecordsLost(h.id)
			})
		}),
		"damage-wanted": hostVerb(func(w *World, h *host) {
			h.withoutAgent(func() {
				if h.wantedBefore != nil {
					w.sometimes("the newer copy of what a host is to run is damaged")
					h.wanted, h.wantedBefore, h.behind = h.wantedBefore, nil, true
				}
			})
		}),
		"cut-stream": {use: "HOST...: the connection of its stream breaks", least: 1, most: -1, do: (*World).cutStream},
		"rejoin": {use: "HOST: it joins again with its key", least: 1, most: 1, options: []string{"via"},
			do: (*World).rejoin},
		"rotate-keys": {use: ": the sealed keys are replaced", options: []string{"via"}, do: (*World).rotateKeys},
	})
}

// withoutAgent does something to a host's disk while no agent runs; one that ran
// starts again.
func (h *host) withoutAgent(f func()) {
	ran := h.agent != nil
	h.killAgent()
	f()
	if ran {
		h.startAgentSoon()
	}
}
func (w *World) moveZone(d words) error {
	return w.each(d.objects[:1], func(h *host) {
		h.withoutAgent(func() { h.zone = d.objects[1] })
		w.watch.disturbed(h, disturbance)
	})
}
func (w *World) setCapacity(d words) error {
	var r fleet.Resources
	for i, into := range []*int64{&r.CPU, &r.Memory} {
		n, err := strconv.ParseInt(d.objects[1+i], 10, 64)
		if err != nil || n < 1 {
			return fmt.Errorf("capacity: %q is not a number from 1 on", d.objects[1+i])
		}
		*into = n
	}
	return w.each(d.objects[:1], func(h *host) {
		h.withoutAgent(func() { h.capacity = r })
		w.watch.disturbed(h, disturbance)
	})
}

// cutStream breaks the connections of streams: both ends notice.
func (w *World) cutStream(d words) error {
	return w.each(d.objects, func(h *host) {
		if h.agent != nil && h.agent.link != nil && h.agent.link.stream != nil {
			h.agent.link.stream.end(errNoAnswer)
		}
	})
}

// rejoin has a host admitted again with a new token.
func (w *World) rejoin(d words) error {
	via, err := w.via(d)
	if err != nil {
		return err
	}
	id, err := w.named(d)
	if err != nil {
		return err
	}
	w.requests++
	token, hash := fleet.TokenID(fmt.Sprintf("rejoin-%d", w.requests)), make([]byte, 32)
	put := fleet.PutToken{ID: token, TokenKind: fleet.TokenJoin, Hash: hash, Uses: 1,
		NotAfter: w.wall().Add(24 * time.Hour)}
	w.write(via, "token for "+d.objects[0], func(*fleet.State) fleet.Command { return put },
		func(r fleet.Result, _ uint64, err error) {
			if err == nil && r.Err == nil {
				w.admitAgain(via, w.hosts[id], token, hash)
			}
		})
	return nil
}

// admitAgain has a host admitted by a token; what it is given says who votes.
func (w *World) admitAgain(via, h *host, token fleet.TokenID, hash []byte) {
	admit := fleet.AdmitHost{Token: token, SecretHash: hash, Host: h.admission()}
	w.write(via, "join "+h.name+" again", func(*fleet.State) fleet.Command { return admit },
		func(r fleet.Result, _ uint64, err error) {
			if err == nil && r.Err == nil {
				w.watch.disturbed(h, disturbance) // nobody has heard it for a while
			}
			if granted := trust.RosterOf(w.truth); err == nil && r.Err == nil && granted.Newer(h.roster) {
				h.roster = granted
			}
		})
}

func (w *World) rotateKeys(d words) error {
	return w.simple(d, "rotate keys", func(s *fleet.State) fleet.Command {
		if s.Fleet() == nil {
			return nil // this voter has just begun to learn
		}
		was := s.Fleet().SealedKeys
		return fleet.PutSealedKeys{Keys: fleet.SealedKeys{Version: was.Version + 1, CA: was.CA,
			Gossip: make([]byte, 8+was.Version)}}
	})
}

// refusal is why a voter talks to a host no more: by its own State, its certificate was
// revoked, or it was forgotten.
func (a *agent) refusal(id fleet.HostID) error {
	if a.node == nil {
		return nil
	}
	switch h := a.node.State().Host(id); {
	case h == nil:
	case h.State == fleet.HostForgotten:
		return fleet.ErrForgotten
	case h.Cert.Revoked:
		return trust.ErrRevoked
	}
	return nil
}

// endRefused ends the streams of hosts that this voter talks to no more.
func (a *agent) endRefused(changed []fleet.HostID) {
	for _, id := range changed {
		if s := a.serves.streams[id]; s != nil {
			if err := a.refusal(id); err != nil {
				s.end(err)
			}
		}
	}
}

// joinRevoked has hosts that were revoked joined again, once faults have ended.
func (w *World) joinRevoked() {
	for _, h := range w.order {
		if row := w.truth.Host(h.id); row != nil && row.Cert.Revoked && w.net.Condition(h.id) == virtual.Up {
			_ = w.Do("rejoin " + h.name) // the name is right
		}
	}
}
