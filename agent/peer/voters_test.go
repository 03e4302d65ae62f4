package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/intake"
	"skein/agent/peer/protocol"
	"skein/agent/peer/rpc"
	"skein/agent/plan"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
)

func setting(n int64) fleet.Item {
	return fleet.Item{Command: fleet.PutSetting{Name: "voters", Value: n}, By: "operator"}
}

func TestAProposalReachesTheLeaderFromAnyVoter(t *testing.T) {
	r, agents := three(t)
	for _, a := range agents {
		results, index, err := a.port.Propose(t.Context(),
			[]fleet.Item{setting(5), {Command: fleet.PutSetting{Name: "nonsense", Value: 1}}})
		if err != nil || len(results) != 2 || results[0].Err != nil || index != r.cluster.state().Index() {
			t.Fatalf("%s: %+v at %d: %v", a.name, results, index, err)
		}
		// A refusal keeps its sentinel and its field on the way back.
		wantErr(t, results[1].Err, fleet.ErrInvalid)
		var field *fleet.FieldError
		if !errors.As(results[1].Err, &field) || field.Field == "" {
			t.Errorf("%s: refusal is %#v", a.name, results[1].Err)
		}
	}
	_, _, err := r.join("h4", agents[0]).port.Propose(t.Context(), []fleet.Item{setting(3)})
	wantErr(t, err, ErrNotHere)
}

func TestAProposalWaitsThroughAnElection(t *testing.T) {
	r, agents := three(t)
	r.cluster.lead("")
	done := make(chan error, 1)
	go func() {
		_, _, err := agents[1].port.Propose(t.Context(), []fleet.Item{setting(5)})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(4 * intake.ProposePause):
	}
	r.cluster.lead(agents[2].id())
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(waitTime):
		t.Error("it still waits")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*intake.ProposePause)
	defer cancel()
	r.cluster.lead("")
	_, _, err := agents[1].port.Propose(ctx, []fleet.Item{setting(5)})
	wantErr(t, err, ErrNoLeader)
}

func TestALeaderThatIsGoneIsNotAnUnknownOutcome(t *testing.T) {
	r, agents := three(t)
	agents[0].kill() // still the leader, for all the others know
	// A request on a connection that has just died may have been read: that would
	// be unknown, and rightly.
	agents[1].port.client.CloseIdle()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, _, err := agents[1].port.Propose(ctx, []fleet.Item{setting(5)})
	wantErr(t, err, ErrNoLeader)
	if errors.Is(err, ErrUnknown) {
		t.Error("nothing was sent, so nothing can have been done")
	}
	r.cluster.lead(agents[1].id())
	if _, _, err := agents[2].port.Propose(t.Context(), []fleet.Item{setting(5)}); err != nil {
		t.Error(err)
	}
}

func TestAVoterThatIsTakenForTheLeaderDoesNotPassProposalsOn(t *testing.T) {
	_, agents := three(t)
	err := agents[0].port.call(t.Context(), agents[1].id(), PathPropose, mustEntry(t, setting(5)), nil)
	wantErr(t, err, ErrNotLeader)
	for name, body := range map[string][]byte{"nothing": {}, "garbage": {9, 9}, "no commands": mustEntry(t)} {
		err := agents[1].port.call(t.Context(), agents[0].id(), PathPropose, body, nil)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		err = agents[1].port.call(t.Context(), agents[0].id(), PathRelay, relayed{Left: 1, Entry: body}, nil)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, relayed: %v", name, err)
		}
	}
}

func TestAProposalOfUnknownOutcomeIsNotProposedAgain(t *testing.T) {
	r, agents := three(t)
	agents[0].log.Load().mute.Store(true)
	for name, from := range map[string]*rigAgent{"by the leader itself": agents[0], "forwarded": agents[1]} {
		t.Run(name, func(t *testing.T) {
			before := r.cluster.state().Index()
			ctx, cancel := context.WithTimeout(t.Context(), 10*intake.ProposePause)
			defer cancel()
			_, _, err := from.port.Propose(ctx, []fleet.Item{setting(5)})
			wantErr(t, err, ErrUnknown)
			if rpc.NotDone(err) {
				t.Errorf("%v is taken for surely not done", err)
			}
			if got := r.cluster.state().Index() - before; got != 1 {
				t.Errorf("it was committed %d times", got)
			}
		})
	}
}

