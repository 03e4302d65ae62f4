package peer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skein/agent/effects"
	"skein/agent/peer/stream"
	"skein/agent/peer/stream/streamtest"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

// cluster is a log that all voters of a rig share: a real State and real
// applies, and a leader that the test names.
type cluster struct {
	mu       sync.Mutex
	applying sync.Mutex // held while an entry is applied and told
	st       *fleet.State
	leader   fleet.HostID
	subs     map[int]func(uint64, fleet.ChangeSet)
	next     int
	clock    clock.Clock
}

func (c *cluster) state() *fleet.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.st
}

func (c *cluster) lead(host fleet.HostID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = host
}

// apply tells subscribers in order, as a log does, without the lock that State takes.
func (c *cluster) apply(items []fleet.Item) ([]fleet.Result, uint64) {
	c.applying.Lock()
	defer c.applying.Unlock()
	next := c.state().Clone()
	out := next.Apply(next.Index()+1, fleet.Entry{At: fleet.TimeOf(c.clock.Now()), Items: items})
	c.mu.Lock()
	c.st = next
	subs := maps.Clone(c.subs)
	c.mu.Unlock()
	for _, sub := range subs {
		sub(next.Index(), out.ChangeSet)
	}
	return out.Results, next.Index()
}

// voterLog is one voter's view of the cluster. It may be held back.
type voterLog struct {
	c    *cluster
	self fleet.HostID
	id   fleet.RaftID // empty: the host's first
	held atomic.Pointer[fleet.State]
	mute atomic.Bool // what it commits is answered as unknown
	// stalled: its disk hangs, so it is cut off from the others' logs.
	stalled atomic.Bool
	deposed atomic.Bool // no quorum confirms that it leads
}

func (v *voterLog) ID() fleet.RaftID { return cmp.Or(v.id, fleet.MakeRaftID(v.self, 1)) }

func (v *voterLog) State() *fleet.State {
	if st := v.held.Load(); st != nil {
		return st
	}
	return v.c.state()
}

func (v *voterLog) Subscribe(f func(uint64, fleet.ChangeSet)) func() {
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	id := v.c.next
	v.c.next++
	v.c.subs[id] = f
	return func() {
		v.c.mu.Lock()
		defer v.c.mu.Unlock()
		delete(v.c.subs, id)
	}
}

func (v *voterLog) Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	if !v.IsLeader() {
		return nil, 0, ErrNotLeader
	}
	results, index := v.c.apply(items)
	if v.mute.Load() {
		return nil, 0, ErrUnknown
	}
	return results, index, nil
}

func (v *voterLog) Leader() (fleet.HostID, bool) {
	if v.stalled.Load() {
		return "", false
	}
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	return v.c.leader, v.c.leader != ""
}

func (v *voterLog) IsLeader() bool {
	leader, ok := v.Leader()
	return ok && leader == v.self
}

func (v *voterLog) Verify(context.Context) error {
	if v.deposed.Load() {
		return ErrNotLeader
	}
	return nil
}

func (v *voterLog) CommitIndex() uint64 { return v.c.state().Index() }
func (v *voterLog) Trouble() error {
	if v.stalled.Load() {
		return ErrStalled
	}
	return nil
}

// rigClock is the machine's clock with a wall time that a test may move.
type rigClock struct {
	clock.Clock
	offset atomic.Int64
}

func (c *rigClock) Now() time.Time { return c.Clock.Now().Add(time.Duration(c.offset.Load())) }

// rig is a fleet of real ports, on loopback or in memory.
type rig struct {
	t       *testing.T
	cluster *cluster
	clock   *rigClock
	agents  []*rigAgent
	op      string // operator token
	ctx     context.Context
	memnet  *memnet                                   // a network in memory; nil for loopback
	zones   string                                    // of agents in turn, a letter each
	runners func(*rigAgent) map[string]effects.Runner // of effects; nil for none
}

// rigAgent is one agent.
type rigAgent struct {
	r        *rig
	name     string
	clock    *rigClock // the rig's, and what this machine's is off by
	raw      net.Listener
	identity *trust.IdentityStore
	port     *Port
	log      atomic.Pointer[voterLog]
	lines    *lines
	stop     func()
	cut      atomic.Pointer[string] // address that dials from here do not reach
	deaf     atomic.Bool            // starved
	veto     atomic.Int64

	mu      sync.Mutex
	api     []Caller
	hold    func(context.Context) // called by the API; nil: nothing is held
	retired []fleet.RaftID
}

