package fleet

import (
	"net/netip"
	"strings"
	"testing"
)

func TestInitFleet(t *testing.T) {
	t.Run("makes the fleet, its first host and its first voter", func(t *testing.T) {
		w := newWorld(t)
		if ids := w.must(initFleet()); ids[0] != "f-1" {
			t.Errorf("ids %v", ids)
		}
		f, h, v := w.Fleet(), w.HostByName("h1"), w.VoterOf(hostID(1))
		if f.Epoch != 1 || f.Format != 1 || f.Settings != DefaultSettings() || f.Now != w.at || w.Now() != w.at {
			t.Errorf("fleet %+v", f)
		}
		if h.State != HostJoining || h.LastRaft != 1 || v.Phase != VoterVoting || v.ID != MakeRaftID(h.ID, 1) {
			t.Errorf("host %+v, voter %+v", h, v)
		}
		w.checked()
	})
	t.Run("is refused when a fleet exists", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.refused(initFleet(), ErrFleetExists, "f-1")
	})
	t.Run("is refused with a raft id of another host", func(t *testing.T) {
		c := initFleet()
		c.RaftID = "h-other.1"
		newWorld(t).refused(c, ErrInvalid, "raftId")
	})
	t.Run("is refused without sealed keys", func(t *testing.T) {
		c := initFleet()
		c.SealedKeys.CA = nil
		newWorld(t).refused(c, ErrInvalid, "sealedKeys.ca")
	})
	t.Run("comes before every other command", func(t *testing.T) {
		w := newWorld(t)
		w.refused(CordonHost{Host: "h"}, ErrNoFleet, "cordon-host")
		w.refused(Prune{}, ErrNoFleet, "prune")
	})
}

func TestFleetTimeNeverGoesBack(t *testing.T) {
	w := fleetOf(t, 1)
	now := w.Now()
	w.at = now - 5000
	w.must(CordonHost{Host: hostID(1)})
	if w.Now() != now || w.Fleet().Now != now || w.Host(hostID(1)).Cordon.At != now {
		t.Errorf("now %s, was %s", w.Now(), now)
	}
	w.at = maxTime + 1
	w.must(UncordonHost{Host: hostID(1)})
	if w.Now() != now {
		t.Errorf("a stamp past the year 9999 moved fleet time to %d", w.Now())
	}
}

