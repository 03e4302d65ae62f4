package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

func TestAHostFollowsItsPartOfState(t *testing.T) {
	r := newRig(t)
	h := r.join("h2", r.agents[0]).host().up()
	r.ready(h)
	ids := r.run(h, 3)
	h.up()
	if got := h.wanted(); len(got.Tasks) != 3 || len(got.TaskDefs) != 1 {
		t.Errorf("holds %+v", got)
	}
	r.must(fleet.StopTasks{Tasks: ids[:1], Cause: fleet.CauseOperator, Reason: "test"})
	h.up()
	if got := h.wanted().Tasks[slices.IndexFunc(h.wanted().Tasks,
		func(t fleet.WantedTask) bool { return t.ID == ids[0] })]; got.Desired != fleet.TaskStopped {
		t.Errorf("first task is wanted %s", got.Desired)
	}
	h.link.Report(fleet.Report{Session: h.session(), Seq: 50,
		Tasks: []fleet.TaskReport{{Task: ids[0], Status: fleet.TaskStopped, Health: fleet.HealthUnknown,
			StopCode: fleet.StopUserInitiated}}})
	h.is("told that its report is committed", func() (ok bool) {
		h.note(func() { ok = slices.Contains(h.acks, 50) })
		return ok
	})
	if got := r.cluster.state().Task(ids[0]); got.Last != fleet.TaskStopped {
		t.Errorf("State has %s", got.Last)
	}
	h.up()
	if got := h.wanted(); len(got.Tasks) != 2 {
		t.Errorf("holds %d tasks after one stopped", len(got.Tasks))
	}
	h.note(func() {
		if h.snapshots != 1 || h.deltas < 3 {
			t.Errorf("%d snapshots and %d deltas: changes should come as deltas", h.snapshots, h.deltas)
		}
	})
}

func TestAStreamResumesByIndex(t *testing.T) {
	_, agents := three(t)
	r := agents[0].r
	h := r.join("h4", agents[0]).host().up()
	r.ready(h)
	r.run(h, 5)
	h.up()
	var before int
	h.note(func() { before = h.snapshots })
	from := h.link.Status().Voter
	// Its voter goes; nothing of its part changes meanwhile.
	for _, a := range agents[:3] {
		if a.id() == from {
			if a == agents[0] {
				r.cluster.lead(agents[1].id())
			}
			a.kill()
		}
	}
	h.is("up with another voter", func() bool { s := h.link.Status(); return s.Up && s.Voter != from })
	beats := func() (n int) { h.note(func() { n = h.beats }); return n }
	had := beats()
	h.is("hearing beats", func() bool { return beats() > had })
	h.note(func() {
		if h.snapshots != before {
			t.Errorf("%d snapshots, had %d: nothing had changed", h.snapshots, before)
		}
	})
	h.up()
}

func TestAStreamThatMissedSomethingBeginsWithASnapshot(t *testing.T) {
	r, agents := three(t)
	h := r.join("h4", agents[0]).host().up()
	r.ready(h)
	r.run(h, 2)
	h.up()
	from := h.link.Status().Voter
	h.stop()
	// The stream is cut and the part changes while nobody follows it.
	r.run(h, 3)
	again := h.a.hostWith(2).up()
	if got := again.wanted(); len(got.Tasks) != 5 {
		t.Errorf("holds %d tasks, want 5 (was with %s)", len(got.Tasks), from)
	}
	again.note(func() {
		if again.snapshots != 1 {
			t.Errorf("%d snapshots, want 1", again.snapshots)
		}
	})
}

func TestFramesCarryWhatStopEvidenceNeeds(t *testing.T) {
	r := newRig(t)
	h := r.join("h2", r.agents[0]).host().up()
	first := h.session()
	w := h.wanted()
	if w.Session != first || w.Fleet != r.cluster.state().Fleet().ID || w.Epoch != r.cluster.state().Fleet().Epoch {
		t.Errorf("frame of %+v, session %d", w, first)
	}
	h.stop()
	again := h.a.hostWith(2).up()
	if got := again.session(); got != first+1 {
		t.Errorf("second life has session %d, want %d", got, first+1)
	}
	if got := again.wanted().Session; got != first+1 {
		t.Errorf("frames are of session %d", got)
	}
}

func TestOfTwoAgentsOfOneMachineTheNewerWins(t *testing.T) {
	r := newRig(t)
	a := r.join("h2", r.agents[0])
	first := a.host().up()
	second := a.hostWith(9).up()
	if second.session() <= first.session() {
		t.Errorf("sessions %d and %d", first.session(), second.session())
	}
	if n := r.cloneEvents(); n != 0 {
		t.Errorf("%d events of a clone", n)
	}
	first.is("told that its session is over", func() (ok bool) {
		first.note(func() {
			ok = slices.ContainsFunc(first.lost, func(why string) bool { return why != "" })
		})
		return ok
	})
}

// cloneEvents counts the events that ask about a cloned disk.
func (r *rig) cloneEvents() (n int) {
	for e := range r.cluster.state().EventsAfter(0) {
		if e.Code == "host-cloned" {
			n++
		}
	}
	return n
}

