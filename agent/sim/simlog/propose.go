package simlog

import (
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// waiter waits until an entry is applied here.
type waiter struct {
	entry *entry
	by    time.Duration
	done  func([]fleet.Result, uint64, error)
}

// verify waits until a majority has answered a question.
type verify struct {
	round uint64
	by    time.Duration
	done  func(error)
}

// handing is a transfer of leadership under way: nothing is proposed meanwhile.
type handing struct {
	to   fleet.RaftID
	sent bool
	by   time.Duration
	done func(error)
}

// Propose puts commands into the log as one entry, stamped with the caller's
// clock. done gets one Result each and the index, once this node has applied
// them; or an error, see Undone. It is never called before Propose returns, and
// not at all when the agent ends.
func (n *Node) Propose(items []fleet.Item, at fleet.Time, done func([]fleet.Result, uint64, error)) {
	if len(items) == 0 {
		index := n.machine.applied
		n.after(0, func() { done(nil, index, nil) })
		return
	}
	data, err := n.prepare(items, at)
	if err != nil {
		err = fmt.Errorf("propose: %w", err)
		n.life.After(0, func() { done(nil, 0, err) })
		return
	}
	n.append(&entry{kind: kindCommand, data: data, planned: n.machine.state.Index()}, done)
}

func (n *Node) prepare(items []fleet.Item, at fleet.Time) ([]byte, error) {
	if len(items) > maxEntryItems {
		return nil, fmt.Errorf("%w: %d commands, at most %d go into one", ErrTooLarge, len(items), maxEntryItems)
	}
	if err := n.refusal(); err != nil {
		return nil, err
	}
	data, err := wire.EncodeEntry(fleet.Entry{At: at, Items: items})
	if err == nil && len(data) > maxEntryBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d go into one", ErrTooLarge, len(data), maxEntryBytes)
	}
	return data, err
}

// notLeading is why a leader's work cannot be done here now.
func (n *Node) notLeading() error {
	switch {
	case n.closed:
		return ErrClosed
	case n.role != leader, n.leading.handing != nil:
		return ErrNotLeader
	}
	return nil
}

// refusal is why nothing can be put into the log here now.
func (n *Node) refusal() error {
	switch err := n.notLeading(); {
	case err != nil:
		return err
	case n.cut:
		return ErrStalled
	case n.disk.full:
		return ErrDiskFull
	case len(n.leading.waiting) >= maxWaiting:
		return fmt.Errorf("%w: %d", ErrBusy, maxWaiting)
	}
	return nil
}

// append puts an entry behind the log of this leader.
func (n *Node) append(e *entry, done func([]fleet.Result, uint64, error)) {
	n.log.made++
	e.index, e.term, e.number, e.leader = n.entries.last()+1, n.term, n.log.made, n.id
	if done != nil {
		n.leading.waiting = append(n.leading.waiting, waiter{e, n.deadline(), done})
	}
	n.write([]*entry{e})
	if e.kind == kindMembers {
		n.follow()
		n.log.stir()
	}
}

// answerFor answers who waits for an entry.
func (n *Node) answerFor(e *entry, results []fleet.Result) {
	if len(n.leading.waiting) == 0 || n.leading.waiting[0].entry != e {
		return
	}
	w := n.leading.waiting[0]
	n.leading.waiting = n.leading.waiting[1:]
	if f := n.log.cfg.Acked; f != nil && e.kind == kindCommand {
		f(n.id, e.index, results)
	}
	w.done(results, e.index, nil)
}

// call begins something that only a leader does.
func (n *Node) call(what string, done func(error), refusal func() error, begin func(done func(error))) {
	named := func(err error) {
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
		done(err)
	}
	if err := refusal(); err != nil {
		n.life.After(0, func() { named(err) })
		return
	}
	begin(named)
}

// Barrier answers once this node, as leader, has applied everything that was
// committed when it was called.
func (n *Node) Barrier(done func(error)) {
	n.call("barrier", done, n.refusal, func(done func(error)) {
		n.append(&entry{kind: kindNothing}, func(_ []fleet.Result, _ uint64, err error) { done(err) })
	})
}

// Verify asks a majority whether this node still leads.
func (n *Node) Verify(done func(error)) {
	n.call("verify leadership", done, n.notLeading, func(done func(error)) {
		n.leading.round++
		n.leading.verifies = append(n.leading.verifies, verify{n.leading.round, n.deadline(), done})
		n.after(0, n.verified)
		for _, p := range n.leading.peers {
			n.replicate(p)
		}
	})
}