func TestOpenSession(t *testing.T) {
	t.Run("numbers sessions and takes in what the agent says", func(t *testing.T) {
		w := fleetOf(t, 2)
		c := session(2, 2)
		c.Capacity, c.Version, c.Zone = Resources{CPU: 1, Memory: 2}, "v2", "z"
		w.wait(10)
		if ids := w.must(c); ids[0] != "2" {
			t.Errorf("ids %v", ids)
		}
		h := w.Host(hostID(2))
		if h.Session != (Session{Boot: "boot-2", Nonce: 2, N: 2, Since: w.at}) || h.Capacity != c.Capacity ||
			h.CapacityAt != w.at || h.Version != "v2" || h.Zone != "z" || h.ReportSeq != 0 {
			t.Errorf("host %+v", h)
		}
		if h.BootSession != 1 || h.LastBoot != "boot-2" || h.WantedModifyIndex != w.Index() {
			t.Errorf("boot session %d, last boot %q", h.BootSession, h.LastBoot)
		}
	})
	t.Run("is refused with a nonce that is not newer", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.refused(session(1, 1), ErrOldSession, "nonce 1")
	})
	t.Run("is refused for a forgotten and for an unknown host", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(ForgetHost{Host: hostID(2), Force: true})
		w.refused(session(2, 2), ErrForgotten, "h2")
		w.refused(session(9, 1), ErrNotFound, string(hostID(9)))
	})
	t.Run("gives an agent that restarts its session though the old one is alive", func(t *testing.T) {
		w := fleetOf(t, 1)
		c := session(1, 2)
		c.Contested = true
		events := w.lastEvent().Seq
		if ids := w.must(c); len(ids) != 1 || ids[0] != "2" || w.lastEvent().Seq != events {
			t.Errorf("ids %v, %+v", ids, w.lastEvent())
		}
	})
	for name, change := range map[string]func(*OpenSession){
		"another boot":    func(c *OpenSession) { c.Boot = "boot-clone" },
		"another address": func(c *OpenSession) { c.Addr = netip.MustParseAddrPort("10.9.9.9:7") },
	} {
		t.Run("opens no session for "+name+" while the old one is heard, and says so once", func(t *testing.T) {
			w := fleetOf(t, 2)
			before := *w.Host(hostID(2))
			clone := session(2, 2)
			change(&clone)
			clone.Contested = true
			events := w.lastEvent().Seq
			for range 100 {
				clone.Nonce++
				if ids := w.must(clone); len(ids) != 0 {
					t.Fatalf("session %v", ids)
				}
				w.wait(CloneNotedEvery.Milliseconds())
			}
			h := w.Host(hostID(2))
			if h.Session != before.Session || h.Addr != before.Addr || h.State != before.State {
				t.Errorf("host %+v, was %+v", h, before)
			}
			if c := h.ClonedNow(w.at); c == nil || c.Addr != clone.Addr || c.Boot != clone.Boot ||
				c.Last.Sub(c.Since) < 90*CloneNotedEvery {
				t.Errorf("clone %+v", h.Clone)
			}
			e := w.lastEvent()
			if e.Seq != events+1 || e.Code != "host-cloned" || !strings.Contains(e.Message, h.Addr.String()) ||
				!strings.Contains(e.Message, clone.Addr.String()) {
				t.Errorf("decision %+v, %d since", e, e.Seq-events)
			}
			w.wait(CloneStands.Milliseconds())
			if c := w.Host(hostID(2)).ClonedNow(w.at); c != nil {
				t.Errorf("the alarm stands though nobody asked for %s: %+v", CloneStands, c)
			}
			w.must(clone)
			if e := w.lastEvent(); e.Seq != events+2 {
				t.Errorf("a clone that returns is no news: %+v", e)
			}
			clone.Contested = false // the former fell silent
			if ids := w.must(clone); len(ids) != 1 || w.Host(hostID(2)).Addr != clone.Addr || w.Host(hostID(2)).Clone != nil {
				t.Errorf("ids %v, host %+v", ids, w.Host(hostID(2)))
			}
			w.checked()
		})
	}
	t.Run("brings a lost host back, and says so", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.wait(300_000)
		w.must(LoseHost{Host: hostID(2), Session: 1})
		c := session(2, 2)
		c.Boot = "boot-2b"
		w.must(c)
		if h := w.Host(hostID(2)); h.State != HostReady || h.StateSince != w.at || h.LastBoot != "boot-2" ||
			h.BootSession != 2 {
			t.Errorf("host %+v", h)
		}
		if e := w.lastEvent(); e.Code != "host-returned" || e.Message != "h2 is back after a reboot (it was lost)" ||
			e.Subject.String() != "host:h2" {
			t.Errorf("decision %+v", e)
		}
	})
	t.Run("brings a host back as joining when it never passed a self-check", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.must(AdmitHost{Token: "tok", SecretHash: blob(32), Host: admission(2)})
		w.must(session(2, 1))
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.must(session(2, 2))
		if h := w.Host(hostID(2)); h.State != HostJoining {
			t.Errorf("host %+v", h)
		}
	})
	for name, c := range map[string]OpenSession{
		"addr":      func() OpenSession { c := session(1, 2); c.Addr = addr(1); c.Addr = addrNone; return c }(),
		"boot":      func() OpenSession { c := session(1, 2); c.Boot = ""; return c }(),
		"zone":      func() OpenSession { c := session(1, 2); c.Zone = "a b"; return c }(),
		"capacity":  func() OpenSession { c := session(1, 2); c.Capacity.CPU = -1; return c }(),
		"raftId":    func() OpenSession { c := session(1, 2); c.RaftID = "h-x.1"; return c }(),
		"status":    func() OpenSession { c := session(1, 2); c.Status = strings.Repeat("x", 3000); return c }(),
		"attribute": func() OpenSession { c := session(1, 2); c.Attributes = map[string]string{"": "x"}; return c }(),
	} {
		t.Run("is refused with a bad "+name, func(t *testing.T) { fleetOf(t, 1).refused(c, ErrInvalid, name) })
	}
}

