package virtual

import "skein/raftfsm/fleet"

// Connection is a connection of one agent to another, as the one that opened it sees it.
type Connection struct{ forget func() }

// Connect connects an agent to another. reset is told once, in the life of the agent that connects, when the agent at
// the other end ends, or has ended, on a machine that goes on: the kernel there resets the connection. Where the
// network does not pass, or the other machine has no power, nothing is told.
func (n *Network) Connect(from, to fleet.HostID, reset func()) *Connection {
	c := &Connection{forget: func() {}}
	here, there := n.machine(from).life, n.machine(to).life
	if from == to || here == nil {
		return c // what an agent calls in itself ends with it
	}
	told := func() {
		if n.Dial(from, to) == Silent {
			return
		}
		pending := here.After(n.delay(to, from), func() {
			if n.Passes(to, from) {
				reset()
			}
		})
		c.forget = pending.Stop
	}
	if there.Over() {
		told()
		return c
	}
	c.forget = there.OnEnd(told)
	return c
}

// Close has nothing more told of the connection. Closing twice is harmless.
func (c *Connection) Close() { c.forget() }
