package route_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/route"
)

// split is routes with one rule that forwards by these weights, to groups "0", "1", ...
func split(sticky int, weights ...int) fleet.Routes {
	routes := fleet.Routes{Listeners: []fleet.Listener{{Name: "l", Protocol: fleet.ListenHTTP}}}
	forward := &fleet.Forward{StickyS: sticky}
	for i, weight := range weights {
		name := fleet.TargetGroupName(fmt.Sprint(i))
		forward.Groups = append(forward.Groups, fleet.GroupWeight{Group: name, Weight: weight})
		routes.Groups = append(routes.Groups, fleet.GroupTargets{TargetGroup: fleet.TargetGroup{Name: name}})
	}
	routes.Rules = []fleet.Rule{{ID: "l/default", Listener: "l", Action: fleet.Action{Forward: forward}}}
	return routes
}

func TestWeightsAreKeptOverAllHostsTogetherHoweverQuietEachIs(t *testing.T) {
	const hosts = 50
	worst := 0.0
	for seed := range uint64(6) {
		for _, weight := range []int{1, 100, 1000, 2500, 5000, 9000, 9999} {
			for _, each := range []int{1, 3, 20, 200} {
				routes := split(0, fleet.TotalWeight-weight, weight)
				taken := 0
				for host := range uint64(hosts) {
					table, err := memory(seed<<8|host).Compile(routes, 1, time.Time{}, 0)
					if err != nil {
						t.Fatal(err)
					}
					rule := table.Listeners["l"].Find(&route.Request{})
					for range each {
						if group, _ := rule.Pick(nil, nil, time.Now); group.Noun.Name == "1" {
							taken++
						}
					}
				}
				n, p := float64(hosts*each), float64(weight)/fleet.TotalWeight
				off, sigma := math.Abs(float64(taken)-n*p), math.Sqrt(n*p*(1-p))
				worst = max(worst, off/n)
				// The seeds are fixed, so that a sample is off by the same each time, and each holds what is
				// promised of one: 3 sigma, or a thousandth of the requests. Less than a request is no error.
				if off > max(0.001*n, 3*sigma)+1 {
					t.Errorf("seed %d: weight %d, %d requests on each of %d hosts: %d taken, off by %.1f, sigma %.1f",
						seed, weight, each, hosts, taken, off, sigma)
				}
			}
		}
	}
	t.Logf("worst: off by %.4f", worst)
}

func TestOneHostKeepsWeightsBetterThanChance(t *testing.T) {
	for _, weight := range []int{1, 500, 3333, 9999} {
		rule := compile(t, split(0, fleet.TotalWeight-weight, weight)).Listeners["l"].Find(&route.Request{})
		taken := 0
		const n = 100_000
		for range n {
			if group, _ := rule.Pick(nil, nil, time.Now); group.Noun.Name == "1" {
				taken++
			}
		}
		if want := n * weight / fleet.TotalWeight; taken < want-5 || taken > want+5 {
			t.Errorf("weight %d: %d of %d", weight, taken, n)
		}
	}
}

func TestAGroupWithoutWeightTakesNothing(t *testing.T) {
	for _, weights := range [][]int{{0, fleet.TotalWeight}, {fleet.TotalWeight, 0}, {0, fleet.TotalWeight, 0}} {
		rule := compile(t, split(0, weights...)).Listeners["l"].Find(&route.Request{})
		for range 1000 {
			group, _ := rule.Pick(nil, nil, time.Now)
			if group == nil || group.Noun.Name == "0" && weights[0] == 0 || group.Noun.Name == "2" {
				t.Fatalf("weights %v: %v", weights, group)
			}
		}
	}
}

// targets makes a group of targets of which each is described by its zone and state: "a+" is
// healthy in zone a, "-" unhealthy, "?" not checked yet, "!" draining.
func targets(group fleet.TargetGroup, texts ...string) fleet.Routes {
	states := map[byte]fleet.TargetState{'+': fleet.TargetHealthy, '-': fleet.TargetUnhealthy, '?': fleet.TargetInitial,
		'!': fleet.TargetDraining}
	g := fleet.GroupTargets{TargetGroup: group}
	for i, text := range texts {
		g.Targets = append(g.Targets, fleet.Target{
			Task: fleet.TaskID(fmt.Sprint(i)), Addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1)),
			Zone: text[:1], State: states[text[1]],
		})
	}
	return fleet.Routes{Groups: []fleet.GroupTargets{g}}
}

func TestWhichTargetsAreChosenAmong(t *testing.T) {
	tests := map[string]struct {
		group    fleet.TargetGroup
		targets  string
		ejected  []int
		want     string // the targets that are taken, in order
		failOpen bool
	}{
		"those of the zone come first":    {targets: "a+ a+ b+ c+", want: "01"},
		"all, where the zone has too few": {targets: "a+ b+ b+ b+ c+", want: "01234"},
		"all, where the group says so": {
			group: fleet.TargetGroup{AnyZone: true}, targets: "a+ a+ b+", want: "012",
		},
		"all, where the zone has none":                 {targets: "b+ c+", want: "01"},
		"healthy ones":                                 {targets: "a+ a- a? a! a+", want: "04"},
		"those that are not ejected":                   {targets: "a+ a+ a+", ejected: []int{1}, want: "02"},
		"all, where over half look bad":                {targets: "a+ a- a-", want: "012", failOpen: true},
		"but none that drains or was not checked":      {targets: "a+ a- a- a! a?", want: "012", failOpen: true},
		"not those that look bad, where half look bad": {targets: "a+ a-", want: "0"},
		"unchecked ones, where there are no others":    {targets: "a? a? a!", want: "01"},
		"none, where all drain":                        {targets: "a! a!", want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.group.Name = "g"
			g := compile(t, targets(tt.group, strings.Fields(tt.targets)...)).Groups["g"]
			for _, i := range tt.ejected {
				g.Members[i].Eject(time.Time{}, 0, "refused")
			}
			g.Refresh()
			taken := map[string]bool{}
			random := rand.New(rand.NewPCG(1, 2)).Uint64
			for range 500 {
				if target, _ := g.Take(random, 0, &route.Tried{}, nil); target != nil {
					taken[string(target.Noun.Task)] = true
					target.Release()
				}
			}
			got := ""
			for i := range g.Members {
				if taken[fmt.Sprint(i)] {
					got += fmt.Sprint(i)
				}
			}
			if got != tt.want || g.Choice().FailOpen != tt.failOpen {
				t.Errorf("taken %q, fail open %t; want %q, %t", got, g.Choice().FailOpen, tt.want, tt.failOpen)
			}
		})
	}
}

