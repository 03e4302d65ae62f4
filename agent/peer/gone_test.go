package peer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skein/agent/peer/intake"
	"skein/agent/peer/link"
	"skein/agent/peer/protocol"
	"skein/agent/peer/rpc"
	"skein/raftfsm/fleet"
)

// threeInMemory is a rig of three voters, h1 leading, whose machines can be
// switched off.
func threeInMemory(t *testing.T) (*rig, *memnet) {
	t.Helper()
	network := newMemnet()
	r := newRigOn(t, network)
	for _, name := range []string{"h2", "h3"} {
		r.promote(r.join(name, r.agents[0]), r.agents[0])
	}
	return r, network
}

func (r *rig) agentOf(id fleet.HostID) *rigAgent {
	r.t.Helper()
	for _, a := range r.agents {
		if a.id() == id {
			return a
		}
	}
	r.t.Fatalf("no agent of %s", id)
	return nil
}

// ackedSoon waits until a report is committed, and fails when that took as long
// as a call may: then it waited for a machine that was gone.
func (h *rigHost) ackedSoon(seq uint64, since time.Time) {
	h.a.r.t.Helper()
	h.is("told that its report is committed", func() (ok bool) {
		h.note(func() { ok = slices.Contains(h.acks, seq) })
		return ok
	})
	if took := time.Since(since); took > link.ReportTime/2 {
		h.a.r.t.Errorf("acknowledged only after %s", took)
	}
}

func TestAReportDoesNotWaitForAVoterThatIsGone(t *testing.T) {
	for name, frozen := range map[string]bool{"a machine without power": false, "a machine that stands still": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, network := threeInMemory(t)
			h := r.join("h4", r.agents[0]).host().up()
			r.ready(h)
			ids := r.run(h, 1)
			h.up()
			report := fleet.Report{Session: h.session(), Seq: 8,
				Tasks: []fleet.TaskReport{{Task: ids[0], Status: fleet.TaskRunning, Health: fleet.HealthUnknown}}}
			h.link.Report(report) // leaves a connection to use again
			h.ackedSoon(8, time.Now())

			voter := r.agentOf(h.link.Status().Voter)
			for _, other := range r.agents[:3] {
				if other != voter {
					r.cluster.lead(other.id())
				}
			}
			network.set(voter.addr().Addr(), !frozen, frozen)
			t.Cleanup(func() { network.set(voter.addr().Addr(), false, false) }) // so that it can end
			gone := time.Now()
			report.Seq = 9
			h.link.Report(report)
			h.ackedSoon(9, gone)
		})
	}
}

func TestAReportDoesNotWaitForALeaderThatStandsStill(t *testing.T) {
	t.Parallel()
	r, network := threeInMemory(t)
	h := r.join("h4", r.agents[0]).host().up()
	r.ready(h)
	ids := r.run(h, 1)
	h.up()
	streamed := h.link.Status().Voter
	others := slices.DeleteFunc(slices.Clone(r.agents[:3]), func(a *rigAgent) bool { return a.id() == streamed })
	leader, next := others[0], others[1]
	r.cluster.lead(leader.id())
	report := fleet.Report{Session: h.session(), Seq: 8,
		Tasks: []fleet.TaskReport{{Task: ids[0], Status: fleet.TaskRunning, Health: fleet.HealthUnknown}}}
	h.link.Report(report) // its voter has a connection to the leader now
	h.ackedSoon(8, time.Now())

	network.set(leader.addr().Addr(), false, true)
	t.Cleanup(func() { network.set(leader.addr().Addr(), false, false) })
	stopped := time.Now()
	report.Seq, report.Tasks[0].Health = 9, fleet.HealthHealthy
	h.link.Report(report)
	time.AfterFunc(time.Second, func() { r.cluster.lead(next.id()) }) // an election
	h.ackedSoon(9, stopped)
}

func TestACallThatEndsDuringItsDialIsNotUnknown(t *testing.T) {
	t.Parallel()
	var err error
	for range 5 {
		r, network := threeInMemory(t)
		leader, other := r.agents[0], r.agents[1]
		network.set(leader.addr().Addr(), true, false)
		t.Cleanup(func() { network.set(leader.addr().Addr(), false, false) })
		other.port.client.CloseIdle()
		ctx, cancel := context.WithTimeout(t.Context(), 4*intake.ProposePause)
		defer cancel()
		if _, _, err = other.port.Propose(ctx, []fleet.Item{setting(5)}); !errors.Is(err, ErrUnknown) {
			break
		}
		// A connection was not idle yet, and carried it: there was no dial.
	}
	wantErr(t, err, ErrNoLeader)
	if !rpc.NotDone(err) {
		t.Errorf("nothing was sent, so nothing can have been done: %v", err)
	}
}

func TestAForwardedWriteDoesNotWaitForALeaderThatStandsStill(t *testing.T) {
	t.Parallel()
	r, network := threeInMemory(t)
	leader, other, next := r.agents[0], r.agents[1], r.agents[2]
	write := func() (*httptest.ResponseRecorder, error) {
		w := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/services", strings.NewReader("body"))
		return w, other.port.Forward(w, request, true)
	}
	if w, err := write(); err != nil || w.Code != http.StatusOK { // leaves a connection to use again
		t.Fatalf("answered %d, %v", w.Code, err)
	}
	network.set(leader.addr().Addr(), false, true)
	t.Cleanup(func() { network.set(leader.addr().Addr(), false, false) })
	time.AfterFunc(time.Second, func() { r.cluster.lead(next.id()) }) // an election
	began := time.Now()
	// Where the connection was not given back in time another is dialled, on which
	// nothing was sent.
	if _, err := write(); !errors.Is(err, ErrUnknown) && (err == nil || !rpc.NotDone(err)) {
		t.Errorf("got %v, want %v, or surely not done", err, ErrUnknown)
	}
	if took := time.Since(began); took > protocol.GoneAfter {
		t.Errorf("given up only after %s, though another led after 1 s", took)
	}
	if w, err := write(); err != nil || w.Code != http.StatusOK {
		t.Errorf("through the new leader: %d, %v", w.Code, err)
	}
}

func TestAConnectionToAMachineThatIsGoneEndsByItself(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := (&rpc.Dialer{}).DialAddr(t.Context(), netip.MustParseAddrPort(listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	var failed error
	if err := raw.Control(func(fd uintptr) {
		got, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	if want := int(protocol.GoneAfter.Milliseconds()); got != want {
		t.Errorf("the kernel gives up after %d ms, want %d", got, want)
	}
}
