package virtual_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestEventsComeInTheOrderOfTimeAndTheSeedOrdersOneInstant(t *testing.T) {
	play := func(seed uint64) (order []int) {
		w := virtual.NewTime(seed)
		for i := range 8 {
			w.After(time.Second, func() { order = append(order, i) })
		}
		w.After(time.Millisecond, func() { order = append(order, 100) })
		stopped := w.After(time.Microsecond, func() { order = append(order, -1) })
		stopped.Stop()
		w.Run(time.Minute)
		if w.Now() != time.Minute {
			t.Errorf("the world is %s old after it ran for a minute", w.Now())
		}
		return order
	}
	a, b, c := play(1), play(1), play(2)
	if !slices.Equal(a, b) {
		t.Errorf("one seed gave %v and %v", a, b)
	}
	if slices.Equal(a, c) {
		t.Errorf("two seeds gave the same order, %v", a)
	}
	if a[0] != 100 || len(a) != 9 || slices.Contains(a, -1) {
		t.Errorf("got %v", a)
	}
}

// net is a network of machines that are up.
func net(w virtual.NetworkConditions, names ...fleet.HostID) (*virtual.Time, *virtual.Network) {
	clock := virtual.NewTime(1)
	n := virtual.NewNetwork(clock, 1, w)
	for _, name := range names {
		n.PowerOn(name)
		n.Begin(name)
	}
	return clock, n
}

func TestADialFindsWhatTheMachineIs(t *testing.T) {
	_, n := net(virtual.NetworkConditions{}, "a", "b")
	for _, tt := range []struct {
		condition virtual.Condition
		want      virtual.Reply
	}{
		{virtual.Up, virtual.Connected}, {virtual.Frozen, virtual.Connected},
		{virtual.Down, virtual.Refused}, {virtual.Off, virtual.Silent},
	} {
		n.Set("b", tt.condition)
		if got := n.Dial("a", "b"); got != tt.want {
			t.Errorf("a machine that is %s: got %d, want %d", tt.condition, got, tt.want)
		}
	}
	_, n = net(virtual.NetworkConditions{}, "a", "b")
	heal := n.Cut([]fleet.HostID{"b"}, []fleet.HostID{"a"})
	if n.Dial("a", "b") != virtual.Silent || n.Linked("a", "b") || !n.Passes("a", "b") {
		t.Error("a cut one way lets dials through")
	}
	heal()
	if n.Dial("a", "b") != virtual.Connected || !n.Linked("a", "b") {
		t.Error("a healed cut is still there")
	}
}

func TestMessagesReachTheAgentThatWasThereOrNobody(t *testing.T) {
	clock, n := net(virtual.NetworkConditions{Delay: time.Millisecond}, "a", "b")
	got := 0
	n.Send("a", "b", func() { got++ })
	clock.Run(time.Second)
	n.Send("a", "b", func() { got += 10 })
	n.Set("b", virtual.Down)
	n.Begin("b")
	clock.Run(2 * time.Second)
	if got != 1 {
		t.Errorf("got %d: a message for an agent that died reached the next one", got)
	}
	n.Set("b", virtual.Frozen)
	n.Send("a", "b", func() { got += 100 })
	clock.Run(3 * time.Second)
	if got != 1 {
		t.Error("a machine that stands still took a message")
	}
	n.Set("b", virtual.Up)
	clock.Run(4 * time.Second)
	if got != 101 {
		t.Errorf("got %d: what waited for a machine that stood still did not come", got)
	}
}

func TestAMachineOutlivesItsAgentAndNotItsPower(t *testing.T) {
	clock, n := net(virtual.NetworkConditions{}, "a")
	power, agent := n.PowerOn("a"), n.Begin("a")
	var ran []string
	power.After(time.Second, func() { ran = append(ran, "machine") })
	agent.After(time.Second, func() { ran = append(ran, "agent") })
	n.Set("a", virtual.Down)
	clock.Run(time.Minute)
	power.After(time.Second, func() { ran = append(ran, "late") })
	n.Set("a", virtual.Off)
	clock.Run(2 * time.Minute)
	if fmt.Sprint(ran) != "[machine]" {
		t.Errorf("ran %v", ran)
	}
}

