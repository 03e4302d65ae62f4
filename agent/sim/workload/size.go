package workload

import (
	"slices"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// class is a value and the share of tasks that have it.
type class struct {
	value int64
	share float64
}

// cpus are what tasks ask for; ratios are GiB of memory per core.
var (
	cpus   = []class{{64, 0.05}, {128, 0.10}, {256, 0.35}, {512, 0.25}, {1024, 0.15}, {2048, 0.07}, {4096, 0.03}}
	ratios = []class{{1, 0.10}, {2, 0.35}, {4, 0.35}, {8, 0.20}}
)

// deck deals classes so that the shares come out over all tasks: with sizes as
// unequal as Zipf's, drawing for each service would let the largest one decide.
type deck struct {
	of   []class
	left []float64 // tasks that may still have it
}

func newDeck(of []class, tasks int) *deck {
	d := &deck{of: of}
	for _, c := range of {
		d.left = append(d.left, c.share*float64(tasks))
	}
	return d
}

// deal draws a class for n tasks among those that have room for them.
func (d *deck) deal(c *virtual.Chance, n int) int64 {
	weights := make([]float64, len(d.left))
	best := 0
	for i, left := range d.left {
		if left >= float64(n) {
			weights[i] = left
		}
		if left > d.left[best] {
			best = i
		}
	}
	if slices.Max(weights) > 0 {
		best = weighted(c, weights)
	}
	d.left[best] -= float64(n)
	return d.of[best].value
}

// size is what a number of tasks asks for each.
type size struct {
	tasks       int
	cpu, memory int64
	soft        bool // reserves less memory than it may use
}

// softShare is what a soft limit reserves of the hard one.
const softShare = 0.6

// sizes deals a size for each number of tasks.
func sizes(c *virtual.Chance, counts []int, soft float64) []size {
	total := 0
	for _, n := range counts {
		total += n
	}
	cpu, ratio := newDeck(cpus, total), newDeck(ratios, total)
	all := make([]size, len(counts))
	for i, n := range counts {
		all[i] = size{tasks: n, cpu: cpu.deal(c, n), soft: c.Is(soft)}
		all[i].memory = all[i].cpu * ratio.deal(c, n)
	}
	return all
}

// fit makes sizes larger or smaller, all by one factor, until together they
// reserve what the room has to give.
func fit(all []size, room Room) []size {
	low, high := 1.0/64, 16.0
	for range 40 {
		if middle := (low + high) / 2; over(all, room, middle) {
			high = middle
		} else {
			low = middle
		}
	}
	fitted := make([]size, len(all))
	for i, s := range all {
		fitted[i] = s.by(low, room.Most)
	}
	return fitted
}

func over(all []size, room Room, factor float64) bool {
	var sum fleet.Resources
	for _, s := range all {
		sum = sum.Add(s.by(factor, room.Most).reserved().Times(s.tasks))
	}
	return !sum.Fits(room.Target)
}

// by is the size times a factor: cpu in steps of 16, memory in steps of 64 MiB.
func (s size) by(factor float64, most fleet.Resources) size {
	s.cpu = stepped(float64(s.cpu)*factor, 16, most.CPU)
	s.memory = stepped(float64(s.memory)*factor, 64, most.Memory)
	return s
}

func stepped(v float64, step, most int64) int64 {
	n := int64(v/float64(step) + 0.5)
	return max(min(n, most/step), 1) * step
}

func (s size) reserved() fleet.Resources {
	if s.soft {
		return fleet.Resources{CPU: s.cpu, Memory: int64(float64(s.memory) * softShare)}
	}
	return fleet.Resources{CPU: s.cpu, Memory: s.memory}
}