// The original streams from one voter, and its clone asks the others.
func TestACloneIsRefusedByEveryVoterWhileTheOriginalIsHeard(t *testing.T) {
	r, agents := three(t)
	a := r.join("h4", agents[0])
	original := a.host().up()
	session := original.session()
	clone := fleet.OpenSession{
		Host: a.id(), Boot: "boot-clone", Addr: netip.MustParseAddrPort("127.0.0.9:7"), Zone: "a",
		Capacity: fleet.Resources{CPU: 4096, Memory: 8192}, Nonce: 1 << 40,
	}
	for try := range 6 {
		clone.Nonce++
		asked := agents[try%3]
		var err error
		eventually(t, "the leader knows who is heard", func() string { return fmt.Sprint(err) }, func() bool {
			err = a.port.call(t.Context(), asked.id(), PathSession, clone, nil)
			return !errors.Is(err, ErrBusy)
		})
		if !errors.Is(err, ErrCloned) || !strings.Contains(err.Error(), a.addr().String()) ||
			!strings.Contains(err.Error(), clone.Addr.String()) {
			t.Fatalf("%s answers the clone: %v", asked.name, err)
		}
	}
	row := r.cluster.state().Host(a.id())
	if row.Session.N != session || row.Addr != a.addr() || original.link.Status().Session != session ||
		!original.link.Status().Up {
		t.Errorf("host %+v, link %+v", row, original.link.Status())
	}
	if c := row.ClonedNow(r.cluster.state().Now()); c == nil || c.Addr != clone.Addr {
		t.Errorf("clone %+v", row.Clone)
	}
	if n := r.cloneEvents(); n != 1 {
		t.Errorf("%d events of a clone, want one", n)
	}
	// The original falls silent without a word: the other machine is let in.
	original.stop()
	second := a.machineWith(1<<41, clone.Boot, clone.Addr).up()
	if second.session() != session+1 {
		t.Errorf("session %d, want %d", second.session(), session+1)
	}
}

func TestAMachineThatRebootedIsLetInAtOnce(t *testing.T) {
	r := newRig(t)
	a := r.join("h2", r.agents[0])
	a.host().up().stop()
	again := a.machineWith(9, "boot-again", a.addr()).up()
	if n := r.cloneEvents(); n != 0 || again.session() != 2 {
		t.Errorf("session %d, %d events of a clone", again.session(), n)
	}
}

func TestAHostWhoseClockWasWrongOpensASessionAnyway(t *testing.T) {
	r := newRig(t)
	a := r.join("h2", r.agents[0])
	a.hostWith(1 << 62).up().stop()
	a.hostWith(5).up()
}

func TestAVoterThatIsBehindIsLeftAndCaughtUpWithIsServed(t *testing.T) {
	r, agents := three(t)
	h := r.join("h4", agents[0]).host().up()
	r.ready(h)
	for _, a := range agents[1:3] {
		a.log.Load().held.Store(r.cluster.state())
	}
	r.run(h, 3)
	// h1 alone knows; whoever h4 streams from, it must end with h1 or wait for the
	// others, never accept less.
	if h.link.Status().Voter != agents[0].id() {
		for _, a := range agents[1:3] {
			a.log.Load().held.Store(nil)
		}
	}
	h.up()
	index := h.wanted().Index
	for _, a := range agents[1:3] {
		a.log.Load().held.Store(nil)
	}
	r.run(h, 1)
	h.up()
	if got := h.wanted().Index; got <= index {
		t.Errorf("index went from %d to %d", index, got)
	}
}

func TestACapacityReportRidesTheStream(t *testing.T) {
	r := newRig(t)
	seen := make(chan fleet.CapacityReport, 10)
	r.agents[0].port.cfg.Reported = func(c fleet.CapacityReport) { seen <- c }
	a := r.join("h2", r.agents[0])
	a.host().up()
	select {
	case got := <-seen:
		if got.Host != a.id() {
			t.Errorf("report of %s", got.Host)
		}
	case <-time.After(waitTime):
		t.Error("no report came")
	}
	select {
	case got := <-seen:
		t.Errorf("the same report came again: %+v", got)
	case <-time.After(3 * protocol.HostBeat):
	}
}

func TestALinkTellsTheNonceOfItsSession(t *testing.T) {
	r := newRig(t)
	a := r.join("h2", r.agents[0])
	h := a.host().up()
	inState := func() uint64 { return r.cluster.state().Host(a.id()).Session.Nonce }
	if got := h.link.Status().Nonce; got == 0 || got != inState() {
		t.Fatalf("got nonce %d, State has %d", got, inState())
	}
	// A clone that ran for a while has raised it; the link asks for it.
	row := r.cluster.state().Host(a.id())
	r.must(fleet.OpenSession{
		Host: a.id(), Boot: "boot-clone", Nonce: 1000, Addr: row.Addr, Zone: row.Zone, Capacity: row.Capacity,
	})
	eventually(t, "the host has a session again", func() string { return fmt.Sprint(h.link.Status()) }, func() bool {
		got := h.link.Status()
		return got.Nonce > 1000 && got.Nonce == inState() && got.Session == r.cluster.state().Host(a.id()).Session.N
	})
}

// The leader plans from what rides streams to other voters too.
func TestCapacityReportsReachTheLeaderWithTheAges(t *testing.T) {
	r := newRig(t)
	leader := r.agents[0]
	seen := make(chan fleet.CapacityReport, 100)
	leader.port.cfg.Reported = func(c fleet.CapacityReport) { seen <- c }
	voter := r.join("h2", leader)
	r.promote(voter, leader)
	ages := detector.Ages{Seq: 1, Full: true, Reports: []fleet.CapacityReport{
		{Host: "h-9", Nonce: 4, Seq: 2, Runtime: strings.Repeat("x", 500)},
	}}
	var ack detector.AgesAck
	if err := voter.port.call(t.Context(), leader.id(), PathAges, ages, &ack); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-seen:
		if got.Host != "h-9" || got.Nonce != 4 || len(got.Runtime) != fleet.MaxReportLongText {
			t.Errorf("got %+v", got)
		}
	case <-time.After(waitTime):
		t.Error("no report came")
	}
}
