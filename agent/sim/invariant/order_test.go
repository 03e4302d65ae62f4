package invariant

import (
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestTheLogHasOneLeaderAtATime(t *testing.T) {
	tell(t, []story{
		{"terms rise", "", func(r *rig) {
			r.c.Elected("h1.1", 1)
			r.term = 2
			r.c.Elected("h2.1", 2)
			r.do(fleet.CordonHost{Host: "h1"})
		}},
		{"an entry of an older term comes after a newer one", "I9", func(r *rig) {
			r.term = 2
			r.do(fleet.CordonHost{Host: "h1"})
			r.term = 1
			r.do(fleet.UncordonHost{Host: "h1"})
		}},
		{"two leaders of one term", "I9", func(r *rig) {
			r.c.Elected("h1.1", 3)
			r.c.Elected("h2.1", 3)
		}},
		{"two votes in one term", "I9", func(r *rig) {
			r.c.Voted("h1.1", 3, "h2.1")
			r.c.Voted("h1.1", 3, "h3.1")
		}},
		{"a vote again for the same", "", func(r *rig) {
			r.c.Voted("h1.1", 3, "h2.1")
			r.c.Voted("h1.1", 3, "h2.1")
		}},
		{"a wiped disk votes", "I9", func(r *rig) {
			r.c.Wiped("h1.1")
			r.c.Voted("h1.1", 4, "h2.1")
		}},
		{"a voter's new log has a new id", "",
			func(r *rig) { r.do(fleet.SetVoter{ID: "h2.1", Phase: fleet.VoterPreparing}) }},
		{"a voter's new log has an id that was there before", "I9", func(r *rig) {
			r.c.setVoter("", fleet.SetVoter{ID: "h1.1", Phase: fleet.VoterPreparing})
		}},
		{"a report of an old session is refused by State", "", func(r *rig) {
			r.open("h1", "boot-1")
			r.commit(fleet.Item{Command: fleet.Report{Host: "h1", Session: 1, Seq: 99}})
		}},
		{"a report that was sent in this session", "", func(r *rig) {
			r.c.ReportSent("h1", 1, 2)
			r.do(fleet.Report{Host: "h1", Session: 1, Seq: 2})
		}},
		{"a report that nobody sent in this session", "I9", func(r *rig) {
			r.c.ReportSent("h1", 1, 40)
			r.c.ReportSent("h1", 2, 1)
			r.open("h1", "boot-1")
			if len(r.broken) > 0 {
				r.t.Fatalf("broken too early: %v", r.broken)
			}
			r.do(fleet.Report{Host: "h1", Session: 2, Seq: 41})
		}},
		{"a report of an old session is taken in", "I9", func(r *rig) {
			r.open("h1", "boot-1")
			r.c.fence(r.c.model.hosts["h1"], fleet.Report{Host: "h1", Session: 1, Seq: 99})
		}},
	})
}

func TestHostsObeyTheNewestIntent(t *testing.T) {
	tell(t, []story{
		{"indices rise", "", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 3)
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 3)
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
		}},
		{"a new session may know less", "", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
			r.c.FrameAccepted(r.machine("h1"), 2, 1, 4)
		}},
		{"an older intent", "I9", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 4)
		}},
		{"a higher index of an older epoch", "I9", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 2, 3)
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
		}},
		{"what was never committed", "I9", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, r.s.Index()+1)
		}},
	})
}

func TestHostsServeOnlyWhatTheyAccepted(t *testing.T) {
	tell(t, []story{
		{"what was accepted last", "", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
			r.c.Served("h1", fleet.ServedAt(1, 5))
			r.c.Served("h1", fleet.ServedAt(1, 4))
		}},
		{"what was accepted in the session before", "", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
			r.c.FrameAccepted(r.machine("h1"), 2, 1, 4)
			r.c.Served("h1", fleet.ServedAt(1, 5))
		}},
		{"more than was accepted", "I9", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
			r.c.Served("h1", fleet.ServedAt(1, 6))
		}},
		{"more of one part", "I9", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
			r.c.Served("h1", fleet.Served{Epoch: 1, Tasks: 5, Orders: 6})
		}},
		{"an epoch to come", "I9", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
			r.c.Served("h1", fleet.ServedAt(2, 1))
		}},
		{"what another host accepted", "I9", func(r *rig) {
			r.c.FrameAccepted(r.machine("h1"), 1, 1, 5)
			r.c.Served("h2", fleet.ServedAt(1, 5))
		}},
	})
}

