package fleet

import (
	"fmt"
	"testing"
)

func TestServicesAreFoundByTheirPortsAndShares(t *testing.T) {
	bound := func(change func(*PutService)) PutService {
		c := balanced(1)
		c.LoadBalancers = []LoadBalancer{{Container: "app", ContainerPort: 8080, Group: "blue", AlternateGroup: "green",
			ProductionRule: "shop/default"}}
		change(&c)
		return c
	}
	again := func(w *world, change func(*PutService)) PutService {
		c := bound(change)
		c.ExpectedModifyIndex = w.Service("web").ModifyIndex
		return c
	}
	for _, c := range []struct {
		name   string
		change func(*world)
		want   string
	}{
		{"nothing", func(*world) {}, "[{web [{ [{blue 10000}]}]}]"},
		{"weights", func(w *world) {
			w.must(SetWeights{Rule: "shop/default", ExpectedModifyIndex: w.Rule("shop/default").ModifyIndex,
				Weights: []GroupWeight{{"blue", 9_000}, {"green", 1_000}}})
		}, "[{web [{ [{blue 9000} {green 1000}]}]}]"},
		{"weights, and another's group beside", func(w *world) {
			w.must(group("red"))
			w.must(SetWeights{Rule: "shop/default", ExpectedModifyIndex: w.Rule("shop/default").ModifyIndex,
				Weights: []GroupWeight{{"green", 4_000}, {"red", 6_000}}})
		}, "[{web [{ [{green 4000}]}]}]"},
		{"a port's name", func(w *world) {
			def := webDef()
			def.Containers[0].PortMappings = []PortMapping{{Name: "http", ContainerPort: 8080, Protocol: TCP}}
			w.must(RegisterTaskDef{Family: "web", Def: def})
			w.must(again(w, func(c *PutService) { c.TaskDef = "web:2" }))
		}, "[{web [{http [{blue 10000}]}]}]"},
		{"no group any more", func(w *world) { w.must(again(w, func(c *PutService) { c.LoadBalancers = nil })) }, "[]"},
		{"another group, and no rule", func(w *world) {
			w.must(again(w, func(c *PutService) {
				c.LoadBalancers = []LoadBalancer{{Container: "app", ContainerPort: 8080, Group: "green"}}
			}))
		}, "[{web [{ [{green 10000}]}]}]"},
		{"it is deleted", func(w *world) { w.must(DeleteService{Name: "web", Force: true}) }, "[]"},
		{"it is scaled", func(w *world) {
			w.must(ScaleService{Name: "web", Desired: 5})
		}, "[{web [{ [{blue 10000}]}]}]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trafficOf(t, 1)
			w.must(bound(func(*PutService) {}))
			before := w.routesSent(1)
			c.change(w)
			if got := fmt.Sprint(w.Routes().Services); got != c.want {
				t.Errorf("found: %s, want %s", got, c.want)
			}
			w.sameRoutes(before, 1)
			if rules := w.wantedRoutesSince(before.mark).Rules != nil; c.name == "it is scaled" && rules {
				t.Error("hosts are sent all services anew, though none is found otherwise")
			}
			w.checked()
		})
	}
}
