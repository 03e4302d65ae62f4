package sim

import (
	"errors"
	"testing"
	"time"

	"skein/agent/effects"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// A host that waited for the answer of an agent that is gone, while others would have served it, once heard no voter
// until its tasks had to stop.
func TestACallEndsWithTheAgentThatItWasMadeToWhereItsMachineGoesOn(t *testing.T) {
	const long = 10 * time.Second // that a call may take
	at := time.Millisecond        // when the agent there ends, and a call is neither answered nor new
	calls := map[string]func(a *agent, to *host, ended func(error)){
		"a call": func(a *agent, to *host, ended func(error)) {
			a.call(to, long, func(*agent, func(func())) {}, ended)
		},
		"a call of a host's link": func(a *agent, to *host, ended func(error)) {
			a.link.ask(to.id, long, func(*agent, func(func())) {}, ended)
		},
		"a request for an effect": func(a *agent, to *host, ended func(error)) {
			r := effects.Request{ID: "e-1", Attempt: 1, Session: 1, Kind: effectKind, Input: effectInput("done", time.Minute),
				WithinMs: time.Minute.Milliseconds(), Until: a.wallClock().Add(time.Minute)}
			a.askEffect(to.id, r, func(_ effects.Answer, err error, _ bool) { ended(err) })
		},
		"a question for the way to the leader": func(a *agent, to *host, ended func(error)) {
			a.serves.way.askAway(to.id, func(int) { ended(nil) })
		},
	}
	for name, call := range calls {
		for _, tt := range []struct {
			what  string
			end   func(w *World, to *host)
			reset bool
		}{
			{"the agent dies", func(_ *World, to *host) { to.killAgent() }, true},
			{"another agent takes its place", func(w *World, to *host) { w.net.Begin(to.id) }, true},
			{"the machine loses its power", func(_ *World, to *host) { to.powerOff() }, false},
			{"the agent dies behind a cut", func(w *World, to *host) {
				w.net.Cut([]fleet.HostID{to.id}, []fleet.HostID{w.order[0].id})
				to.killAgent()
			}, false},
		} {
			t.Run(name+" and "+tt.what, func(t *testing.T) {
				w := New(Config{
					Seed: 1, Hosts: Uniform(5, fleet.Resources{CPU: 4096, Memory: 8192}),
					Network: virtual.NetworkConditions{Delay: 2 * at}, // the agent ends while the call is on its way
				})
				if err := w.Bring(bringWithin); err != nil {
					t.Fatal(err)
				}
				from, to := w.order[0], w.order[1]
				begun, ended := w.time.Now(), time.Duration(-1)
				call(from.agent, to, func(err error) {
					if ended < 0 {
						ended = w.time.Now()
					}
					if tt.reset && err != nil && !errors.Is(err, errReset) {
						t.Errorf("got %v, want %v", err, errReset)
					}
				})
				w.time.Run(begun + at)
				tt.end(w, to)
				w.time.Run(begun + 100*time.Millisecond)
				if got := ended >= 0; got != tt.reset {
					t.Errorf("100 ms later: ended is %t, want %t", got, tt.reset)
				}
				if tt.reset {
					return
				}
				w.time.Run(begun + time.Minute)
				if ended < 0 {
					t.Error("a minute later the call has not ended")
				}
			})
		}
	}
}
