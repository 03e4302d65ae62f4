package simlog

import (
	"fmt"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// Propose puts commands into the log as one entry, stamped with the caller's
// clock. done gets one Result each and the index, once this node has applied
// them; or an error, see NotProposed. It is never called before Propose returns, and
// not at all when the agent ends.
func (n *Node) Propose(items []fleet.Item, at fleet.Time, done func([]fleet.Result, uint64, error)) {
	if len(items) == 0 {
		index := n.machine.applied
		n.life.After(0, func() { done(nil, index, nil) })
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
	items, err := n.fit(items)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnencodable, err)
	}
	data, err := wire.EncodeEntry(fleet.Entry{At: at, Items: items})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnencodable, err)
	}
	if len(data) > maxEntryBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d go into one", ErrTooLarge, len(data), maxEntryBytes)
	}
	return data, nil
}

// fit keeps what the fleet's format does not have yet out of the log, and what this
// node's build does not know.
func (n *Node) fit(items []fleet.Item) ([]fleet.Item, error) {
	gate := fleet.Gate{Kinds: n.log.cfg.Kinds}
	for _, item := range items {
		if needs := gate.Needs(item.Command); needs > n.reads {
			return nil, fmt.Errorf("%s: %w", item.Command.Kind(), wire.ErrFormat)
		}
	}
	if n.log.cfg.Rules.GateIgnored {
		return items, nil
	}
	format := n.reads // of InitFleet
	if f := n.machine.state.Fleet(); f != nil {
		format = f.Format
	}
	return gate.Fit(items, format)
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
		return fmt.Errorf("%w: %w", ErrNotLeader, ErrStalled)
	case n.doubted:
		return ErrNotLeader
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