func newRig(t *testing.T) *rig { return newRigOn(t, nil) }

func newRigOn(t *testing.T, network *memnet) *rig {
	t.Helper()
	return newRigWith(t, network, nil)
}

func newRigWith(t *testing.T, network *memnet, runners func(*rigAgent) map[string]effects.Runner) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{t: t, ctx: ctx, clock: &rigClock{Clock: clock.System()}, memnet: network, zones: "abc", runners: runners}
	r.cluster = &cluster{st: fleet.New(), subs: map[int]func(uint64, fleet.ChangeSet){}, clock: r.clock}
	t.Cleanup(func() {
		cancel()
		for _, a := range r.agents {
			a.kill()
		}
		if t.Failed() {
			for _, a := range r.agents {
				t.Logf("log of %s:\n%s", a.name, a.lines.String())
			}
		}
	})
	a := r.agent("h1")
	identity, boot, err := trust.Init(trust.InitOptions{FS: mem(t), DataDir: "data", Name: "h1", Zone: "a", Addr: a.addr(),
		Now: r.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	r.op = boot.OperatorText
	first := boot.Init.Command.(fleet.InitFleet)
	first.Format = 1 // which hosts read that have opened no session
	r.must(first)
	r.must(boot.OperatorToken.Command)
	r.cluster.lead(identity.Host())
	a.log.Store(&voterLog{c: r.cluster, self: identity.Host()})
	a.start(identity)
	return r
}

func mem(t testing.TB) *vfs.Mem {
	m := vfs.NewMem()
	if err := m.MkdirAll("data", 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

func (r *rig) agent(name string) *rigAgent {
	r.t.Helper()
	a := &rigAgent{r: r, name: name, lines: &lines{}, clock: &rigClock{Clock: r.clock}}
	if r.memnet != nil {
		a.raw = r.memnet.listen(len(r.agents) + 1)
	} else {
		raw, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			r.t.Fatal(err)
		}
		a.raw = raw
	}
	r.agents = append(r.agents, a)
	return a
}

func (a *rigAgent) addr() netip.AddrPort { return netip.MustParseAddrPort(a.raw.Addr().String()) }
func (a *rigAgent) id() fleet.HostID     { return a.identity.Host() }

func (a *rigAgent) currentLog() Log {
	if log := a.log.Load(); log != nil {
		return log
	}
	return nil
}

func (a *rigAgent) start(identity *trust.IdentityStore) {
	a.identity = identity
	a.port = New(Config{
		Identity: identity, Log: a.currentLog, API: http.HandlerFunc(a.serveAPI), Voter: a, Addr: a.addr(), Clock: a.clock,
		Logs:    a.lines.logger(),
		Starved: a.deaf.Load, Dial: a.dial, Runners: a.runners(),
		Answered: func(fleet.HostID) (time.Duration, bool) {
			d := time.Duration(a.veto.Load())
			return d, d > 0
		},
	}, a.raw)
	ctx, cancel := context.WithCancel(a.r.ctx)
	done := make(chan error, 1)
	go func() { done <- a.port.Run(ctx) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				a.r.t.Errorf("port of %s: %v", a.name, err)
			}
		case <-time.After(waitTime):
			a.r.t.Errorf("port of %s does not end", a.name)
		}
	})
}

func (a *rigAgent) runners() map[string]effects.Runner {
	if a.r.runners == nil {
		return nil
	}
	return a.r.runners(a)
}

// kill ends the agent; its machine lives and refuses.
func (a *rigAgent) kill() {
	if a.stop != nil {
		a.stop()
	}
	_ = a.raw.Close()
}

// dial reaches nobody at the cut address: packets vanish.
func (a *rigAgent) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if cut := a.cut.Load(); cut != nil && *cut == addr.String() {
		<-ctx.Done()
		return nil, fmt.Errorf("dial: %w", ctx.Err())
	}
	if a.r.memnet != nil {
		return a.r.memnet.dial(ctx, a.addr(), addr)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr.String())
}

// Prepare and Retire are the rig's VoterHooks.
func (a *rigAgent) Prepare(_ context.Context, id fleet.RaftID, takeKeys func() error) error {
	if err := takeKeys(); err != nil {
		return err
	}
	a.log.Store(&voterLog{c: a.r.cluster, self: id.Host(), id: id})
	return nil
}

func (a *rigAgent) Retire(_ context.Context, id fleet.RaftID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.retired = append(a.retired, id)
	a.log.Store(nil)
	return a.identity.DeleteFleetKey()
}

