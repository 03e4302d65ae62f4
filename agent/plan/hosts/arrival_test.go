package hosts_test

import (
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/hosts"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

// A host that comes back opens its session before its stream: until then it is
// still seen as silent, by what was seen before.
func TestAHostThatOpenedASessionHasTimeToOpenItsStream(t *testing.T) {
	tests := map[string]struct {
		after time.Duration // since it came back
		held  time.Duration // how long it has been seen as silent
		want  string
	}{
		"silence from before it came back":     {after: 2 * time.Second, held: time.Minute, want: "nothing"},
		"silence from after it came back":      {after: 2 * time.Second, held: time.Second, want: "silence h2 flaps 1"},
		"no stream though it had time to open": {after: hosts.ArrivalGrace, held: time.Minute, want: "silence h2 flaps 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := plantest.Parse(t, "h1:; h2 silent=1m:; h3:")
			host := w.State.Host("h2")
			w.Do(fleet.OpenSession{Host: "h2", Boot: "boot-2", Nonce: 2, Addr: host.Addr, Zone: host.Zone,
				Capacity: host.Capacity})
			w.Wait(tt.after)
			w.Liveness.Hosts["h2"] = plan.HostLiveness{Liveness: plan.LivenessSilent, For: tt.held, Age: tt.held}
			p := hosts.Next(w.Input())
			if got := plantest.Text(p); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if due := w.Now.Add(hosts.ArrivalGrace - tt.after); tt.want == "nothing" &&
				(len(p.Wakes) != 1 || p.Wakes[0].At != due) {
				t.Errorf("wakes are %v, want one at %v", p.Wakes, due)
			}
		})
	}
}

// An agent that restarted opens a session though its host never went silent:
// what was seen while it was down says nothing of it.
func TestARefusalFromBeforeTheSessionIsNotSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		opened bool
		want   string
	}{
		"its agent opened no session since": {want: "silence h2"},
		"its agent opened a session since":  {opened: true, want: "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := plantest.Parse(t, "h1:; h2:; h3:")
			w.Wait(10 * time.Minute)
			if host := w.State.Host("h2"); tt.opened {
				w.Do(fleet.OpenSession{Host: "h2", Boot: "boot-1", Nonce: 2, Addr: host.Addr, Zone: host.Zone,
					Capacity: host.Capacity})
			}
			w.Wait(2 * hosts.ArrivalGrace)
			w.Liveness.Hosts["h2"] = plan.HostLiveness{Liveness: plan.LivenessRefused, For: 10 * time.Minute,
				Age: 10 * time.Minute}
			if got := plantest.Text(hosts.Next(w.Input())); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// A machine that runs again is alive before State knows of its session: believed
// in the session before, its old tasks would count as healthy again.
func TestAHostReturnsOnlyInTheSessionThatStateHas(t *testing.T) {
	w := plantest.Parse(t, "h1:; h2:; h3:")
	host := w.State.Host("h2")
	w.Do(fleet.OpenSession{Host: "h2", Boot: "boot-2", Nonce: 2, Addr: host.Addr, Zone: host.Zone,
		Capacity: host.Capacity})
	w.Do(fleet.SilenceHost{Host: "h2", Session: 2})
	w.Wait(hosts.ReturnAfter)
	for heard, want := range []string{"nothing", "nothing", "return h2", "nothing"} {
		w.Liveness.Hosts["h2"] = plan.HostLiveness{Liveness: plan.LivenessAlive, Session: uint64(heard),
			For: hosts.ReturnAfter}
		if got := plantest.Text(hosts.Next(w.Input())); got != want {
			t.Errorf("heard in session %d: %s, want %s", heard, got, want)
		}
	}
}
