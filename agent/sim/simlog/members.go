package simlog

import (
	"cmp"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// change is a change of the configuration that waits for its turn.
type change struct {
	to   func([]Member) []Member
	by   time.Duration
	done func(error)
}

// AddNonvoter adds a server that gets the log and does not vote. It changes
// nothing about one that is in the configuration.
func (n *Node) AddNonvoter(id fleet.RaftID, done func(error)) {
	n.change("add non-voter "+string(id), done, func(members []Member) []Member {
		if slices.ContainsFunc(members, func(m Member) bool { return m.ID == id }) {
			return members
		}
		return append(members, Member{id, false})
	})
}

// AddVoter gives a server a vote.
func (n *Node) AddVoter(id fleet.RaftID, done func(error)) {
	n.change("add voter "+string(id), done, func(members []Member) []Member {
		return append(without(members, id), Member{id, true})
	})
}

// RemoveServer takes a server out; one that is not there is no error. A leader
// that removes itself steps down.
func (n *Node) RemoveServer(id fleet.RaftID, done func(error)) {
	n.change("remove server "+string(id), done, func(members []Member) []Member { return without(members, id) })
}

func without(members []Member, id fleet.RaftID) []Member {
	return slices.DeleteFunc(members, func(m Member) bool { return m.ID == id })
}

func (n *Node) change(what string, done func(error), to func([]Member) []Member) {
	n.call(what, done, n.refusal, func(done func(error)) {
		n.leading.changes = append(n.leading.changes, change{to, n.deadline(), done})
		n.reconfigure()
	})
}

// reconfigure makes the next change, once the last one is committed, and an
// entry of this leader's own.
func (n *Node) reconfigure() {
	for n.role == leader && len(n.leading.changes) > 0 && n.commit >= n.leading.from &&
		n.configs[len(n.configs)-1].index <= n.commit {
		c := n.leading.changes[0]
		n.leading.changes = n.leading.changes[1:]
		before := n.members()
		members := c.to(slices.Clone(before))
		slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
		switch {
		case !slices.ContainsFunc(members, func(m Member) bool { return m.Voting }):
			n.after(0, func() { c.done(errNoVoters) })
		case slices.Equal(members, before):
			n.after(0, func() { c.done(nil) })
		default:
			n.append(&entry{kind: kindMembers, members: members}, func(_ []fleet.Result, _ uint64, err error) { c.done(err) })
		}
	}
}