func TestHostLife(t *testing.T) {
	t.Run("silent, lost and back move only in the session that was seen", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.refused(SilenceHost{Host: hostID(2), Session: 2}, ErrOldSession, "session 1, not 2")
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.noop(SilenceHost{Host: hostID(2), Session: 1})
		w.refused(LoseHost{Host: hostID(2), Session: 9}, ErrOldSession, "h2")
		w.refused(ReturnHost{Host: hostID(2), Session: 9}, ErrOldSession, "h2")
	})
	t.Run("a host is lost only after the setting says so", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.refused(LoseHost{Host: hostID(2), Session: 1}, ErrConflict, "ready, not silent")
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		if due := w.NextDue(w.at); due != w.at+300_000 {
			t.Errorf("due %s", due)
		}
		w.wait(299_999)
		w.refused(LoseHost{Host: hostID(2), Session: 1}, ErrTooEarly, "lost from")
		w.wait(1)
		w.must(LoseHost{Host: hostID(2), Session: 1})
		w.noop(LoseHost{Host: hostID(2), Session: 1})
		w.refused(ReturnHost{Host: hostID(2), Session: 1}, ErrConflict, "new session")
		w.checked()
	})
	t.Run("a silent host returns as what it was", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.noop(ReturnHost{Host: hostID(2), Session: 1})
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.wait(700)
		w.must(ReturnHost{Host: hostID(2), Session: 1})
		if e := w.lastEvent(); e.Message != "h2 is back after 700ms" || w.Host(hostID(2)).State != HostReady {
			t.Errorf("decision %+v", e)
		}
		w.checked()
	})
	t.Run("the first self-check passed makes a joining host ready", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.must(AdmitHost{Token: "tok", SecretHash: blob(32), Host: admission(2)})
		w.must(session(2, 1))
		report := func(seq uint64, checks ...Check) {
			w.must(Report{Host: hostID(2), Session: 1, Seq: seq, SelfCheck: checks})
		}
		report(1, Check{Name: "disk", Required: true}, Check{Name: "registry", OK: true})
		if w.Host(hostID(2)).State != HostJoining {
			t.Error("ready though a required check failed")
		}
		report(2, Check{Name: "disk", OK: true, Required: true}, Check{Name: "registry"})
		if h := w.Host(hostID(2)); h.State != HostReady || h.ReadyAt != w.at {
			t.Errorf("host %+v", h)
		}
		report(3, Check{Name: "disk", Required: true})
		if w.Host(hostID(2)).State != HostReady {
			t.Error("a later check that fails is reported, not obeyed")
		}
	})
	t.Run("forgetting a lost voter retires it when the others are a majority", func(t *testing.T) {
		w := fleetOf(t, 4)
		for n := 2; n <= 3; n++ {
			for _, phase := range []VoterPhase{VoterPreparing, VoterLearning, VoterVoting} {
				w.must(SetVoter{ID: MakeRaftID(hostID(n), 1), Phase: phase})
			}
		}
		w.must(SetVoter{ID: MakeRaftID(hostID(4), 1), Phase: VoterPreparing})
		w.refused(ForgetHost{Host: hostID(3), Force: true}, ErrConflict, "is heard")
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.must(SilenceHost{Host: hostID(3), Session: 1})
		w.refused(ForgetHost{Host: hostID(3)}, ErrConflict, "of the other 2 only 1 are heard")
		w.must(session(2, 2))
		w.must(ForgetHost{Host: hostID(3)})
		if v := w.Voter(MakeRaftID(hostID(3), 1)); v == nil || v.Phase != VoterRetiring || v.Since != w.at {
			t.Errorf("voter %+v", v)
		}
		w.must(SilenceHost{Host: hostID(4), Session: 1})
		w.must(ForgetHost{Host: hostID(4)}) // it never voted: no majority is at stake
		w.must(RemoveVoter{ID: MakeRaftID(hostID(3), 1)})
		w.must(RemoveVoter{ID: MakeRaftID(hostID(4), 1)})
		w.checked()
	})
	t.Run("forgetting the only voter is refused though it is silent", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(SilenceHost{Host: hostID(1), Session: 1})
		w.refused(ForgetHost{Host: hostID(1)}, ErrConflict, "no majority")
	})
	t.Run("forgetting is refused for a ready host without force, and for a voter", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.refused(ForgetHost{Host: hostID(2)}, ErrConflict, "ready")
		w.refused(ForgetHost{Host: hostID(1), Force: true}, ErrConflict, "is a voter (voting) and is heard")
		w.refused(ForgetHost{Host: "h-x"}, ErrNotFound, "h-x")
		w.must(ForgetHost{Host: hostID(2), Force: true})
		w.noop(ForgetHost{Host: hostID(2)})
		w.refused(CordonHost{Host: hostID(2)}, ErrForgotten, "h2")
	})
}

func TestCordon(t *testing.T) {
	w := fleetOf(t, 1)
	w.item(Item{Command: CordonHost{Host: hostID(1), Why: "noisy fan"}, By: "ada"})
	if e := w.lastEvent(); e.By != "ada" || e.Message != "h1 cordoned: noisy fan" {
		t.Errorf("decision %+v", e)
	}
	w.wait(5)
	w.noop(CordonHost{Host: hostID(1), Why: "another"})
	if c := w.Host(hostID(1)).Cordon; c.Why != "noisy fan" || c.By != "ada" {
		t.Errorf("cordon %+v", c)
	}
	w.must(UncordonHost{Host: hostID(1)})
	w.noop(UncordonHost{Host: hostID(1)})
	w.refused(CordonHost{Host: hostID(1), Why: "a\nb"}, ErrInvalid, "why")
}

func TestRevokeCert(t *testing.T) {
	w := fleetOf(t, 2)
	w.must(RevokeCert{Host: hostID(2)})
	w.noop(RevokeCert{Host: hostID(2)})
	w.refused(RevokeCert{Host: "h-x"}, ErrNotFound, "h-x")
}