func TestAcknowledgedWritesStay(t *testing.T) {
	receipt := &fleet.Receipt{Token: "abc", BodyHash: make([]byte, 32)}
	run := func(r *rig, id fleet.TaskID) Ack {
		res := r.commit(fleet.Item{Command: fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{id}}, By: "operator",
			Receipt: receipt})[0]
		if res.Err != nil {
			r.t.Fatal(res.Err)
		}
		return Ack{Index: r.s.Index(), Token: "abc", IDs: res.IDs, What: "run"}
	}
	tell(t, []story{
		{"a write, its retry, and both answers", "", func(r *rig) {
			r.c.Acked(run(r, "one"))
			r.c.Acked(run(r, "two"))
			r.c.FinalLog(func(Ack) bool { return true })
		}},
		{"an answer before the commit", "I11", func(r *rig) {
			r.c.Acked(Ack{Index: r.s.Index() + 1, What: "scale"})
		}},
		{"an answer that is not the log's", "I11", func(r *rig) {
			a := run(r, "one")
			a.IDs = []string{"two"}
			r.c.Acked(a)
		}},
		{"a write that the final log lacks", "I11", func(r *rig) {
			r.c.Acked(run(r, "one"))
			r.c.FinalLog(func(Ack) bool { return false })
		}},
		{"a token has two effects", "I11", func(r *rig) {
			twice := fleet.Item{Command: fleet.CordonHost{Host: "h1"}, Receipt: receipt}
			r.commit(twice)
			r.s.Receipt("abc").Index++ // as if State had carried the retry out
			r.commit(twice)
		}},
	})
}

func TestDeathsAreTrue(t *testing.T) {
	silence := func(r *rig) { r.by("hosts", fleet.SilenceHost{Host: "h2", Session: 1}) }
	tell(t, []story{
		{"a host without power", "", func(r *rig) {
			r.pass(time.Minute)
			r.c.HostCondition("h2", virtual.Off)
			silence(r)
		}},
		{"a host that no majority hears", "", func(r *rig) {
			r.pass(time.Minute)
			r.c.Linked("h2", 1, 3)
			silence(r)
		}},
		{"a host that was disturbed until a moment ago", "", func(r *rig) {
			r.c.Disturbed("h2", 55*time.Second)
			r.pass(time.Minute)
			silence(r)
		}},
		{"a host that is in trouble", "", func(r *rig) {
			r.c.SetFaults("h2", true)
			r.pass(time.Hour)
			silence(r)
		}},
		{"a host that ailed long ago", "silence", func(r *rig) {
			r.c.SetFaults("h2", true)
			r.pass(time.Hour)
			r.c.SetFaults("h2", false)
			r.pass(10 * time.Second)
			silence(r)
		}},
		{"a fleet that is in trouble", "", func(r *rig) {
			r.c.AllFaulty(true)
			r.pass(time.Hour)
			silence(r)
		}},
		{"a fleet that was disturbed until a moment ago", "", func(r *rig) {
			r.c.AllDisturbed(55 * time.Second)
			r.pass(time.Minute)
			silence(r)
		}},
		{"a host that came up a moment ago", "", func(r *rig) {
			r.pass(9 * time.Second)
			silence(r)
		}},
		{"a host that is well", "silence", func(r *rig) {
			r.pass(10 * time.Second)
			silence(r)
		}},
		{"a host that is well again is lost", "silence", func(r *rig) {
			r.c.HostCondition("h2", virtual.Frozen)
			silence(r)
			r.c.HostCondition("h2", virtual.Up)
			r.pass(5 * time.Minute)
			r.by("hosts", fleet.LoseHost{Host: "h2", Session: 1})
		}},
		{"a host is lost after five minutes", "", func(r *rig) {
			r.c.HostCondition("h2", virtual.Off)
			silence(r)
			r.pass(5 * time.Minute)
			r.by("hosts", fleet.LoseHost{Host: "h2", Session: 1}, fleet.ExpireTasks{Host: "h2"})
		}},
		{"a host is lost too early", "silence", func(r *rig) {
			r.c.HostCondition("h2", virtual.Off)
			silence(r)
			r.c.silentLongEnough(r.c.model.hosts["h2"])
		}},
		{"tasks of a host expire that is not lost", "silence", func(r *rig) {
			r.c.expireTasks(fleet.ExpireTasks{Host: "h2"})
		}},
	})
}