func TestReportsAreGatheredIntoFewEntries(t *testing.T) {
	var mu sync.Mutex
	var batches []int
	b := newBatcher(func(_ context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
		mu.Lock()
		defer mu.Unlock()
		batches = append(batches, len(items))
		results := make([]fleet.Result, len(items))
		for i, item := range items {
			results[i].Dropped = int(item.Command.(fleet.Report).Seq)
		}
		return results, 7, nil
	}, func() bool { return true }, clock.System())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.run(ctx) }()
	const n = 1000
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			result, index, err := b.add(ctx, fleet.Item{Command: fleet.Report{Seq: uint64(i)}}, 100)
			if err != nil || index != 7 || result.Dropped != i {
				t.Errorf("report %d got %+v at %d: %v", i, result, index, err)
			}
		})
	}
	all.Wait()
	cancel()
	<-done
	total := 0
	for _, size := range batches {
		total += size
		if size > intake.GatherItems {
			t.Errorf("a batch of %d", size)
		}
	}
	if total != n || len(batches) > n/10 {
		t.Errorf("%d reports in %d entries", total, len(batches))
	}
}

func TestABatchThatFailsTellsAllAndWhatNobodyWaitsForIsNotWritten(t *testing.T) {
	var calls atomic.Int64
	b := newBatcher(func(_ context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
		calls.Add(int64(len(items)))
		return nil, 0, ErrStalled
	}, func() bool { return true }, clock.System())
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, _, err := b.add(gone, fleet.Item{Command: fleet.Report{}}, 1); !errors.Is(err, ErrUnknown) {
		t.Errorf("its caller has gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.run(ctx) }()
	_, _, err := b.add(ctx, fleet.Item{Command: fleet.Report{}}, 1)
	wantErr(t, err, ErrStalled)
	if calls.Load() != 1 {
		t.Errorf("%d items were proposed, want the one that somebody waits for", calls.Load())
	}
	cancel()
	<-done
}

func TestABatchThatWasSentToNobodyIsNotParted(t *testing.T) {
	b := newBatcher(func(context.Context, []fleet.Item) ([]fleet.Result, uint64, error) {
		return nil, 0, &rpc.NotSentError{Err: errors.New("no route")}
	}, func() bool { return true }, clock.System())
	got := b.commit(t.Context(), intake.Propose{Items: make([]fleet.Item, 2)}).(intake.Committed)
	if !errors.Is(got.Err, ErrNoLeader) || !rpc.NotSent(got.Err) {
		t.Errorf("told as %v, want one that says nothing of the batch", got.Err)
	}
}

func TestAReportFindsAnotherVoter(t *testing.T) {
	r, agents := three(t)
	h := r.join("h4", agents[0]).host().up()
	r.ready(h)
	ids := r.run(h, 1)
	h.up()
	voter := h.link.Status().Voter // read once: the link moves to another as soon as this one is gone
	for i, a := range agents[:3] {
		if a.id() == voter {
			r.cluster.lead(agents[(i+1)%3].id())
			a.kill()
		}
	}
	h.link.Report(fleet.Report{Session: h.session(), Seq: 9,
		Tasks: []fleet.TaskReport{{Task: ids[0], Status: fleet.TaskRunning, Health: fleet.HealthUnknown}}})
	h.is("told that its report is committed", func() (ok bool) {
		h.note(func() { ok = slices.Contains(h.acks, 9) })
		return ok
	})
	if got := r.cluster.state().Task(ids[0]).Last; got != fleet.TaskRunning {
		t.Errorf("State has %s", got)
	}
	// The same again is acknowledged and costs no entry.
	before := r.cluster.state().Index()
	h.link.Report(fleet.Report{Session: h.session(), Seq: 9})
	h.is("told so again", func() (ok bool) {
		h.note(func() { ok = len(h.acks) == 2 })
		return ok
	})
	if got := r.cluster.state().Index(); got != before {
		t.Errorf("index went from %d to %d", before, got)
	}
}

func TestAVoterIsMadeAndUnmade(t *testing.T) {
	r := newRig(t)
	leader, a := r.agents[0], r.join("h2", r.agents[0])
	if _, err := a.identity.FleetKey(); !errors.Is(err, trust.ErrNoFleetKey) {
		t.Fatalf("a worker has the fleet key: %v", err)
	}
	err := leader.port.PrepareVoter(t.Context(), fleet.MakeRaftID(a.id(), 1))
	wantErr(t, err, fleet.ErrNotFound) // no voter row: the key stays
	id := r.promote(a, leader)
	if _, err := a.port.Issuer().Grant(a.id(), a.identity.Certificate().Leaf.PublicKey, r.clock.Now()); err != nil {
		t.Errorf("the new voter cannot sign: %v", err)
	}
	if got, err := leader.port.CommitIndex(t.Context(), a.id()); err != nil || got.Commit != r.cluster.state().Index() {
		t.Errorf("its commit index: %+v, %v", got, err)
	}
	if err := leader.port.PrepareVoter(t.Context(), id); err != nil {
		t.Errorf("again: %v", err)
	}
	// A host that streams from it is told to look elsewhere when it retires.
	h := r.join("h3", leader).host().up()
	r.must(fleet.SetVoter{ID: id, Phase: fleet.VoterRetiring})
	if err := leader.port.RetireVoter(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := a.identity.FleetKey(); !errors.Is(err, trust.ErrNoFleetKey) {
		t.Errorf("the retired voter keeps the fleet key: %v", err)
	}
	if !slices.Equal(a.retired, []fleet.RaftID{id}) {
		t.Errorf("retired %v", a.retired)
	}
	r.must(fleet.RemoveVoter{ID: id})
	h.is("with the voter that is left", func() bool { s := h.link.Status(); return s.Up && s.Voter == leader.id() })
	a.lines.has(t, "voter prepared", string(id))
	a.lines.has(t, "voter retired", string(id))
}

func TestAVoterSaysThatItsDiskStalls(t *testing.T) {
	_, agents := three(t)
	for _, stalled := range []bool{false, true} {
		agents[1].log.Load().stalled.Store(stalled)
		got, err := agents[0].port.CommitIndex(t.Context(), agents[1].id())
		if err != nil || got.Stalled != stalled || (got.Trouble != "") != stalled {
			t.Errorf("stalled %v: it says %+v, %v", stalled, got, err)
		}
	}
}

func TestAHandOverIsRefused(t *testing.T) {
	r := newRig(t)
	leader, a := r.agents[0], r.join("h2", r.agents[0])
	foreign := newRig(t)
	key, err := leader.identity.FleetKey()
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := foreign.agents[0].identity.FleetKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed := r.cluster.state().Fleet().SealedKeys
	tests := map[string]struct {
		path string
		body any
		want error
	}{
		"of another host's raft id": {PathPrepare, handover{RaftID: fleet.MakeRaftID("h-other", 1), FleetKey: key,
			Sealed: sealed}, ErrForbidden},
		"with another fleet's key": {PathPrepare, handover{RaftID: fleet.MakeRaftID(a.id(), 1), FleetKey: wrong,
			Sealed: sealed}, trust.ErrSealed},
		"with a key and its own seal": {PathPrepare, handover{RaftID: fleet.MakeRaftID(a.id(), 1), FleetKey: wrong,
			Sealed: foreign.cluster.state().Fleet().SealedKeys}, trust.ErrSealed},
		"retiring another host's id": {PathRetire, retirement{RaftID: fleet.MakeRaftID("h-other", 1)}, ErrForbidden},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantErr(t, leader.port.call(t.Context(), a.id(), tt.path, tt.body, nil), tt.want)
			if _, err := a.identity.FleetKey(); !errors.Is(err, trust.ErrNoFleetKey) {
				t.Errorf("it has a fleet key: %v", err)
			}
			if a.currentLog() != nil || len(a.retired) != 0 {
				t.Error("its hooks were called")
			}
		})
	}
}

func TestRaftIsForVotersOnly(t *testing.T) {
	r, agents := three(t)
	worker := r.join("h4", agents[0])
	lane := agents[0].port.Raft()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := lane.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	conn, err := agents[1].port.DialRaft(t.Context(), agents[0].id())
	if err != nil {
		t.Fatal(err)
	}
	other := <-accepted
	if _, err = conn.Write([]byte("raft")); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4)
	if _, err = other.Read(text); err != nil || string(text) != "raft" {
		t.Errorf("read %q: %v", text, err)
	}
	_, _ = conn.Close(), other.Close()

	conn, err = worker.port.DialRaft(t.Context(), agents[0].id())
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if err == nil {
		t.Error("a worker speaks raft")
	}
	agents[0].lines.has(t, "peer connection refused", "reason=not-voter")
	_, err = agents[1].port.DialRaft(t.Context(), worker.id())
	wantErr(t, err, trust.ErrNotVoter)

	_ = lane.Close()
	if _, open := <-accepted; open {
		t.Error("the worker's connection was accepted")
	}
	// With nobody there, a voter's connection is refused, and taken again later.
	before := agents[0].port.Counts()["not-served"]
	if conn, err = agents[1].port.DialRaft(t.Context(), agents[0].id()); err == nil {
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
		if err == nil {
			t.Error("a lane nobody serves answers")
		}
	}
	agents[0].counts(t, "not-served", before+1)
	again := agents[0].port.Raft()
	defer again.Close()
	conn, err = agents[1].port.DialRaft(t.Context(), agents[0].id())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn, err := again.Accept(); err != nil {
		t.Error(err)
	} else {
		_ = conn.Close()
	}
}