func TestTheLessBusyOfTwoIsTaken(t *testing.T) {
	g := compile(t, targets(fleet.TargetGroup{Name: "g"}, "a+", "a+", "a+", "a+")).Groups["g"]
	random := rand.New(rand.NewPCG(3, 4)).Uint64
	for range 400 {
		if target, _ := g.Take(random, 0, &route.Tried{}, nil); target == nil {
			t.Fatal("none is taken")
		}
	}
	for i := range g.Members {
		if open := g.Members[i].Open(); open < 95 || open > 105 {
			t.Errorf("target %d has %d of 400", i, open)
		}
	}
}

func TestARetryGoesElsewhere(t *testing.T) {
	g := compile(t, targets(fleet.TargetGroup{Name: "g"}, "a+", "a+", "a+")).Groups["g"]
	random := rand.New(rand.NewPCG(5, 6)).Uint64
	for range 100 {
		var tried route.Tried
		seen := map[*route.Target]bool{}
		for range 3 {
			target, _ := g.Take(random, 0, &tried, nil)
			if target == nil || seen[target] {
				t.Fatalf("%v is taken again", target)
			}
			seen[target] = true
			tried.Add(target)
			target.Release()
		}
		if target, _ := g.Take(random, 0, &tried, nil); target != nil {
			t.Fatal("a fourth target of three")
		}
	}
}

func TestANewTargetsShareGrows(t *testing.T) {
	routes := targets(fleet.TargetGroup{Name: "g", SlowStartS: 100}, "a+", "a+")
	start := time.Unix(1_000_000, 0)
	routes.Groups[0].Targets[1].Since = fleet.TimeOf(start)
	table, err := memory(1).Compile(routes, 1, start, 0)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 8)).Uint64
	last := 0
	for _, at := range []time.Duration{0, 30 * time.Second, 60 * time.Second, 100 * time.Second} {
		taken := 0
		for range 10_000 {
			target, _ := table.Groups["g"].Take(random, at, &route.Tried{}, nil)
			if target.Noun.Task == "1" {
				taken++
			}
			target.Release()
		}
		if taken < last+500 {
			t.Errorf("after %s it takes %d of 10,000, before that %d", at, taken, last)
		}
		last = taken
	}
	if last < 4500 {
		t.Errorf("warm, it takes %d of 10,000", last)
	}
}

func TestAnEjectedTargetIsLeftAloneForLongerEachTime(t *testing.T) {
	g := compile(t, targets(fleet.TargetGroup{Name: "g"}, "a+")).Groups["g"]
	target := g.Members[0].Target
	now, last := time.Duration(0), time.Duration(0)
	for i := range 12 {
		target.Eject(time.Time{}, now, "refused")
		pause := target.Ejected().Next - now
		if pause < last*3/4 || pause > 40*time.Second || i < 6 && pause <= last {
			t.Errorf("failure %d: left alone for %s, before that %s", i, pause, last)
		}
		last = pause
		now = target.Ejected().Next
	}
	target.Readmit(now)
	if target.Ejected() != nil {
		t.Error("it is still out")
	}
	if target.Eject(time.Time{}, now+time.Second, "refused"); target.Ejected().Next-now < 10*time.Second {
		t.Error("a target that fails again at once is forgiven")
	}
	target.Readmit(now)
	now += 2 * time.Minute
	if target.Eject(time.Time{}, now, "refused"); target.Ejected().Next-now > time.Second {
		t.Error("a target that was well for long is not forgiven")
	}
}

func TestATaskIsDrainedOnceNothingIsOpenAndNothingFollows(t *testing.T) {
	m := memory(1)
	apply := func(routes fleet.Routes) *route.Table {
		table, err := m.Compile(routes, 1, time.Time{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		m.Retire(table)
		return table
	}
	before := apply(targets(fleet.TargetGroup{Name: "g"}, "a+"))
	random := rand.New(rand.NewPCG(1, 2)).Uint64
	open, _ := before.Groups["g"].Take(random, 0, &route.Tried{}, nil)
	if m.Drained("0") {
		t.Error("a task that gets requests is drained")
	}
	for _, after := range []fleet.Routes{targets(fleet.TargetGroup{Name: "g"}, "a!"), {}} {
		apply(after)
		if m.Drained("0") {
			t.Error("a task with a request is drained")
		}
		if late, _ := before.Groups["g"].Take(random, 0, &route.Tried{}, nil); late != nil {
			t.Error("a request that read the table before goes to a task that drains")
		}
	}
	drained, woken := m.AwaitDrained("0")
	if drained {
		t.Error("drained")
	}
	open.Release()
	<-woken
	if !m.Drained("0") || !m.Drained("never heard of") {
		t.Error("not drained with nothing open")
	}
}
