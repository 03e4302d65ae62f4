package detector

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// trafficRig is two voters and their leader, which is a third.
type trafficRig struct {
	t      *testing.T
	now    time.Duration
	watch  *Watch
	voters map[fleet.HostID]*trafficVoter
}

type trafficVoter struct {
	streams *Streams
	teller  Teller
}

func newTrafficRig(t *testing.T, groups ...fleet.TargetGroupName) *trafficRig {
	r := &trafficRig{t: t, now: time.Hour, watch: NewWatch("h0"), voters: map[fleet.HostID]*trafficVoter{}}
	for _, id := range []fleet.HostID{"v1", "v2"} {
		r.voters[id] = &trafficVoter{streams: NewStreams()}
		r.voters[id].streams.Watch(groups)
	}
	r.watch.Begin(r.now)
	r.watch.WatchTraffic(groups)
	return r
}

// tells brings a host's counts to its voter.
func (r *trafficRig) tells(voter, host fleet.HostID, start uint64, groups ...fleet.GroupTraffic) {
	s := r.voters[voter].streams
	if s.Of(host) == nil {
		s.Open(r.now, host, 1)
	}
	s.Of(host).Beat(r.now, time.Time{}, Beat{Traffic: &fleet.HostTraffic{Start: start, Groups: groups}})
}

func of(group fleet.TargetGroupName, requests ...uint64) fleet.GroupTraffic {
	g := fleet.GroupTraffic{Group: group}
	for i, n := range requests {
		g.Revisions = append(g.Revisions, fleet.RevisionTraffic{
			Revision: fleet.RevisionID(fmt.Sprint("web/", i+1)), Counts: fleet.TrafficCounts{Requests: n, Errors: n / 10},
		})
	}
	return g
}

// word brings words of voters to the leader until all that they had to tell is in a point, a
// second in all. Of those that get lost their voter is told.
func (r *trafficRig) word(lost ...fleet.HostID) {
	for range 2 {
		r.now += pointsApart
		for _, id := range []fleet.HostID{"v1", "v2"} {
			v := r.voters[id]
			a := v.teller.Next(r.now, "h0", v.streams, v.streams.All(), fleet.Served{}, false)
			v.teller.Told(!slices.Contains(lost, id) && !r.watch.Take(r.now, id, a), nil)
		}
	}
}

func (r *trafficRig) want(why string, group fleet.TargetGroupName, revision fleet.RevisionID, requests uint64,
	hosts int) {
	r.t.Helper()
	points := r.watch.Traffic(r.now).Groups[group].Points
	if len(points) == 0 {
		r.t.Fatalf("%s: nothing is known of %s", why, group)
	}
	last := points[len(points)-1]
	if got := last.Revisions[revision].Requests; got != requests || last.Hosts != hosts {
		r.t.Errorf("%s: %d requests of %d hosts, want %d of %d", why, got, last.Hosts, requests, hosts)
	}
}

func TestWhatHostsCountIsSummedOverVoters(t *testing.T) {
	r := newTrafficRig(t, "api", "web")
	r.tells("v1", "h1", 1, of("web", 1000, 500))
	r.tells("v1", "h2", 1, of("web", 70))
	r.tells("v2", "h3", 1, of("web", 5), of("other", 5))
	r.word()
	r.want("what was before the watch does not count", "web", "web/1", 0, 3)
	r.tells("v1", "h1", 1, of("web", 1010, 500))
	r.tells("v1", "h2", 1, of("web", 75))
	r.tells("v2", "h3", 1, of("web", 6))
	r.word()
	r.want("what came since does", "web", "web/1", 16, 3)
	r.tells("v1", "h2", 1, of("web", 77, 9))
	r.word()
	r.want("a revision that came later counts whole", "web", "web/2", 9, 3)
	r.tells("v2", "h3", 2, of("web", 30))
	r.word()
	r.want("an ingress that began anew counts from 0, though it is further by now", "web", "web/1", 16+2+30, 3)
	r.tells("v1", "h1", 1, of("web", 1020, 500))
	r.word("v1")
	r.tells("v1", "h1", 1, of("web", 1030, 500))
	r.word()
	r.want("a word that was lost loses nothing", "web", "web/1", 48+20, 3)
	if traffic := r.watch.Traffic(r.now); len(traffic.Groups) != 1 {
		t.Errorf("something is known of groups that nobody told of, or that are not watched: %+v", traffic.Groups)
	}
}

func TestAHostThatGoesToAnotherVoterLosesNothing(t *testing.T) {
	r := newTrafficRig(t, "web")
	r.tells("v1", "h1", 1, of("web", 100))
	r.tells("v2", "h2", 1, of("web", 0))
	r.word()
	r.tells("v1", "h1", 1, of("web", 110))
	r.word()
	r.voters["v1"].streams.Close(r.voters["v1"].streams.Of("h1"), false)
	r.word()
	r.want("its stream has ended", "web", "web/1", 10, 1)
	r.tells("v2", "h1", 1, of("web", 110)) // as link.Traffic begins a stream
	r.tells("v2", "h1", 1, of("web", 115))
	r.word()
	r.want("it is heard by another", "web", "web/1", 15, 2)
}

