package route_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/route"
)

// stage is a rule's groups at a moment: each as NAME:WEIGHT:REVISIONS, "a:9000:shop/1".
func stage(forward fleet.Forward, groups ...string) fleet.Routes {
	routes := fleet.Routes{Listeners: []fleet.Listener{{Name: "l", Protocol: fleet.ListenHTTP}}}
	for _, text := range groups {
		parts := strings.SplitN(text, ":", 3)
		name, weight := fleet.TargetGroupName(parts[0]), 0
		if _, err := fmt.Sscan(parts[1], &weight); err != nil {
			panic(err)
		}
		forward.Groups = append(forward.Groups, fleet.GroupWeight{Group: name, Weight: weight})
		g := fleet.GroupTargets{TargetGroup: fleet.TargetGroup{Name: name}}
		for i, revision := range strings.Fields(parts[2]) {
			target := fleet.Target{Task: fleet.TaskID(fmt.Sprint(name, i)), State: fleet.TargetHealthy}
			if revision[0] == '!' {
				target.State, revision = fleet.TargetDraining, revision[1:]
			}
			target.Revision = fleet.RevisionID(revision)
			g.Targets = append(g.Targets, target)
		}
		routes.Groups = append(routes.Groups, g)
	}
	routes.Rules = []fleet.Rule{{ID: "l/default", Listener: "l", Action: fleet.Action{Forward: &forward}}}
	return routes
}

// crowd are clients that keep what cookies they are given.
type crowd struct {
	t       *testing.T
	rule    *route.Rule
	now     time.Time
	cookies []header // of each client
	at      []string // the group that each was led to last
	renewed int      // cookies given in the last round
}

func newCrowd(t *testing.T, n int) *crowd {
	c := &crowd{t: t, now: time.Unix(1_800_000_000, 0), cookies: make([]header, n), at: make([]string, n)}
	for i := range c.cookies {
		c.cookies[i] = header{}
	}
	return c
}

// come has each client ask once, and returns how many of them were led to each group.
func (c *crowd) come(routes fleet.Routes) map[string]int {
	c.t.Helper()
	c.rule = compile(c.t, routes).Listeners["l"].Find(&route.Request{})
	counts := map[string]int{}
	c.renewed = 0
	for i := range c.cookies {
		group, line := c.rule.Pick(&route.Request{Fields: c.cookies[i]}, c.cookies[i], func() time.Time { return c.now })
		if group == nil {
			c.t.Fatal("no group")
		}
		c.at[i] = string(group.Noun.Name)
		counts[c.at[i]]++
		if line != nil {
			c.renewed++
			name, value := cookie(c.t, line)
			c.cookies[i][name] = value
		}
	}
	return counts
}

func cookie(t *testing.T, line []byte) (name, value string) {
	t.Helper()
	text, ok := strings.CutPrefix(string(line), "Set-Cookie: ")
	name, rest, found := strings.Cut(text, "=")
	value, _, ended := strings.Cut(rest, ";")
	if !ok || !found || !ended || !strings.HasSuffix(rest, "\r\n") {
		t.Fatalf("no line with a cookie: %q", line)
	}
	return name, value
}

var kept = fleet.Forward{StickyS: 3600}

func TestClientsWithACookieChangeOverOnceAndInProportion(t *testing.T) {
	const n = 20_000
	for name, of := range map[string]func(blue, green int) []string{
		"the alternate group is the second": func(blue, green int) []string {
			return []string{fmt.Sprintf("a:%d:shop/9", blue), fmt.Sprintf("b:%d:shop/10", green)}
		},
		"the alternate group is the first": func(blue, green int) []string {
			return []string{fmt.Sprintf("b:%d:shop/10", green), fmt.Sprintf("a:%d:shop/9", blue)}
		},
		"groups of two services": func(blue, green int) []string {
			return []string{fmt.Sprintf("a:%d:shop/9", blue), fmt.Sprintf("b:%d:cart/1", green)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, n)
			was := make([]string, n)
			for _, green := range []int{0, 1, 100, 500, 2500, 5000, 9999, 10_000} {
				got := c.come(stage(kept, of(fleet.TotalWeight-green, green)...))["b"]
				p := float64(green) / fleet.TotalWeight
				if off := math.Abs(float64(got) - n*p); off > 3*math.Sqrt(n*p*(1-p))+1 {
					t.Errorf("weight %d: %d of %d clients are led there, off by %.0f", green, got, n, off)
				}
				for i := range was {
					if was[i] == "b" && c.at[i] != "b" {
						t.Fatalf("weight %d: client %d is led back", green, i)
					}
				}
				copy(was, c.at)
			}
		})
	}
}

func TestAClientThatReachedANewRevisionGoesBackOnlyWhenThatHasNoWeight(t *testing.T) {
	c := newCrowd(t, 1000)
	half := c.come(stage(kept, "a:5000:shop/1", "b:5000:shop/2"))["b"]
	if less := c.come(stage(kept, "a:9900:shop/1", "b:100:shop/2"))["b"]; less != half || c.renewed != 0 {
		t.Errorf("%d of %d are left when the weight is lowered, %d new cookies", less, half, c.renewed)
	}
	if none := c.come(stage(kept, "a:10000:shop/1", "b:0:shop/2"))["b"]; none != 0 || c.renewed != half {
		t.Errorf("%d are left after a rollback, %d of %d have new cookies", none, c.renewed, half)
	}
	if again := c.come(stage(kept, "a:5000:shop/1", "b:5000:shop/2"))["b"]; again != half {
		t.Errorf("%d come with the next try, before that %d: their places have changed", again, half)
	}
}

