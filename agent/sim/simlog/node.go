package simlog

import (
	"slices"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

type role uint8

const (
	follower  role = iota
	asking         // whether it would be elected
	candidate      // for its term
	leader
)

// Node is one life of a voter, or of one that learns to be.
type Node struct {
	log    *Log
	id     fleet.RaftID
	host   fleet.HostID
	disk   *Disk
	life   *virtual.Run
	reads  int // the format that its build reads
	closed bool
	cut    bool // by the watchdog
	// doubted: it led when it was cut, and a majority has not confirmed it since.
	doubted bool

	role    role
	term    uint64
	vote    fleet.RaftID
	leader  fleet.RaftID // that it believes in
	entries entries
	configs []config // of entries, oldest first, behind that of the snapshot
	snap    *snapshot
	durable uint64 // entries up to here are on disk
	cuts    uint64 // how often entries were replaced: what was written before proves nothing
	commit  uint64
	machine machine

	// As a follower or candidate.
	hears   bool          // its leader
	lost    time.Duration // when it last did
	without time.Duration // it had heard none for so long when it last became leader
	timeout *virtual.Timer
	tries   int // elections without success since anything changed
	votes   map[fleet.RaftID]bool

	leading leading
	telling []func(bool) // of leadership
}

// config is a configuration and the index of its entry.
type config struct {
	index   uint64
	members []Member
}

// newNode takes up what is on the disk, whose snapshot has been read.
func newNode(l *Log, id fleet.RaftID, d *Disk, run *virtual.Run, state *fleet.State) *Node {
	n := &Node{
		log: l, id: id, host: id.Host(), disk: d, life: run, reads: l.reads(id),
		term: d.term, vote: d.vote, entries: d.log.clone(), snap: d.snap, durable: d.log.last(), lost: l.time.Now(),
	}
	d.node, d.wiped = n, false
	if d.snap != nil {
		n.configs = []config{{d.snap.index, d.snap.members}}
	}
	for _, e := range n.entries.list {
		if d.snap == nil || e.index > d.snap.index {
			n.configure(e)
		}
	}
	n.machine = newMachine(d.snap, state)
	if d.known != nil && d.hint > n.machine.applied && d.hint <= n.entries.last() {
		n.machine.state, n.machine.applied = d.known, d.hint
	}
	n.commit = n.machine.applied
	n.commitTo(min(max(d.hint, n.commit), n.entries.last()))
	return n
}

// after runs f in the node's life, unless it is closed by then.
func (n *Node) after(d time.Duration, f func()) *virtual.Timer {
	return n.life.After(d, func() {
		if !n.closed {
			f()
		}
	})
}

// ID is the node's name in the Raft configuration.
func (n *Node) ID() fleet.RaftID { return n.id }

// State is the newest State here, never nil. It is shared: read it only.
func (n *Node) State() *fleet.State { return n.machine.state }

// Subscribe has a function called after each entry is applied, with what it
// touched; after a snapshot from the leader with everything there is.
func (n *Node) Subscribe(call func(index uint64, t fleet.ChangeSet)) {
	n.machine.subscribers = append(n.machine.subscribers, call)
}

// IsLeader reports what this node believes; see Verify. One that is cut off by the
// watchdog does not lead.
func (n *Node) IsLeader() bool { return n.role == leader && !n.closed && !n.cut && !n.doubted }

// Leader is the host this node takes for the leader; nobody while it is cut off.
func (n *Node) Leader() (fleet.HostID, bool) {
	if n.leader == "" || n.cut || n.leader == n.id && n.doubted {
		return "", false
	}
	return n.leader.Host(), true
}

// Term is the current term.
func (n *Node) Term() uint64 { return n.term }

// CommitIndex is the highest index this node knows to be committed.
func (n *Node) CommitIndex() uint64 { return n.commit }

// AppliedIndex is the index of the last entry applied.
func (n *Node) AppliedIndex() uint64 { return n.machine.applied }

// Members is the newest configuration this node has stored, by id; it may not be
// committed yet.
func (n *Node) Members() []Member { return slices.Clone(n.members()) }

// OnLeadership has a function called with true when this node becomes leader and
// with false when it stops being it; what was undone meanwhile is still told.
func (n *Node) OnLeadership(call func(leads bool)) { n.telling = append(n.telling, call) }

// LeaderAge is since when no word of the leader can have come here.
func (n *Node) LeaderAge() time.Duration {
	if n.hears {
		return 0
	}
	return n.log.time.Now() - n.lost
}

// Leaderless is how long this node had heard no leader when it last became one:
// since it heard one, led itself, or was opened.
func (n *Node) Leaderless() time.Duration { return n.without }

// Trouble is why this node should not vote now: ErrStalled, ErrDiskFull or nil.
func (n *Node) Trouble() error {
	switch {
	case n.cut:
		return ErrStalled
	case n.disk.full:
		return ErrDiskFull
	}
	return nil
}

// Close stops the node while its agent lives on; a leader hands over.
func (n *Node) Close() {
	if n.closed {
		return
	}
	if n.role == leader {
		if p := n.successor(); p != nil && p.match == n.entries.last() {
			n.elect(p.id)
		}
		n.stepDown()
	}
	n.end(false)
}

// die is the end of the agent: nothing is said to anybody.
func (n *Node) die() {
	if !n.closed {
		n.end(n.log.net.Condition(n.host) == virtual.Off)
	}
}

func (n *Node) end(powerLoss bool) {
	n.closed, n.role, n.hears = true, follower, false
	n.believe("")
	n.disk.release(powerLoss)
	n.log.drop(n)
	n.log.stir()
}

// connect is the watchdog's cut, and its end.
func (n *Node) connect(on bool) {
	if n.cut == !on || n.closed {
		return
	}
	n.cut = !on
	switch {
	case n.role != leader:
	case n.cut:
		n.doubted = true
		n.forsake()
		n.tell(false)
	default:
		n.confirm()
	}
	n.believes()
	n.log.stir()
}

// confirm has a majority say whether a node that was cut off still leads.
func (n *Node) confirm() {
	term := n.term
	n.Verify(func(err error) {
		switch {
		case n.role != leader || n.term != term || n.cut:
		case err != nil:
			n.after(n.log.cfg.Retry, n.confirm)
		default:
			n.doubted = false
			n.believes()
			n.tell(true)
		}
	})
}

// believe takes a node for the leader, or none.
func (n *Node) believe(leader fleet.RaftID) {
	was := n.leader
	n.leader = leader
	if was != leader {
		n.believes()
	}
}

// believes tells that Leader may say something else.
func (n *Node) believes() {
	if f := n.log.cfg.Believes; f != nil {
		f(n.id)
	}
}

// persist writes term and vote, and then goes on if they are still right.
func (n *Node) persist(then func()) {
	term, vote := n.term, n.vote
	done := func() {
		if then != nil && n.term == term && n.vote == vote {
			then()
		}
	}
	if n.log.cfg.Rules.ForgetVote {
		n.after(0, done)
		return
	}
	n.disk.put(&write{hard: true, term: term, vote: vote, done: done})
}

// adopt takes note of a higher term.
func (n *Node) adopt(term uint64) {
	if term <= n.term || n.role == leader && n.log.cfg.Rules.TermsIgnored {
		return
	}
	n.term, n.vote = term, ""
	n.believe("")
	n.stepDown()
	n.role = follower
	n.persist(nil)
	n.log.stir()
}

// stepDown ends leadership, with an answer for those who wait.
func (n *Node) stepDown() {
	if n.role != leader {
		return
	}
	n.role, n.doubted = follower, false
	if n.leader == n.id {
		n.believe("")
	}
	n.abandon()
	n.tell(false)
	if f := n.log.cfg.SteppedDown; f != nil {
		f(n.id, n.term)
	}
	n.log.stir()
}

func (n *Node) tell(leads bool) {
	for _, call := range n.telling {
		n.after(0, func() { call(leads) })
	}
}

// members is the newest configuration.
func (n *Node) members() []Member {
	if len(n.configs) == 0 {
		return nil
	}
	return n.configs[len(n.configs)-1].members
}

// voting reports whether an id has a vote in the newest configuration here.
func (n *Node) voting(id fleet.RaftID) bool {
	return slices.Contains(n.members(), Member{id, true})
}

// configure takes note of a configuration in an entry.
func (n *Node) configure(e *entry) {
	if e.kind == kindMembers {
		n.configs = append(n.configs, config{e.index, e.members})
	}
}

// quorum is how many voters of the configuration are a majority; 0 without one.
func (n *Node) quorum() int {
	voters := 0
	for _, m := range n.members() {
		if m.Voting {
			voters++
		}
	}
	if voters == 0 {
		return 0
	}
	return voters/2 + 1
}

// reached counts the voters that this node hears, itself included.
func (n *Node) reached() (count int) {
	for _, m := range n.members() {
		if m.Voting && (m.ID == n.id || n.log.reach(n, m.ID)) {
			count++
		}
	}
	return count
}
