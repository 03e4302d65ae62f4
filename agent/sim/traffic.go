package sim

import (
	"time"

	"skein/agent/plan"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

const (
	// trafficEvery is how often a leader that watches groups hears what was counted.
	trafficEvery = time.Second
	// trafficRate is how many requests a second each group is given, if a rule gives it any,
	// spread over the revisions that have targets in it.
	trafficRate = 60
	// trafficKept is how many points of a history a leader keeps.
	trafficKept = 120
)

// traffic is what a leader hears that hosts count of the groups that it watches. No request
// is simulated: all are answered well and fast, at a steady rate.
type traffic struct {
	l       *leading
	watched []fleet.TargetGroupName
	groups  map[fleet.TargetGroupName]plan.GroupTraffic
	timer   *virtual.Timer
}

// watch has hosts tell of groups, from now on.
func (t *traffic) watch(groups []fleet.TargetGroupName) {
	before := t.groups
	t.watched, t.groups = groups, map[fleet.TargetGroupName]plan.GroupTraffic{}
	for _, name := range groups {
		t.groups[name] = before[name]
	}
	t.timer.Stop()
	if len(groups) > 0 {
		t.timer = t.l.a.life.After(trafficEvery, t.count)
	}
}

// count adds what was counted since the last time, and has the leader look.
func (t *traffic) count() {
	now, st := t.l.a.w.time.Now(), t.l.a.node.State()
	for _, name := range t.watched {
		g := t.groups[name]
		p := plan.TrafficPoint{At: now, Hosts: hostsServing(st), Revisions: counted(st, name, g)}
		if n := len(g.Points); n > 0 {
			g.Watched += now - g.Points[n-1].At
		}
		g.Points = append(g.Points[max(0, len(g.Points)-trafficKept+1):len(g.Points):len(g.Points)], p)
		t.groups[name] = g
	}
	t.timer = t.l.a.life.After(trafficEvery, t.count)
	t.l.noticed()
}

// seen is what the leader sees.
func (t *traffic) seen() plan.Traffic {
	seen := plan.Traffic{At: t.l.a.w.time.Now(), Groups: map[fleet.TargetGroupName]plan.GroupTraffic{}}
	for name, g := range t.groups {
		if len(g.Points) > 0 {
			seen.Groups[name] = g
		}
	}
	return seen
}

func hostsServing(st *fleet.State) (n int) {
	for h := range st.Hosts() {
		if h.State == fleet.HostReady && h.ServesRoutes() {
			n++
		}
	}
	return n
}

// counted is what a group's revisions have answered by now, given its history.
func counted(
	st *fleet.State, name fleet.TargetGroupName, g plan.GroupTraffic,
) map[fleet.RevisionID]fleet.TrafficCounts {
	counts := map[fleet.RevisionID]fleet.TrafficCounts{}
	if n := len(g.Points); n > 0 {
		for revision, before := range g.Points[n-1].Revisions {
			counts[revision] = before
		}
	}
	targets := st.Targets(name)
	if !takesTraffic(st, name) || len(targets) == 0 {
		return counts
	}
	for _, target := range targets {
		add := fleet.TrafficCounts{Requests: uint64(trafficRate / min(len(targets), trafficRate))}
		add.Latency[fleet.LatencyBucket(10*time.Millisecond)] = add.Requests
		sum := counts[target.Revision]
		sum.Add(add)
		counts[target.Revision] = sum
	}
	return counts
}

func takesTraffic(st *fleet.State, name fleet.TargetGroupName) bool {
	for rule := range st.RulesTo(name) {
		for _, share := range rule.Action.Forward.Groups {
			if share.Group == name && share.Weight > 0 {
				return true
			}
		}
	}
	return false
}