func TestARaftConnectionEndsWithItsVoter(t *testing.T) {
	r, agents := three(t)
	lane := agents[0].port.Raft()
	defer lane.Close()
	conn, err := agents[1].port.DialRaft(t.Context(), agents[0].id())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := lane.Accept(); err != nil {
		t.Fatal(err)
	}
	id := fleet.MakeRaftID(agents[1].id(), 1)
	r.must(fleet.SetVoter{ID: id, Phase: fleet.VoterRetiring})
	if err := conn.SetReadDeadline(time.Now().Add(4 * protocol.WatchEvery)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a retiring voter still speaks raft: %v", err)
	}
	r.must(fleet.RemoveVoter{ID: id})
	if err := conn.SetReadDeadline(time.Now().Add(waitTime)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the removed voter's connection is open: %v", err)
	}
	agents[0].counts(t, "raft-ended", 1)
}

func (a *rigAgent) liveness(host fleet.HostID) plan.HostLiveness {
	return a.port.FailureDetector().Liveness().Hosts[host]
}

func (a *rigAgent) sees(t *testing.T, host fleet.HostID, want plan.Liveness) time.Duration {
	t.Helper()
	start := time.Now()
	eventually(t, fmt.Sprintf("%s sees %s as %d", a.name, host, want),
		func() string { return fmt.Sprintf("%+v", a.liveness(host)) }, func() bool {
			return a.liveness(host).Liveness == want
		})
	return time.Since(start)
}