func (a *rigAgent) serveAPI(w http.ResponseWriter, r *http.Request) {
	caller, ok := CallerFrom(r.Context())
	if !ok {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	a.mu.Lock()
	a.api = append(a.api, caller)
	hold := a.hold
	a.mu.Unlock()
	if hold != nil {
		hold(r.Context())
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s %s", a.name, r.Method, r.URL.RequestURI(), body.String())
}

func (r *rig) must(c fleet.Command) []string {
	r.t.Helper()
	results, _ := r.cluster.apply([]fleet.Item{{Command: c}})
	if results[0].Err != nil {
		r.t.Fatalf("%T: %v", c, results[0].Err)
	}
	return results[0].IDs
}

func (r *rig) token(uses int) trust.Token {
	r.t.Helper()
	identity := r.agents[0].identity
	token, err := trust.NewJoinToken(identity.Identity().Fleet, identity.CADigest(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.must(token.Put(r.clock.Now(), 0, uses))
	return token
}

func (r *rig) tryJoin(a *rigAgent, through *rigAgent, token trust.Token) (*trust.IdentityStore, error) {
	j := trust.Joiner{FS: mem(r.t), DataDir: "data", Clock: r.clock, Log: a.lines.logger()}
	if r.memnet != nil {
		j.Dial = func(ctx context.Context, _, addr string) (net.Conn, error) {
			return a.dial(ctx, netip.MustParseAddrPort(addr))
		}
	}
	zone := string(r.zones[(len(r.agents)-1)%len(r.zones)])
	return j.Join(r.ctx, through.raw.Addr().String(), token, trust.Request{Name: a.name, Zone: zone, Addr: a.addr()})
}

// join adds a worker, by way of another agent.
func (r *rig) join(name string, through *rigAgent) *rigAgent {
	r.t.Helper()
	a := r.agent(name)
	identity, err := r.tryJoin(a, through, r.token(1))
	if err != nil {
		r.t.Fatal(err)
	}
	a.start(identity)
	return a
}

// promote makes a worker a voter, as the keeper does.
func (r *rig) promote(a *rigAgent, by *rigAgent) fleet.RaftID {
	r.t.Helper()
	id := fleet.MakeRaftID(a.id(), 1+r.cluster.state().Host(a.id()).LastRaft)
	r.must(fleet.SetVoter{ID: id, Phase: fleet.VoterPreparing})
	if err := by.port.PrepareVoter(r.ctx, id); err != nil {
		r.t.Fatal(err)
	}
	r.must(fleet.SetVoter{ID: id, Phase: fleet.VoterLearning})
	r.must(fleet.SetVoter{ID: id, Phase: fleet.VoterVoting})
	return id
}

// three is a rig of three voters, h1 leading.
func three(t *testing.T) (*rig, []*rigAgent) {
	t.Helper()
	r := newRig(t)
	for _, name := range []string{"h2", "h3"} {
		r.promote(r.join(name, r.agents[0]), r.agents[0])
	}
	return r, r.agents
}

// rigHost is a host loop that believes every frame.
type rigHost struct {
	a    *rigAgent
	link *Link
	stop func()

	mu        sync.Mutex
	held      fleet.Wanted
	snapshots int
	deltas    int
	beats     int
	sessions  []uint64
	acks      []uint64
	lost      []string
	refuse    error
	beat      uint64              // that it asks for its lease with; 0: it does not
	lease     stream.LeaseWord    // the newest
	start     uint64              // of its ingress
	counts    fleet.TrafficCounts // of web/1 in the group web
}

func (a *rigAgent) host() *rigHost { return a.hostWith(1) }

func (a *rigAgent) hostWith(nonce uint64) *rigHost {
	return a.machineWith(nonce, "boot-"+a.name, a.addr())
}

// machineWith is a host loop on a machine that may be another than the port's: a
// clone of its disk, or the same after a reboot.
func (a *rigAgent) machineWith(nonce uint64, boot string, addr netip.AddrPort) *rigHost {
	h := &rigHost{a: a}
	h.link = NewLink(LinkConfig{
		Port: a.port, Clock: a.clock, Logs: a.lines.logger(), Nonce: nonce,
		Session: func() fleet.OpenSession {
			return fleet.OpenSession{Boot: boot, Addr: addr, Zone: a.r.cluster.state().Host(a.id()).Zone,
				Capacity: fleet.Resources{CPU: 4096, Memory: 8192}, Format: fleet.FormatVersion}
		},
		Beat: func() (beat uint64) {
			h.note(func() {
				if beat = h.beat; beat > 0 {
					h.beat++
				}
			})
			return beat
		},
		Traffic: h.traffic,
		Opened:  func(n uint64) { h.note(func() { h.sessions = append(h.sessions, n) }) },
		Deliver: func(d stream.VoterFrame) (err error) {
			h.note(func() { err = h.take(d) })
			return err
		},
		Lost:  func(why error) { h.note(func() { h.lost = append(h.lost, why.Error()) }) },
		Acked: func(_, seq uint64) { h.note(func() { h.acks = append(h.acks, seq) }) },
		Capacity: func() (fleet.CapacityReport, bool) {
			return fleet.CapacityReport{Host: a.id(), Nonce: nonce, Seq: 1}, true
		},
	})
	ctx, cancel := context.WithCancel(a.r.ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = h.link.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(waitTime):
			a.r.t.Errorf("link of %s does not end", a.name)
		}
	})
	a.r.t.Cleanup(h.stop)
	return h
}

// traffic is what the ingress of the host counts: nothing but in the group web.
func (h *rigHost) traffic(groups []fleet.TargetGroupName) (start uint64, all []fleet.GroupTraffic) {
	h.note(func() {
		start = h.start
		for _, name := range groups {
			g := fleet.GroupTraffic{Group: name}
			if name == "web" {
				g.Revisions = []fleet.RevisionTraffic{{Revision: "web/1", Counts: h.counts}}
			}
			all = append(all, g)
		}
	})
	return start, all
}

func (h *rigHost) note(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *rigHost) take(d stream.VoterFrame) error {
	if h.refuse != nil {
		return h.refuse
	}
	next, err := streamtest.Merge(h.held, d)
	if err != nil {
		return err
	}
	h.held = next
	if d.Lease != nil {
		h.lease = *d.Lease
	}
	switch d.Kind {
	case stream.KindSnapshot:
		h.snapshots++
	case stream.KindDelta:
		h.deltas++
	default:
		h.beats++
	}
	return nil
}

func (h *rigHost) wanted() (w fleet.Wanted) {
	h.note(func() { w = h.held })
	return w
}

func (h *rigHost) session() (n uint64) {
	h.note(func() {
		if len(h.sessions) > 0 {
			n = h.sessions[len(h.sessions)-1]
		}
	})
	return n
}

// up waits until the host has a stream and holds what State wants of it.
func (h *rigHost) up() *rigHost {
	h.a.r.t.Helper()
	h.is("up and in step with State", func() bool {
		want, got := h.a.r.cluster.state().Wanted(h.a.id()), h.wanted()
		return h.link.Status().Up && got.Session == want.Session && want.Session > 0 &&
			slices.EqualFunc(want.Tasks, got.Tasks, func(a, b fleet.WantedTask) bool {
				return a.ID == b.ID && a.ModifyIndex == b.ModifyIndex
			})
	})
	return h
}

func (h *rigHost) is(what string, ok func() bool) {
	h.a.r.t.Helper()
	eventually(h.a.r.t, h.a.name+" is "+what, func() string {
		w := h.wanted()
		return fmt.Sprintf("link %+v, holds %d tasks of session %d at %d", h.link.Status(), len(w.Tasks), w.Session, w.Index)
	}, ok)
}

// ready makes a host take tasks.
func (r *rig) ready(h *rigHost) {
	r.t.Helper()
	st := r.cluster.state().Host(h.a.id())
	r.must(fleet.Report{Host: st.ID, Session: st.Session.N, Seq: st.ReportSeq + 1,
		SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
}

// run assigns n standalone tasks to a host.
func (r *rig) run(h *rigHost, n int) []fleet.TaskID {
	r.t.Helper()
	def := r.must(fleet.RegisterTaskDef{Family: "app",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
			Containers: []fleet.Container{{Name: "app", Image: "app:1", CPU: 1, MemoryReservation: 4, StopTimeoutS: 30}}}})[0]
	var all []fleet.TaskID
	for n > 0 {
		var ids []fleet.TaskID
		for range min(n, 10) {
			ids = append(ids, fleet.TaskID(fmt.Sprintf("%032x", taskNumber.Add(1))))
		}
		n -= len(ids)
		r.must(fleet.RunTasks{TaskDef: fleet.TaskDefID(def), Tasks: ids})
		r.must(fleet.AssignTasks{Host: h.a.id(), Tasks: ids})
		all = append(all, ids...)
	}
	return all
}

var taskNumber atomic.Uint64

// lines collects an agent's log.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