func TestAClientStaysWithItsRevisionWhenADeploymentEnds(t *testing.T) {
	c := newCrowd(t, 1000)
	c.come(stage(kept, "a:5000:shop/1", "b:5000:shop/2"))
	c.come(stage(kept, "a:0:shop/1", "b:10000:shop/2"))
	// Clean-up: green's tasks are in the first group now, and the weights read as before.
	if got := c.come(stage(kept, "a:10000:!shop/1 shop/2", "b:0:")); got["a"] != 1000 || c.renewed != 0 {
		t.Errorf("%v, %d new cookies", got, c.renewed)
	}
	// The next deployment takes them over in proportion again.
	got := c.come(stage(kept, "a:9000:shop/2", "b:1000:shop/3"))["b"]
	if got < 60 || got > 140 {
		t.Errorf("%d of 1000 change over with a tenth of the weight", got)
	}
	if again := c.come(stage(kept, "a:10000:shop/2", "b:0:shop/3"))["b"]; again != 0 {
		t.Errorf("%d stay after its rollback", again)
	}
}

func TestAMixOfRevisionsIsOneGroup(t *testing.T) {
	c := newCrowd(t, 1000)
	c.come(stage(kept, "a:10000:shop/1"))
	c.come(stage(kept, "a:10000:shop/1 shop/2"))
	if c.renewed != 1000 {
		t.Errorf("%d clients have reached the newer revision", c.renewed)
	}
	if got := c.come(stage(kept, "a:5000:shop/1 shop/2", "b:5000:shop/3")); got["b"] < 400 || got["b"] > 600 {
		t.Errorf("%v", got)
	}
}

func TestACookieIsGivenAnewAfterHalfOfItsTime(t *testing.T) {
	c := newCrowd(t, 10)
	routes := stage(kept, "a:10000:shop/1")
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 10}, {29 * time.Minute, 0}, {time.Minute, 10}, {time.Minute, 0}, {-time.Hour, 10}} {
		c.now = c.now.Add(step.after)
		if c.come(routes); c.renewed != step.want {
			t.Errorf("after another %s: %d of 10 cookies are given anew, want %d", step.after, c.renewed, step.want)
		}
	}
}

func TestACookieTellsNothingAndIsNotTrusted(t *testing.T) {
	rules := stage(kept, "a:10000:shop/1")
	rules.Rules = append(rules.Rules, rules.Rules[0])
	rules.Rules[1].ID, rules.Rules[1].Priority = "l/other", 1
	table := compile(t, rules)
	var values []string
	for _, rule := range table.Listeners["l"].Rules() {
		_, line := rule.Pick(&route.Request{}, nil, time.Now)
		_, value := cookie(t, line)
		values = append(values, value[3:11]) // of the revision alone
		if len(value) != 16 {
			t.Errorf("cookie %q has %d bytes", value, len(value))
		}
	}
	if values[0] == values[1] {
		t.Error("the revision is told to be the same by two rules")
	}
	rule := table.Listeners["l"].Find(&route.Request{})
	_, line := rule.Pick(&route.Request{}, nil, time.Now)
	name, value := cookie(t, line)
	for _, bad := range []string{
		"", "x", value[:15], value + "A", strings.Repeat("_", 16), "////////////////", "a\x00bcdefghijklmno",
	} {
		group, again := rule.Pick(&route.Request{}, header{name: bad}, time.Now)
		if group == nil || again == nil {
			t.Errorf("cookie %q: %v, %q", bad, group, again)
		}
	}
}

func TestClientsAreKnownByAHeader(t *testing.T) {
	const n = 20_000
	byHeader := fleet.Forward{StickyHeader: "X-User"}
	c := newCrowd(t, n)
	for i := range c.cookies {
		c.cookies[i]["x-user"] = fmt.Sprintf("user-%d", i)
	}
	was := make([]string, n)
	for _, green := range []int{0, 100, 2500, 9000, 10_000} {
		routes := stage(byHeader, fmt.Sprintf("a:%d:shop/1", fleet.TotalWeight-green), fmt.Sprintf("b:%d:shop/2", green))
		got := c.come(routes)["b"]
		p := float64(green) / fleet.TotalWeight
		if off := math.Abs(float64(got) - n*p); off > 3*math.Sqrt(n*p*(1-p))+1 || c.renewed > 0 {
			t.Errorf("weight %d: %d of %d clients are led there, %d cookies", green, got, n, c.renewed)
		}
		for i := range was {
			if was[i] == "b" && c.at[i] != "b" {
				t.Fatalf("weight %d: client %d is led back", green, i)
			}
		}
		copy(was, c.at)
		table, err := memory(77).Compile(routes, 1, time.Time{}, 0) // another host
		if err != nil {
			t.Fatal(err)
		}
		rule := table.Listeners["l"].Find(&route.Request{})
		for i := range 200 {
			group, _ := rule.Pick(&route.Request{Fields: c.cookies[i]}, nil, time.Now)
			if string(group.Noun.Name) != c.at[i] {
				t.Fatalf("two hosts lead client %d to %s and %s", i, group.Noun.Name, c.at[i])
			}
		}
	}
	// Who sends none, or an empty one, is led by the weights alone.
	for name, fields := range map[string]header{"none": {}, "an empty one": {"x-user": " "}} {
		rule := compile(t, stage(byHeader, "a:5000:shop/1", "b:5000:shop/2")).Listeners["l"].Find(&route.Request{})
		b := 0
		for range 1000 {
			if group, _ := rule.Pick(&route.Request{Fields: fields}, nil, time.Now); group.Noun.Name == "b" {
				b++
			}
		}
		if b < 495 || b > 505 {
			t.Errorf("%s: %d of 1000", name, b)
		}
	}
}