func TestTheLeaderTellsADeadAgentFromADeadMachine(t *testing.T) {
	r, agents := three(t)
	h := r.join("h4", agents[0]).host().up()
	r.ready(h)
	for _, a := range agents[:3] {
		r.ready(a.host().up())
	}
	for _, a := range r.agents {
		agents[0].sees(t, a.id(), plan.LivenessAlive)
	}
	// The agent dies: its kernel refuses.
	addr := h.a.raw.Addr().String()
	h.stop()
	h.a.kill()
	if took := agents[0].sees(t, h.a.id(), plan.LivenessRefused); took > 3*time.Second {
		t.Errorf("refused after %s", took)
	}
	// The machine dies: nothing answers any more.
	for _, a := range agents[:3] {
		a.cut.Store(&addr)
	}
	agents[0].sees(t, h.a.id(), plan.LivenessSilent)
	for _, a := range agents[:3] {
		if got := agents[0].liveness(a.id()); got.Liveness != plan.LivenessAlive {
			t.Errorf("%s is %+v", a.name, got)
		}
	}
	// Another leader learns it from the others.
	r.cluster.lead(agents[1].id())
	agents[1].sees(t, h.a.id(), plan.LivenessSilent)
	if got := agents[1].liveness(h.a.id()); got.Age >= 0 && got.Age < time.Second {
		t.Errorf("the new leader restarted the clock: %+v", got)
	}
	if got := len(agents[0].port.FailureDetector().Liveness().Hosts); got != 0 {
		t.Errorf("the old leader still sees %d hosts", got)
	}
}

