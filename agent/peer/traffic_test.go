package peer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock/clocktest"
)

// newTrafficRig is a fleet of five hosts that know of traffic.
func newTrafficRig(t *testing.T) *detectorRig {
	s := newDetectorRig(t, "abc")
	s.must(fleet.RaiseFormat{Format: fleet.FormatVersion})
	s.must(fleet.PutTargetGroup{Name: "web", Protocol: fleet.GroupHTTP1, Check: fleet.TargetCheck{
		IntervalS: 5, TimeoutS: 2, Healthy: 1, Unhealthy: 2,
	}})
	return s
}

// count has hosts answer so many requests each.
func (s *detectorRig) count(requests uint64) {
	for _, h := range s.hosts {
		h.link.note(func() { h.link.counts.Requests += requests })
	}
}

func (s *detectorRig) until(what string, within time.Duration, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not %s after %s: %+v", what, within, s.leader().Traffic().Over("web", "", time.Hour))
		}
		clocktest.Elapse(time.Millisecond)
	}
}

// telling is how many hosts are heard to count now.
func (s *detectorRig) telling() int {
	points := s.leader().Traffic().Groups["web"].Points
	if len(points) == 0 {
		return 0
	}
	return points[len(points)-1].Hosts
}

func (s *detectorRig) sum() plan.TrafficWindow {
	return s.leader().Traffic().Over("web", "web/1", time.Hour)
}

func TestALeaderHearsWhatAllHostsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrafficRig(t)
		s.count(1_000)
		clocktest.Elapse(3 * time.Second)
		if got := s.leader().Traffic(); len(got.Groups) > 0 {
			t.Fatalf("nothing is watched, and heard is %+v", got)
		}
		s.leader().Watch([]fleet.TargetGroupName{"web"})
		s.until("heard of by all", 4*time.Second, func() bool { return s.telling() == 5 })
		clocktest.Elapse(time.Second)
		began := s.sum().Requests
		s.count(10)
		s.until("summed", 2*time.Second, func() bool { return s.sum().Requests == began+50 })

		// The hosts of a voter that dies go to others, which go on where it ended.
		voter := s.hosts[s.order[0]].link.link.Status().Voter // the leader streams from another
		s.set(voter, true, false)
		s.stop(voter)
		s.until("without the dead voter", 20*time.Second, func() bool { return s.telling() == 4 })
		s.count(100)
		s.until("summed without it", 3*time.Second, func() bool { return s.sum().Requests == began+50+400 })
		s.leader().Watch(nil)
		clocktest.Elapse(3 * time.Second)
		if got := s.leader().Traffic(); len(got.Groups) > 0 {
			t.Errorf("nothing is watched any more, and heard is %+v", got)
		}
	})
}

// What it costs to wait for all hosts is what a shift of traffic costs.
func TestALeaderHearsAtOnceThatHostsServeNewRoutesWhileItWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrafficRig(t)
		missing := func() []fleet.HostID {
			in := plan.Input{State: s.cluster.state(), Liveness: s.leader().Liveness()}
			return in.RoutesServed(s.cluster.state().ServedRoutes().Routes).Missing
		}
		shift := func(delay int) {
			s.must(fleet.PutTargetGroup{Name: "web", ExpectedModifyIndex: s.cluster.state().TargetGroup("web").ModifyIndex,
				Protocol: fleet.GroupHTTP1, DeregistrationDelayS: delay,
				Check: fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 1, Unhealthy: 2}})
		}
		clocktest.Elapse(3 * time.Second)
		if got := missing(); len(got) != 5 {
			t.Errorf("nothing is watched, and missing are %v", got)
		}
		s.leader().Watch([]fleet.TargetGroupName{"web"})
		s.until("heard of", 4*time.Second, func() bool { return len(missing()) == 0 })
		waited := 0
		for i := range 20 {
			clocktest.Elapse(time.Duration(137*i) * time.Millisecond) // at any place between two beats
			shift(i)
			waited += len(missing())
			s.until("served by all", 80*time.Millisecond, func() bool { return len(missing()) == 0 })
		}
		if waited == 0 {
			t.Error("no change of routes was waited for")
		}
	})
}

// What people look at is told for as long as they do, and takes nothing from planners.
func TestTrafficIsShownForAsLongAsSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrafficRig(t)
		show := func() plan.TrafficWindow {
			return s.leader().Show([]fleet.TargetGroupName{"web"}).Over("web", "web/1", time.Hour)
		}
		clocktest.Elapse(3 * time.Second) // the leader knows that it leads
		if w := show(); w.Over != 0 {
			t.Fatalf("known at once: %+v", w)
		}
		s.until("all hosts tell", 5*time.Second, func() bool { return s.telling() == len(s.hosts) })
		s.count(10)
		want := uint64(10 * len(s.hosts))
		s.until("what they count is shown", 5*time.Second, func() bool { return show().Requests == want })
		clocktest.Elapse(2 * showFor)
		if got := s.leader().Traffic(); len(got.Groups) > 0 {
			t.Errorf("nobody looks, and heard is %+v", got)
		}
		s.leader().Watch([]fleet.TargetGroupName{"web"})
		show()
		s.until("all hosts tell again", 5*time.Second, func() bool { return s.telling() == len(s.hosts) })
		clocktest.Elapse(2 * showFor)
		if s.telling() != len(s.hosts) {
			t.Error("planners are not told any more, since nobody looks")
		}
	})
}

func TestWhatIsShownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTrafficRig(t)
		var many []fleet.TargetGroupName
		for i := range 1000 {
			many = append(many, fleet.TargetGroupName(fmt.Sprintf("g%d", i)))
		}
		clocktest.Elapse(3 * time.Second)
		s.leader().Show(many)
		s.leader().mu.Lock()
		defer s.leader().mu.Unlock()
		if n := len(s.leader().watched); n != maxShown {
			t.Errorf("%d groups are watched", n)
		}
	})
}
