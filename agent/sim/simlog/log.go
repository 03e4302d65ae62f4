package simlog

import (
	"cmp"
	"fmt"
	"slices"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// Log is all voters of one fleet.
type Log struct {
	time   *virtual.Time
	net    *virtual.Network
	chance *virtual.Chance
	cfg    Config

	live   map[fleet.RaftID]*Node
	order  []*Node // the same, by id
	made   uint64  // entries
	newest int     // format that any voter's build has read
	judge  judge
	past   history
}

// New makes a log without voters.
func New(t *virtual.Time, net *virtual.Network, seed uint64, cfg Config) *Log {
	l := &Log{time: t, net: net, chance: virtual.NewChance(seed, "log"), cfg: cfg.withDefaults(),
		live: map[fleet.RaftID]*Node{}}
	l.judge = newJudge(l.cfg.Broken)
	net.Watch(l.changed)
	return l
}

// Bootstrap makes the owner of an empty disk the first voter. Errors: ErrExists.
func (l *Log) Bootstrap(d *Disk) error {
	if d.node != nil || d.term > 0 || d.log.last() > 0 {
		return fmt.Errorf("bootstrap %s: %w", d.id, ErrExists)
	}
	l.made++
	first := &entry{index: 1, term: 1, number: l.made, kind: kindMembers, members: []Member{{d.id, true}}, leader: d.id}
	d.keep(&write{hard: true, term: 1, from: 1, entries: []*entry{first}})
	return nil
}

// Open starts a node with what its disk holds; it ends with the life, or with
// Close. Its State is what it knows to be committed, whether or not anybody else
// answers. Errors: ErrOtherID, ErrWiped, ErrLocked, ErrUnreadable.
func (l *Log) Open(id fleet.RaftID, d *Disk, run *virtual.Run) (*Node, error) {
	err := error(nil)
	switch {
	case d.id != id:
		err = fmt.Errorf("%w: %s", ErrOtherID, d.id)
	case d.wiped && !l.cfg.Rules.WipedMayVote:
		err = ErrWiped
	case d.node != nil || l.live[id] != nil || run.Over():
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("open raft as %s: %w", id, err)
	}
	d.settle()
	state, err := d.snap.open(l.reads(id))
	if err != nil {
		return nil, fmt.Errorf("open raft as %s: %w: %w", id, ErrUnreadable, err)
	}
	l.newest = max(l.newest, l.reads(id))
	n := newNode(l, id, d, run, state)
	if n.closed {
		return nil, fmt.Errorf("open raft as %s: %w", id, ErrUnreadable)
	}
	l.live[id] = n
	at, _ := slices.BinarySearchFunc(l.order, id, func(n *Node, id fleet.RaftID) int { return cmp.Compare(n.id, id) })
	l.order = slices.Insert(l.order, at, n)
	run.OnEnd(n.die)
	l.stir()
	return n, nil
}

// reads is the format that the build of a voter's agent reads.
func (l *Log) reads(id fleet.RaftID) int {
	if l.cfg.Reads == nil {
		return fleet.FormatVersion
	}
	return l.cfg.Reads(id)
}

// changed looks at all nodes when the network changed under one of them.
func (l *Log) changed(host fleet.HostID) {
	if host == "" || slices.ContainsFunc(l.order, func(n *Node) bool { return n.host == host }) {
		l.stir()
	}
}

// stir has every node look around after something changed that heartbeats, or
// their absence, would have told.
func (l *Log) stir() {
	for _, n := range slices.Clone(l.order) {
		n.tries = 0
		n.look()
	}
}

func (l *Log) drop(n *Node) {
	delete(l.live, n.id)
	l.order = slices.DeleteFunc(l.order, func(o *Node) bool { return o == n })
}

// reach reports whether a node and another one hear each other.
func (l *Log) reach(n *Node, id fleet.RaftID) bool {
	o := l.live[id]
	return o != nil && !n.cut && !o.cut && l.net.Linked(n.host, o.host)
}

// send has f run at another node, if the message gets there.
func (n *Node) send(to fleet.RaftID, f func(o *Node)) {
	if n.cut {
		return
	}
	l := n.log
	l.net.Send(n.host, to.Host(), func() {
		if o := l.live[to]; o != nil && !o.cut {
			f(o)
		}
	})
}