func TestAVoterKnowsHowOldItsLeaderIs(t *testing.T) {
	r, agents := three(t)
	if got := agents[0].port.LeaderAge(); got != 0 {
		t.Errorf("the leader's own: %s", got)
	}
	eventually(t, "h2 knows a fresh leader", func() string { return agents[1].port.LeaderAge().String() }, func() bool {
		age := agents[1].port.LeaderAge()
		return age >= 0 && age < 2*protocol.AgesEvery
	})
	r.cluster.lead("")
	if age := agents[0].port.LeaderAge(); age < 0 || age > time.Minute {
		t.Errorf("who led until now has known no leader for %s", age)
	}
	eventually(t, "its age grows", func() string { return agents[1].port.LeaderAge().String() }, func() bool {
		return agents[1].port.LeaderAge() > 4*protocol.AgesEvery
	})
}

func TestAVoterThatHoldsLessThanItsLeaderToldIsNotFresh(t *testing.T) {
	r, agents := three(t)
	age := func() time.Duration { return agents[1].port.LeaderAge() }
	fresh := func() bool { return age() >= 0 && age() < 2*protocol.AgesEvery }
	eventually(t, "h2 is fresh", func() string { return age().String() }, fresh)
	agents[1].log.Load().held.Store(r.cluster.state()) // nothing is applied from here on
	r.must(setting(5).Command)
	eventually(t, "its age grows though the leader answers", func() string { return age().String() },
		func() bool { return age() > 4*protocol.AgesEvery })
	agents[1].log.Load().held.Store(nil)
	eventually(t, "h2 is fresh again", func() string { return age().String() }, fresh)
}

func TestAVoterThatLedIsAsOldAsItsLeadership(t *testing.T) {
	r, agents := three(t)
	eventually(t, "h1 has led for a while", func() string { return "" }, func() bool {
		return agents[0].port.detector.fresh.Age(0, 0) >= 0
	})
	r.cluster.lead("")
	if age := agents[0].port.LeaderAge(); age < 0 || age > waitTime {
		t.Errorf("it led a moment ago, and is %s old", age)
	}
}

func TestAHostLeavesAVoterWhoseLogStalls(t *testing.T) {
	t.Parallel()
	r, _ := threeInMemory(t)
	h := r.join("h4", r.agents[0]).host().up()
	stalled := r.agentOf(h.link.Status().Voter)
	others := slices.DeleteFunc(slices.Clone(r.agents[:3]), func(a *rigAgent) bool { return a == stalled })
	r.cluster.lead(stalled.id())
	stalled.log.Load().held.Store(r.cluster.state())
	stalled.log.Load().stalled.Store(true)
	r.cluster.lead(others[0].id())
	h.is("with a voter that follows", func() bool { s := h.link.Status(); return s.Up && s.Voter != stalled.id() })
}

func TestOutcomesOfADial(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	a := r.agents[0]
	open := listener.Addr().(*net.TCPAddr).AddrPort()
	if got := a.port.dialProbe(t.Context(), open); got != detector.Connected {
		t.Errorf("an open port is %s", got)
	}
	_ = listener.Close()
	if got := a.port.dialProbe(t.Context(), open); got != detector.Refused {
		t.Errorf("a closed port is %s", got)
	}
	cut := open.String()
	a.cut.Store(&cut)
	start := time.Now()
	if got := a.port.dialProbe(t.Context(), open); got != detector.Silent {
		t.Errorf("a cut port is %s", got)
	}
	if took := time.Since(start); took < probeTries*protocol.ProbeTry || took > protocol.ProbeTime+200*time.Millisecond {
		t.Errorf("two tries took %s", took)
	}
}