// A call that a dead agent has left with its machine must not wait for the next time that
// the machine stands still and goes on.
func TestAMachineThatStoodStillGoesOnWithItsNextAgent(t *testing.T) {
	for name, next := range map[string]func(n *virtual.Network){
		"its agent is killed and starts": func(n *virtual.Network) { n.Set("a", virtual.Down); n.Begin("a") },
		"its agent is killed":            func(n *virtual.Network) { n.Set("a", virtual.Down) },
		"another agent takes its place":  func(n *virtual.Network) { n.Begin("a") },
	} {
		t.Run(name, func(t *testing.T) {
			clock, n := net(virtual.NetworkConditions{}, "a")
			power, agent := n.PowerOn("a"), n.Begin("a")
			var ran []string
			power.After(time.Second, func() { ran = append(ran, "machine") })
			agent.After(time.Second, func() { ran = append(ran, "agent") })
			n.Set("a", virtual.Frozen)
			clock.Run(time.Minute)
			if len(ran) > 0 {
				t.Fatalf("%q ran while the machine stood still", ran)
			}
			next(n)
			clock.Run(2 * time.Minute)
			if !slices.Equal(ran, []string{"machine"}) {
				t.Errorf("got %q, want what the machine had under way and nothing of the agent that is gone", ran)
			}
		})
	}
}

func TestWeatherLosesAndRepeatsMessages(t *testing.T) {
	clock, n := net(virtual.NetworkConditions{Loss: 0.3, Duplicate: 0.2}, "a", "b")
	got := 0
	for range 10_000 {
		n.Send("a", "b", func() { got++ })
	}
	clock.Run(time.Minute)
	if got < 8_000 || got > 8_800 { // 7,000 of which a fifth come twice: 8,400
		t.Errorf("%d of 10,000 messages came", got)
	}
}

func BenchmarkEvents(b *testing.B) {
	w := virtual.NewTime(1)
	for i := range 100_000 {
		w.After(time.Duration(i)*time.Hour, func() {})
	}
	for b.Loop() {
		w.After(time.Microsecond, func() {})
		w.Step(1 << 62)
	}
}

func TestAConnectionIsResetByTheKernelOfAnAgentThatEnds(t *testing.T) {
	cut := func(n *virtual.Network) { n.Cut([]fleet.HostID{"b"}, []fleet.HostID{"a"}) }
	for _, tt := range []struct {
		name    string
		connect func(n *virtual.Network) // before
		end     func(n *virtual.Network, c *virtual.Connection)
		want    int
	}{
		{"its agent dies", nil, func(n *virtual.Network, _ *virtual.Connection) { n.Set("b", virtual.Down) }, 1},
		{"it starts again", nil, func(n *virtual.Network, _ *virtual.Connection) { n.Begin("b") }, 1},
		{"it dies twice", nil, func(n *virtual.Network, _ *virtual.Connection) {
			n.Set("b", virtual.Down)
			n.Begin("b")
			n.Set("b", virtual.Down)
		}, 1},
		{"it has died", func(n *virtual.Network) { n.Set("b", virtual.Down) }, nil, 1},
		{"its power goes", nil, func(n *virtual.Network, _ *virtual.Connection) { n.Set("b", virtual.Off) }, 0},
		{"its power has gone", func(n *virtual.Network) { n.Set("b", virtual.Off) }, nil, 0},
		{"it dies behind a cut", nil, func(n *virtual.Network, _ *virtual.Connection) {
			cut(n)
			n.Set("b", virtual.Down)
		}, 0},
		{"the reset meets a cut", nil, func(n *virtual.Network, _ *virtual.Connection) {
			n.Set("b", virtual.Down)
			cut(n)
		}, 0},
		{"it was closed before", nil, func(n *virtual.Network, c *virtual.Connection) {
			c.Close()
			n.Set("b", virtual.Down)
		}, 0},
		{"it is closed before the reset comes", nil, func(n *virtual.Network, c *virtual.Connection) {
			n.Set("b", virtual.Down)
			c.Close()
		}, 0},
		{"who connected is gone", nil, func(n *virtual.Network, _ *virtual.Connection) {
			n.Begin("a")
			n.Set("b", virtual.Down)
		}, 0},
		{"nothing ends", nil, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock, n := net(virtual.NetworkConditions{Delay: time.Millisecond}, "a", "b")
			if tt.connect != nil {
				tt.connect(n)
			}
			got := 0
			c := n.Connect("a", "b", func() { got++ })
			if tt.end != nil {
				tt.end(n, c)
			}
			clock.Run(time.Second)
			if got != tt.want {
				t.Errorf("told %d times of a reset, want %d", got, tt.want)
			}
		})
	}
}