func TestHostsOfAVoterThatIsSilentAreNotHeardToCount(t *testing.T) {
	r := newTrafficRig(t, "web")
	r.tells("v1", "h1", 1, of("web", 100))
	r.tells("v2", "h2", 1, of("web", 0))
	r.word()
	r.want("both tell", "web", "web/1", 0, 2)
	for range 4 {
		r.now += protocol.AgesEvery
		v := r.voters["v2"]
		r.watch.Take(r.now, "v2", v.teller.Next(r.now, "h0", v.streams, v.streams.All(), fleet.Served{}, false))
	}
	r.want("one is silent", "web", "web/1", 0, 1)
	r.watch.KnowVoters([]fleet.HostID{"v2"})
	r.word()
	r.want("it votes no more, and tells as if it did", "web", "web/1", 0, 2)
}

func TestAnotherWatchBeginsAnew(t *testing.T) {
	r := newTrafficRig(t, "web")
	watch := func(groups ...fleet.TargetGroupName) {
		r.watch.WatchTraffic(groups)
		for _, v := range r.voters {
			v.streams.Watch(groups)
		}
	}
	r.tells("v1", "h1", 1, of("web", 100))
	r.tells("v1", "h1", 1, of("web", 105))
	r.word()
	r.tells("v1", "h1", 1, of("web", 110))
	r.word()
	r.want("the first word is where it begins", "web", "web/1", 5, 1)
	watch()
	r.word()
	if got := r.watch.Traffic(r.now).Groups; len(got) > 0 {
		t.Fatalf("nothing is watched, and known is %+v", got)
	}
	watch("web")
	r.tells("v1", "h1", 1, of("web", 200))
	r.word()
	r.tells("v1", "h1", 1, of("web", 203))
	r.word()
	r.want("watched again", "web", "web/1", 3, 1)
	r.watch.Begin(r.now)
	r.watch.WatchTraffic([]fleet.TargetGroupName{"web"})
	r.word()
	r.word()
	r.tells("v1", "h1", 1, of("web", 207))
	r.word()
	r.want("another leader", "web", "web/1", 4, 1)
}

func TestAHistoryIsBoundedAndCloseWhereItIsNew(t *testing.T) {
	r := newTrafficRig(t, "web")
	seconds := uint64(20 * 60)
	var held plan.Traffic
	for i := range seconds {
		r.tells("v1", "h1", 1, of("web", i))
		r.word()
		if i == 300 {
			held = r.watch.Traffic(r.now)
		}
	}
	g := r.watch.Traffic(r.now).Groups["web"]
	if len(g.Points) > maxPoints+1 {
		t.Errorf("%d points", len(g.Points))
	}
	if got := r.now - g.Points[0].At; got > pointsKept+time.Minute || got < pointsKept-time.Minute {
		t.Errorf("the oldest point is %s old", got)
	}
	if got := g.Watched.Round(time.Second); got != time.Duration(seconds)*time.Second {
		t.Errorf("watched for %s", got)
	}
	traffic := r.watch.Traffic(r.now)
	for d, most := range map[time.Duration]time.Duration{
		time.Second: time.Second, 10 * time.Second: 10 * time.Second, time.Minute: time.Minute + pointsCoarse,
		5 * time.Minute: 5*time.Minute + 2*pointsCoarse,
	} {
		w := traffic.Over("web", "web/1", d)
		if w.Over < d || w.Over > most || w.Requests != uint64(w.Over/time.Second) {
			t.Errorf("the last %s are %d requests over %s", d, w.Requests, w.Over)
		}
	}
	if got := held.Groups["web"].Points; len(got) > maxPoints+1 || got[len(got)-1].Revisions["web/1"].Requests != 300 {
		t.Errorf("a view that was handed over has changed: it ends with %+v", got[len(got)-1])
	}
}

func TestAWordHoldsSoManyGroupsAndTheOthersComeNext(t *testing.T) {
	var groups []fleet.TargetGroupName
	for i := range plan.MaxWatched {
		groups = append(groups, fleet.TargetGroupName(fmt.Sprintf("g%04d", i)))
	}
	r := newTrafficRig(t, groups...)
	for i := 0; i < len(groups); i += fleet.MaxTrafficGroups {
		var told []fleet.GroupTraffic
		for _, name := range groups[i : i+fleet.MaxTrafficGroups] {
			told = append(told, of(name, 1))
		}
		r.tells("v1", "h1", 1, told...)
	}
	v, seen := r.voters["v1"], map[fleet.TargetGroupName]bool{}
	for range plan.MaxWatched / MaxTraffic {
		a := v.teller.Next(r.now, "h0", v.streams, v.streams.All(), fleet.Served{}, false)
		if len(a.Traffic) != MaxTraffic {
			t.Fatalf("%d groups in a word", len(a.Traffic))
		}
		for _, g := range a.Traffic {
			seen[g.Group] = true
		}
	}
	if len(seen) != plan.MaxWatched {
		t.Errorf("%d groups were told, of %d", len(seen), plan.MaxWatched)
	}
	if a := v.teller.Next(r.now, "h0", v.streams, v.streams.All(), fleet.Served{}, false); len(a.Traffic) != 0 {
		t.Errorf("nothing moved, and %d are told again", len(a.Traffic))
	}
}

func TestWhatHostsMayTellIsBounded(t *testing.T) {
	r := newTrafficRig(t, "web")
	for host := range 10 {
		g := fleet.GroupTraffic{Group: "web"}
		for i := range 100 {
			g.Revisions = append(g.Revisions, fleet.RevisionTraffic{Revision: fleet.RevisionID(fmt.Sprint(host, "/", i))})
		}
		r.tells("v1", fleet.HostID(fmt.Sprint("h", host)), 1, g)
	}
	r.word()
	points := r.watch.Traffic(r.now).Groups["web"].Points
	if got := len(points[len(points)-1].Revisions); got != maxSumRevisions {
		t.Errorf("%d revisions of one group are kept", got)
	}
}
