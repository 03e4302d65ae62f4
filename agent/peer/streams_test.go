package peer

import (
	"bufio"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// pipes opens n streams at a port without a network: the hosts are admitted and
// have sessions, and each frame is counted.
type pipes struct {
	mu     sync.Mutex
	frames map[fleet.HostID]int
	index  uint64 // the newest that any stream has brought
}

func (p *pipes) open(t *testing.T, r *rig, n int) (hosts []fleet.HostID) {
	t.Helper()
	p.frames = map[fleet.HostID]int{}
	token := r.token(n)
	log := r.agents[0].log.Load()
	var all sync.WaitGroup
	for i := range n {
		host := fleet.HostID(fmt.Sprintf("h-%016x", i+1))
		key := fmt.Sprintf("key%d", i)
		r.must(fleet.AdmitHost{Token: token.ID, SecretHash: token.Hash(),
			Host: fleet.Admission{ID: host, Name: fmt.Sprintf("n%d", i), Zone: "a", Addr: r.agents[0].addr(), PublicKey: key}})
		r.must(fleet.OpenSession{Host: host, Boot: "b", Nonce: 1, Addr: r.agents[0].addr(), Zone: "a",
			Capacity: fleet.Resources{CPU: 4096, Memory: 8192}})
		r.must(fleet.Report{Host: host, Session: 1, Seq: 1,
			SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
		hosts = append(hosts, host)
		here, there := net.Pipe()
		peer := trust.Peer{Host: host, Key: key, NotAfter: r.clock.Now().Add(time.Hour)}
		s := newStream(host, 1, peer, there, r.clock)
		all.Go(func() { r.agents[0].port.runStream(s, log, stream.Position{Session: 1}, bufio.NewReader(there)) })
		all.Go(func() { p.follow(host, here) })
		t.Cleanup(func() { _ = here.Close() })
	}
	t.Cleanup(func() {
		r.agents[0].kill()
		all.Wait()
	})
	eventually(t, "every stream has its first frame", func() string { return fmt.Sprint(len(p.counts())) },
		func() bool { return len(p.counts()) == n })
	return hosts
}

func (p *pipes) follow(host fleet.HostID, conn net.Conn) {
	go func() {
		beat := time.NewTicker(protocol.HostBeat)
		defer beat.Stop()
		for wire.WriteFrame(conn, stream.HostFrame{}) == nil {
			<-beat.C
		}
	}()
	for {
		var d stream.VoterFrame
		if wire.ReadFrame(conn, &d) != nil {
			return
		}
		if d.Kind == stream.KindSnapshot || d.Kind == stream.KindDelta {
			p.mu.Lock()
			p.frames[host]++
			p.index = max(p.index, d.Index)
			p.mu.Unlock()
		}
	}
}

func (p *pipes) counts() map[fleet.HostID]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[fleet.HostID]int{}
	for host, n := range p.frames {
		out[host] = n
	}
	return out
}

func (p *pipes) reached() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.index
}

func TestOfTwoHundredStreamsOnlyTheTouchedAreWoken(t *testing.T) {
	r := newRig(t)
	p := &pipes{}
	hosts := p.open(t, r, 200)
	def := r.must(fleet.RegisterTaskDef{Family: "app",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
			Containers: []fleet.Container{{Name: "app", Image: "app:1", CPU: 1, MemoryReservation: 4, StopTimeoutS: 30}}}})[0]
	before, woken := p.counts(), r.agents[0].port.hub.wakes.Load()
	ids := []fleet.TaskID{fleet.TaskID(fmt.Sprintf("%032x", taskNumber.Add(1)))}
	r.must(fleet.RunTasks{TaskDef: fleet.TaskDefID(def), Tasks: ids})
	r.must(fleet.AssignTasks{Host: hosts[17], Tasks: ids})
	eventually(t, "the touched host has its task", func() string { return fmt.Sprint(p.counts()[hosts[17]]) },
		func() bool { return p.counts()[hosts[17]] == before[hosts[17]]+1 })
	if got := r.agents[0].port.hub.wakes.Load() - woken; got > 2 {
		t.Errorf("%d streams were woken", got)
	}
	// What comes to a second host was sent after all that the first change could send.
	ids = []fleet.TaskID{fleet.TaskID(fmt.Sprintf("%032x", taskNumber.Add(1)))}
	r.must(fleet.RunTasks{TaskDef: fleet.TaskDefID(def), Tasks: ids})
	r.must(fleet.AssignTasks{Host: hosts[18], Tasks: ids})
	eventually(t, "the second host has its task", func() string { return fmt.Sprint(p.counts()[hosts[18]]) },
		func() bool { return p.counts()[hosts[18]] == before[hosts[18]]+1 })
	for host, n := range p.counts() {
		if host != hosts[17] && host != hosts[18] && n != before[host] {
			t.Errorf("%s got %d frames", host, n-before[host])
		}
	}
}

func TestManyChangesOfOneHostComeInFewFrames(t *testing.T) {
	r := newRig(t)
	p := &pipes{}
	hosts := p.open(t, r, 1)
	def := r.must(fleet.RegisterTaskDef{Family: "app",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
			Containers: []fleet.Container{{Name: "app", Image: "app:1", CPU: 1, MemoryReservation: 4, StopTimeoutS: 30}}}})[0]
	before := p.counts()[hosts[0]]
	start := time.Now()
	for range 100 {
		ids := []fleet.TaskID{fleet.TaskID(fmt.Sprintf("%032x", taskNumber.Add(1)))}
		r.must(fleet.RunTasks{TaskDef: fleet.TaskDefID(def), Tasks: ids})
		r.must(fleet.AssignTasks{Host: hosts[0], Tasks: ids})
	}
	last := r.cluster.state().Index()
	eventually(t, "the last change has come", func() string { return fmt.Sprint(p.reached()) },
		func() bool { return p.reached() >= last })
	took := time.Since(start)
	if got, most := p.counts()[hosts[0]]-before, 3+int(took/stream.Coalesce); got > most || got < 1 {
		t.Errorf("100 changes in %s came in %d frames, want at most %d", took, got, most)
	}
}

func TestAPortLeavesALogThatIsNotItsOwnAnyMore(t *testing.T) {
	r := newRig(t)
	r.join("h2", r.agents[0]).host().up()
	followers := func() int {
		r.cluster.mu.Lock()
		defer r.cluster.mu.Unlock()
		return len(r.cluster.subs)
	}
	if followers() == 0 {
		t.Fatal("nobody follows the log, and a host is served")
	}
	r.agents[0].log.Store(nil)
	eventually(t, "the log is left", func() string { return fmt.Sprint(followers(), " follow it") },
		func() bool { return followers() == 0 })
}

func TestAConnectionThatCannotBeTakenOverIsToldSo(t *testing.T) {
	if _, _, err := hijack(httptest.NewRecorder()); err == nil || !strings.Contains(err.Error(), "take over connection") {
		t.Errorf("got %v", err)
	}
}
