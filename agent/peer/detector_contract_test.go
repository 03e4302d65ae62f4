package peer

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/effects"
	"skein/agent/lead/detectortest"
	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock/clocktest"
)

func TestContractOfEyes(t *testing.T) {
	detectortest.FailureDetector(t, func(t *testing.T, zones string, run func(*testing.T, detectortest.Fixture)) {
		synctest.Test(t, func(t *testing.T) { run(t, newDetectorRig(t, zones).fixture()) })
	})
}

// The ring of the leader may have heard a host whose peer port nobody reaches.
func TestAnAnswerByGossipVetoesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDetectorRig(t, "abc")
		leader, host := s.hosts[s.cluster.leader].agent, s.order[4]
		liveness := func() plan.Liveness { return s.leader().Liveness().Hosts[host].Liveness }
		leader.veto.Store(int64(protocol.VetoWithin))
		s.set(host, true, false)
		s.stop(host)
		for range 5 * time.Second / detectortest.StepTime {
			s.step()
			if got := liveness(); got == plan.LivenessSilent {
				t.Fatalf("it is %v though it answers gossip", got)
			}
		}
		if got := liveness(); got != plan.LivenessSuspect {
			t.Errorf("got %v, want suspect", got)
		}
		leader.veto.Store(int64(protocol.VetoWithin) + 1)
		for range 2 * time.Second / detectortest.StepTime {
			s.step()
		}
		if got := liveness(); got != plan.LivenessSilent {
			t.Errorf("got %v, want silent", got)
		}
	})
}

// detectorRig is a fleet of five whole peer ports in memory.
type detectorRig struct {
	*rig
	hosts   map[fleet.HostID]*detectorRigHost
	order   []fleet.HostID
	changes int
}

type detectorRigHost struct {
	n        int
	agent    *rigAgent
	link     *rigHost
	identity *trust.IdentityStore
	nonce    uint64
	frozen   bool
}

func newDetectorRig(t *testing.T, zones string) *detectorRig {
	return newDetectorRigWith(t, zones, nil)
}

// newDetectorRigWith has hosts carry effects out.
func newDetectorRigWith(t *testing.T, zones string, runners func(*rigAgent) map[string]effects.Runner) *detectorRig {
	s := &detectorRig{rig: newRigWith(t, newMemnet(), runners), hosts: map[fleet.HostID]*detectorRigHost{}}
	s.zones = zones
	for i := 2; i <= 5; i++ {
		a := s.join(fmt.Sprintf("h%d", i), s.agents[0])
		if i <= 3 {
			s.promote(a, s.agents[0])
		}
	}
	for i, a := range s.agents {
		h := &detectorRigHost{n: i + 1, agent: a, identity: a.identity, nonce: 1}
		s.hosts[a.id()], s.order = h, append(s.order, a.id())
		h.link = a.hostWith(h.nonce)
		s.ready(h.link.up())
	}
	return s
}

func (s *detectorRig) leader() *FailureDetector {
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	return s.hosts[s.cluster.leader].agent.port.FailureDetector()
}

func (s *detectorRig) set(id fleet.HostID, off, frozen bool) {
	s.memnet.set(s.hosts[id].agent.addr().Addr(), off, frozen)
}

// stop ends the agent of a host, whatever of it still runs.
func (s *detectorRig) stop(id fleet.HostID) {
	h := s.hosts[id]
	h.link.stop()
	h.agent.kill()
}

func (s *detectorRig) start(id fleet.HostID) {
	h := s.hosts[id]
	s.set(id, false, false)
	if h.frozen {
		h.frozen = false
		return
	}
	h.nonce++
	h.agent.raw = s.memnet.listen(h.n)
	h.agent.start(h.identity)
	h.link = h.agent.hostWith(h.nonce)
	deadline := time.Now().Add(waitTime)
	for h.link.session() == 0 && time.Now().Before(deadline) {
		clocktest.Elapse(protocol.WatchEvery)
	}
	s.ready(h.link)
}

func (s *detectorRig) step() {
	time.Sleep(detectortest.StepTime)
	synctest.Wait()
	for _, id := range s.order {
		select {
		case <-s.hosts[id].agent.port.FailureDetector().Changed():
			s.changes++
		default:
		}
	}
}

func (s *detectorRig) fixture() detectortest.Fixture {
	return detectortest.Fixture{
		Hosts:    s.order,
		Detector: func() detectortest.Watcher { return s.leader() },
		Changes:  func() int { return s.changes },
		Voter:    func(id fleet.HostID) fleet.HostID { return s.hosts[id].link.link.Status().Voter },
		Session:  func(id fleet.HostID) uint64 { return s.cluster.state().Host(id).Session.N },
		Lead:     s.cluster.lead,
		KillMachine: func(id fleet.HostID) {
			s.set(id, true, false)
			s.stop(id)
		},
		KillAgent: s.stop,
		Freeze: func(id fleet.HostID) {
			s.hosts[id].frozen = true
			s.set(id, false, true)
		},
		Start: s.start,
		Cut: func(a, b []fleet.HostID) {
			for _, x := range a {
				for _, y := range b {
					s.memnet.cut(s.hosts[x].agent.addr().Addr(), s.hosts[y].agent.addr().Addr(), true)
				}
			}
		},
		Heal:     s.memnet.heal,
		SetClock: func(id fleet.HostID, off time.Duration) { s.hosts[id].agent.clock.offset.Store(int64(off)) },
		Commit: func() fleet.Served {
			s.must(fleet.PutSetting{Name: "voters", Value: 3})
			state := s.cluster.state()
			return fleet.ServedAt(state.Fleet().Epoch, state.Index())
		},
		Refuse: func(id fleet.HostID, refuses bool) {
			link := s.hosts[id].link
			link.note(func() {
				link.refuse = nil
				if refuses {
					link.refuse = errors.New("no room")
				}
			})
		},
		Starve: func(id fleet.HostID, late bool) { s.hosts[id].agent.deaf.Store(late) },
		Step:   s.step,
	}
}
