package sim

import (
	"time"

	"skein/agent/sim/virtual"
)

// connect runs f on another agent over a connection; f may reply, once. reset is told instead when the agent there ends
// before it replies and its machine resets the connection. A host that calls itself needs no network.
func (a *agent) connect(to *host, f func(v *agent, reply func(func())), reset func()) *virtual.Connection {
	c := a.w.net.Connect(a.id, to.id, reset)
	a.w.net.Carry(a.id, to.id, func() {
		v := to.agent
		if v == nil {
			return
		}
		f(v, func(answer func()) {
			c.Close() // what is on its way is not taken back
			a.w.net.Carry(to.id, a.id, func() {
				if !a.life.Over() {
					answer()
				}
			})
		})
	})
	return c
}

// call is connect for those who wait for a while: exactly one of an answer and failed is told, if this agent lives.
func (a *agent) call(to *host, within time.Duration, f func(v *agent, reply func(func())), failed func(error)) {
	var late *virtual.Timer
	over := func() (was bool) {
		was = !late.Waiting()
		late.Stop()
		return was
	}
	c := a.connect(to, func(v *agent, reply func(func())) {
		f(v, func(answer func()) {
			reply(func() {
				if !over() {
					answer()
				}
			})
		})
	}, func() {
		if !over() {
			failed(errReset)
		}
	})
	late = a.life.After(within, func() {
		c.Close()
		failed(errNoAnswer)
	})
}
