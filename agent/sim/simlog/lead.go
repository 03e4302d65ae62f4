package simlog

import (
	"slices"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// leading is what a node keeps while it leads.
type leading struct {
	from     uint64 // index of its first entry: nothing counts before that commits
	peers    []*peer
	lease    *virtual.Timer
	notice   *virtual.Timer
	said     uint64 // followers are to know that so much is committed
	round    uint64 // of questions whether it still leads
	installs map[fleet.RaftID][]time.Duration

	waiting  []waiter
	verifies []verify
	changes  []change
	handing  *handing
	deadline *virtual.Timer
}

// peer is another member, as its leader knows it.
type peer struct {
	id     fleet.RaftID
	next   uint64 // entry to send
	match  uint64 // it has all up to here, on its disk
	commit uint64 // it knows so much to be committed
	round  uint64 // it confirmed
	sent   bool   // a message is not answered
	sentAt time.Duration
	fails  int
	timer  *virtual.Timer
}

func (n *Node) peer(id fleet.RaftID) *peer {
	for _, p := range n.leading.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// follow keeps the peers as the configuration has them.
func (n *Node) follow() {
	var peers []*peer
	for _, m := range n.members() {
		if m.ID == n.id {
			continue
		}
		p := n.peer(m.ID)
		if p == nil {
			p = &peer{id: m.ID, next: n.entries.last() + 1}
		}
		peers = append(peers, p)
	}
	n.leading.peers = peers
}

// lookAfter sends to who does not follow yet, and watches over the lease. One that
// is cut off hangs in a write: it cannot step down until that returns.
func (n *Node) lookAfter() {
	for _, p := range n.leading.peers {
		if !n.log.reach(n, p.id) {
			p.sent, p.fails = false, 0 // whatever was under way is lost
		} else if n.owes(p) {
			n.replicate(p)
		}
	}
	if n.cut || n.reached() >= n.quorum() {
		n.leading.lease.Stop()
	} else if !n.leading.lease.Waiting() {
		n.leading.lease = n.after(n.log.chance.Between(n.log.cfg.Lease, n.log.cfg.Lease*3/2), func() {
			if n.role == leader && n.reached() < n.quorum() {
				n.stepDown()
			}
		})
	}
}

// owes reports whether a peer is to hear something: entries, a commit, a
// question, or that this node leads.
func (n *Node) owes(p *peer) bool {
	if p.match < n.durable || p.commit < min(n.leading.said, p.match) || p.round < n.leading.round {
		return true
	}
	o := n.log.live[p.id]
	return o != nil && (o.leader != n.id || o.term != n.term)
}

// replicate sends a peer what it is owed, one message at a time.
func (n *Node) replicate(p *peer) {
	if p.sent || n.role != leader || !n.log.reach(n, p.id) {
		return
	}
	p.sent, p.sentAt = true, n.log.time.Now()
	n.arm(p)
	p.next = min(p.next, n.entries.last()+1) // it has more where a rule is broken
	prev := p.next - 1
	prevTerm, known := n.entries.term(prev)
	if !known {
		n.install(p)
		return
	}
	m := word{by: n.id, term: n.term, prev: prev, prevTerm: prevTerm, commit: n.commit, round: n.leading.round}
	if last := min(n.durable, prev+maxAppend); last > prev {
		m.entries = n.entries.between(p.next, last)
	}
	n.send(p.id, func(o *Node) { o.hear(m) })
}

// arm sees that an answer that does not come is asked for again. The timer is
// left alone when one does: where there is traffic it would be set every time.
func (n *Node) arm(p *peer) {
	if p.timer.Waiting() {
		return
	}
	term := n.term
	retry := n.log.cfg.Retry << min(p.fails, 5)
	p.timer = n.after(p.sentAt+retry-n.log.time.Now(), func() {
		switch {
		case !p.sent || n.role != leader || n.term != term || n.peer(p.id) != p:
		case n.log.time.Now()-p.sentAt < retry:
			n.arm(p)
		default:
			p.sent = false
			p.fails++
			if n.owes(p) {
				n.replicate(p)
			}
		}
	})
}

// install sends a peer a snapshot: what it lacks is not kept any more.
func (n *Node) install(p *peer) {
	n.leading.installs[p.id] = append(n.recentInstalls(p.id), n.log.time.Now())
	by, term, round, snap := n.id, n.term, n.leading.round, n.snap
	n.send(p.id, func(o *Node) { o.restore(by, term, round, snap) })
}

// installsFor is how long a snapshot that was sent counts.
const installsFor = 10 * time.Minute

func (n *Node) recentInstalls(id fleet.RaftID) []time.Duration {
	since := n.log.time.Now() - installsFor
	return slices.DeleteFunc(n.leading.installs[id], func(at time.Duration) bool { return at < since })
}

// SnapshotInstalls is how many snapshots this node, as leader, has sent a server
// in the last ten minutes.
func (n *Node) SnapshotInstalls(id fleet.RaftID) int {
	if n.role != leader {
		return 0
	}
	return len(n.recentInstalls(id))
}

// reply is a follower's answer.
type reply struct {
	by     fleet.RaftID
	term   uint64
	ok     bool
	match  uint64 // the logs agree up to here; not ok: they may
	commit uint64
	round  uint64
}

// replied takes in an answer.
func (n *Node) replied(r reply) {
	n.adopt(r.term)
	p := n.peer(r.by)
	if n.role != leader || r.term != n.term || p == nil {
		return
	}
	before := p.next
	p.round = max(p.round, r.round)
	if r.ok {
		p.match, p.commit = max(p.match, r.match), max(p.commit, r.commit)
		p.next = max(p.next, p.match+1)
	} else {
		p.next = max(min(p.next-1, r.match+1), 1)
	}
	if !r.ok && p.next == before {
		return // it does not obey: asked again at once it would say the same
	}
	p.sent, p.fails = false, 0
	n.advance()
	n.verified()
	n.handOn()
	if n.role == leader && n.owes(p) {
		n.replicate(p)
	}
}

// advance commits what enough voters have.
func (n *Node) advance() {
	if n.role != leader {
		return
	}
	var have []uint64
	for _, m := range n.members() {
		switch p := n.peer(m.ID); {
		case !m.Voting:
		case m.ID == n.id:
			have = append(have, n.durable)
		case p != nil:
			have = append(have, p.match)
		}
	}
	need := n.quorum()
	if n.log.cfg.Rules.CommitWithoutMajority {
		need = max(1, need-1)
	}
	slices.Sort(have)
	to := have[len(have)-need]
	if n.log.cfg.Rules.AckBeforeCommit {
		to = max(to, n.durable)
	}
	if to <= n.commit || to < n.leading.from {
		return
	}
	n.commitTo(to)
	if n.role != leader || n.closed {
		return
	}
	if !n.voting(n.id) && n.configs[len(n.configs)-1].index <= n.commit {
		n.stepDown() // it has taken itself out
		return
	}
	n.reconfigure()
	n.verified()
	if !n.leading.notice.Waiting() && len(n.leading.peers) > 0 {
		n.leading.notice = n.after(n.log.chance.Between(n.log.cfg.Notice, 2*n.log.cfg.Notice), n.announce)
	}
}

// announce has followers told of the last commit.
func (n *Node) announce() {
	if n.role != leader {
		return
	}
	n.leading.said = n.commit
	for _, p := range n.leading.peers {
		if n.owes(p) {
			n.replicate(p)
		}
	}
}
