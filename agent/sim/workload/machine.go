package workload

import (
	"fmt"
	"slices"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// Machine is a host to be.
type Machine struct {
	Name     string // "h0001"
	Zone     string // "a", "b", ...
	Type     string // of the Shape
	Capacity fleet.Resources
}

// Shape is what machines there are.
type Shape struct {
	Zones []float64 // share of each; named "a", "b", ...
	Types []Type
}

// Type is one kind of machine.
type Type struct {
	Name     string
	Share    float64
	Capacity fleet.Resources
}

// Mixed is a fleet grown over years: three zones of unequal size, seven types.
func Mixed() Shape {
	s := Shape{Zones: []float64{0.40, 0.35, 0.25}}
	for _, t := range []struct {
		cores, gib int64
		share      float64
	}{{4, 16, 0.10}, {8, 32, 0.30}, {16, 64, 0.30}, {32, 128, 0.20}, {64, 256, 0.05}, {8, 64, 0.03}, {16, 32, 0.02}} {
		s.Types = append(s.Types,
			Type{fmt.Sprintf("%dx%d", t.cores, t.gib), t.share, fleet.Resources{CPU: 1024 * t.cores, Memory: 1024 * t.gib}})
	}
	return s
}

// Uniform is a fleet of equal machines in three equal zones, for figures that
// compare sizes of fleets.
func Uniform(capacity fleet.Resources) Shape {
	return Shape{Zones: []float64{1, 1, 1}, Types: []Type{{"uniform", 1, capacity}}}
}

// Fleet draws machines. Zones have exactly their shares, as far as whole
// machines allow; types are drawn.
func Fleet(c *virtual.Chance, hosts int, s Shape) []Machine {
	zones := shareOut(hosts, s.Zones)
	c.Shuffle(len(zones), func(i, j int) { zones[i], zones[j] = zones[j], zones[i] })
	shares := make([]float64, len(s.Types))
	for i, t := range s.Types {
		shares[i] = t.Share
	}
	all := make([]Machine, hosts)
	for i := range all {
		t := s.Types[weighted(c, shares)]
		all[i] = Machine{
			Name: fmt.Sprintf("h%04d", i+1), Zone: string(rune('a' + zones[i])),
			Type: t.Name, Capacity: t.Capacity,
		}
	}
	return all
}

// shareOut gives each of n one of the shares, by largest remainder.
func shareOut(n int, shares []float64) []int {
	all := 0.0
	for _, s := range shares {
		all += s
	}
	counts, given := make([]int, len(shares)), make([]int, 0, n)
	for range n {
		most, best := -1.0, 0
		for i, s := range shares {
			if lacks := s/all*float64(n) - float64(counts[i]); lacks > most {
				most, best = lacks, i
			}
		}
		counts[best]++
		given = append(given, best)
	}
	return given
}

// Room is what tasks may use of machines.
type Room struct {
	Hosts  int
	Target fleet.Resources // all tasks together; the scarcer of both counts
	Most   fleet.Resources // one task
}

// RoomOf is a share of machines. One task may have a quarter of the median
// machine (a choice of this package), so that it can be placed, and moved.
func RoomOf(machines []Machine, utilisation float64) Room {
	var all fleet.Resources
	var cpu, memory []int64
	for _, m := range machines {
		all = all.Add(m.Capacity)
		cpu, memory = append(cpu, m.Capacity.CPU), append(memory, m.Capacity.Memory)
	}
	slices.Sort(cpu)
	slices.Sort(memory)
	middle := len(machines) / 2
	return Room{
		Hosts:  len(machines),
		Target: fleet.Resources{CPU: int64(utilisation * float64(all.CPU)), Memory: int64(utilisation * float64(all.Memory))},
		Most:   fleet.Resources{CPU: cpu[middle] / 4, Memory: memory[middle] / 4},
	}
}
