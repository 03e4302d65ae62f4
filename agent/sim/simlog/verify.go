package simlog

import "slices"

// Verify asks a majority whether this node still leads, and answers once State
// holds everything that was committed before.
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

// verified answers questions that a majority has confirmed. Before the first
// entry of its own term commits, a leader does not know what else is committed.
func (n *Node) verified() {
	if n.role != leader || len(n.leading.verifies) == 0 || n.commit < n.leading.from {
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
