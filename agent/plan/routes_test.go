package plan_test

import (
	"slices"
	"testing"

	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

func TestRoutesServed(t *testing.T) {
	tests := map[string]struct {
		hosts                    string
		served                   map[fleet.HostID]fleet.Served
		reached, missing, silent []fleet.HostID
		unknown                  bool
	}{
		"all have come so far": {
			hosts:   "h1 reads=2:; h2 reads=2:",
			served:  map[fleet.HostID]fleet.Served{"h1": {Routes: 50}, "h2": {Routes: 51}},
			reached: []fleet.HostID{"h1", "h2"},
		},
		"one is behind, and of one nothing is known": {
			hosts:   "h1 reads=2:; h2 reads=2:; h3 reads=2:",
			served:  map[fleet.HostID]fleet.Served{"h1": {Routes: 50}, "h2": {Routes: 49}},
			reached: []fleet.HostID{"h1"}, missing: []fleet.HostID{"h2", "h3"},
		},
		"one that is suspect, refused or seen silent is waited for": {
			hosts:   "h1 reads=2:; h2 reads=2 seen=suspect/1s:; h3 reads=2 seen=refused/1s:; h4 reads=2 seen=silent/1s:",
			served:  map[fleet.HostID]fleet.Served{"h1": {Routes: 50}},
			reached: []fleet.HostID{"h1"}, missing: []fleet.HostID{"h2", "h3", "h4"},
		},
		"one that is cordoned serves too": {
			hosts:   "h1 reads=2:; h2 reads=2 cordoned:",
			served:  map[fleet.HostID]fleet.Served{"h1": {Routes: 50}},
			reached: []fleet.HostID{"h1"}, missing: []fleet.HostID{"h2"},
		},
		"one that State holds silent is not waited for": {
			hosts:   "h1 reads=2:; h2 reads=2 silent=10s:",
			served:  map[fleet.HostID]fleet.Served{"h1": {Routes: 50}},
			reached: []fleet.HostID{"h1"}, silent: []fleet.HostID{"h2"},
		},
		"of a fleet that is all silent nothing is known": {
			hosts:  "h1 reads=2 silent=10s:; h2 reads=2 silent=10s:",
			served: map[fleet.HostID]fleet.Served{"h1": {Routes: 50}}, silent: []fleet.HostID{"h1", "h2"},
			unknown: true,
		},
		"lost hosts, new ones, and agents that know of no routes do not count": {
			hosts:   "h1 reads=2:; h2 reads=2 lost:; h3 reads=2 joining:; h4 reads=1:",
			served:  map[fleet.HostID]fleet.Served{"h1": {Routes: 50}},
			reached: []fleet.HostID{"h1"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := plantest.Parse(t, tt.hosts)
			for id, served := range tt.served {
				served.Epoch = w.State.Fleet().Epoch
				seen := w.Liveness.Hosts[id]
				seen.Served = served
				w.Liveness.Hosts[id] = seen
			}
			got := w.Input().RoutesServed(50)
			if !slices.Equal(got.Reached, tt.reached) || !slices.Equal(got.Missing, tt.missing) ||
				!slices.Equal(got.Silent, tt.silent) {
				t.Errorf("got %+v", got)
			}
			if got.All() != (len(tt.missing) == 0 && !tt.unknown) {
				t.Errorf("all: %v", got.All())
			}
			if all := w.Input().RoutesServedByAll() >= 50; all != got.All() {
				t.Errorf("by all: %v, and of one index %v", all, got.All())
			}
		})
	}
}