// verified answers questions that a majority has confirmed.
func (n *Node) verified() {
	if n.role != leader || len(n.leading.verifies) == 0 {
		return
	}
	var rounds []uint64
	for _, m := range n.members() {
		switch p := n.peer(m.ID); {
		case !m.Voting:
		case m.ID == n.id:
			rounds = append(rounds, n.leading.round)
		case p != nil:
			rounds = append(rounds, p.round)
		}
	}
	slices.Sort(rounds)
	confirmed := rounds[len(rounds)-n.quorum()]
	for len(n.leading.verifies) > 0 && n.leading.verifies[0].round <= confirmed {
		v := n.leading.verifies[0]
		n.leading.verifies = n.leading.verifies[1:]
		v.done(nil)
	}
}

// Transfer hands leadership to the voter that has most, and answers once this
// node leads no more, or with an error.
func (n *Node) Transfer(done func(error)) {
	n.call("transfer leadership", done, n.notLeading, n.transfer)
}

func (n *Node) transfer(done func(error)) {
	p := n.successor()
	if p == nil {
		n.after(0, func() { done(errNobody) })
		return
	}
	n.leading.handing = &handing{to: p.id, by: n.log.time.Now() + n.log.cfg.Election, done: done}
	n.after(n.log.cfg.Election, n.expire)
	n.handOn()
}

// successor is the peer to hand over to, if there is one.
func (n *Node) successor() (best *peer) {
	for _, p := range n.leading.peers {
		if n.voting(p.id) && n.log.reach(n, p.id) && (best == nil || p.match > best.match) {
			best = p
		}
	}
	return best
}

// handOn has the successor stand for election once it has everything.
func (n *Node) handOn() {
	h := n.leading.handing
	if n.role != leader || h == nil || h.sent {
		return
	}
	if p := n.peer(h.to); p != nil && p.match == n.entries.last() {
		h.sent = true
		n.elect(h.to)
	}
}

func (n *Node) elect(id fleet.RaftID) {
	term := n.term
	n.send(id, func(o *Node) {
		if o.term == term && o.role != leader && o.mayLead() {
			o.timeout.Stop()
			o.campaign(true)
		}
	})
}

// handOver gives leadership away because the disk is full, and tries again as
// long as it is.
func (n *Node) handOver() {
	if n.closed || n.role != leader || !n.disk.full {
		return
	}
	term := n.term
	n.after(transferEvery, func() {
		if n.term == term {
			n.handOver()
		}
	})
	if n.leading.handing == nil {
		n.transfer(func(error) {})
	}
}

// transferEvery is how often a leader with a full disk tries to hand over.
const transferEvery = time.Minute

// deadline is until when somebody waits who begins to wait now.
func (n *Node) deadline() time.Duration {
	if !n.leading.deadline.Waiting() {
		n.leading.deadline = n.after(n.log.cfg.Propose, n.expire)
	}
	return n.log.time.Now() + n.log.cfg.Propose
}

// expire answers those that have waited long enough: nobody knows what will
// become of what they asked for.
func (n *Node) expire() {
	if n.role != leader {
		return
	}
	now := n.log.time.Now()
	l := &n.leading
	next := never
	// late takes the first of a queue if its time is over.
	late := func(waiting int, by func() time.Duration, answer func()) bool {
		if waiting == 0 {
			return false
		}
		if by() > now {
			next = min(next, by())
			return false
		}
		answer()
		return true
	}
	for late(len(l.waiting), func() time.Duration { return l.waiting[0].by }, func() {
		done := l.waiting[0].done
		l.waiting = l.waiting[1:]
		n.after(0, func() { done(nil, 0, ErrUnknown) })
	}) {
	}
	for late(len(l.verifies), func() time.Duration { return l.verifies[0].by }, func() {
		done := l.verifies[0].done
		l.verifies = l.verifies[1:]
		n.after(0, func() { done(ErrUnknown) })
	}) {
	}
	for late(len(l.changes), func() time.Duration { return l.changes[0].by }, func() {
		done := l.changes[0].done
		l.changes = l.changes[1:]
		n.after(0, func() { done(ErrBusy) })
	}) {
	}
	if h := l.handing; h != nil && h.by <= now {
		l.handing = nil
		n.after(0, func() { h.done(ErrUnknown) })
	}
	if next < never && !l.deadline.Waiting() {
		l.deadline = n.after(next-now, n.expire)
	}
}

const never = time.Duration(1<<63 - 1)

// abandon answers all that wait when leadership ends.
func (n *Node) abandon() {
	l := n.leading
	n.leading = leading{}
	l.lease.Stop()
	l.notice.Stop()
	l.deadline.Stop()
	answer := func(f func()) { n.life.After(0, f) } // of a node that is closed, too
	for _, w := range l.waiting {
		answer(func() { w.done(nil, 0, fmt.Errorf("%w: leadership ended", ErrUnknown)) })
	}
	for _, v := range l.verifies {
		answer(func() { v.done(ErrNotLeader) })
	}
	for _, c := range l.changes {
		answer(func() { c.done(ErrNotLeader) })
	}
	if h := l.handing; h != nil {
		answer(func() { h.done(nil) })
	}
}
