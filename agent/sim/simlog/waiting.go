package simlog

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
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

// forsake answers those that wait for an entry of which nobody knows what becomes.
func (n *Node) forsake() {
	waiting := n.leading.waiting
	n.leading.waiting = nil
	for _, w := range waiting {
		n.after(0, func() { w.done(nil, 0, fmt.Errorf("%w: %w", ErrUnknown, ErrStalled)) })
	}
}

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
