package placement_test

import (
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

// packing is the question as State has it, for a search through all answers.
type packing struct {
	hosts  []packHost
	kinds  []packKind
	byHost map[fleet.HostID]int
	byKey  map[string]int // keyOf a task to its kind
}

type packHost struct {
	zone string
	free fleet.Resources
	held map[int]bool // fixed ports
}

type packKind struct {
	service string
	tasks   int
	need    fleet.Resources
	port    int            // 0: none
	zones   map[string]int // zones that have a host with room: tasks of the revision in State
}

func readPacking(w *plantest.World) *packing {
	p := &packing{byHost: map[fleet.HostID]int{}, byKey: map[string]int{}}
	for host := range w.State.Hosts() {
		if liveness := w.Liveness.Hosts[host.ID].Liveness; !host.Placeable() || liveness.Doubted() {
			continue
		}
		held := map[int]bool{}
		for use := range w.State.PortsOf(host.ID) {
			held[use.Port] = true
		}
		p.byHost[host.ID] = len(p.hosts)
		p.hosts = append(p.hosts, packHost{host.Zone, w.State.Free(host.ID), held})
	}
	for task := range w.State.Unassigned() {
		k, known := p.byKey[keyOf(task)]
		if !known {
			k = len(p.kinds)
			p.byKey[keyOf(task)] = k
			p.kinds = append(p.kinds, p.kind(w.State, task))
		}
		p.kinds[k].tasks++
	}
	return p
}

// keyOf names the class of a task.
func keyOf(task *fleet.Task) string { return string(task.TaskDef) + " " + string(task.Revision) }

func (p *packing) nothing() [][]int {
	n := make([][]int, len(p.kinds))
	for k := range n {
		n[k] = make([]int, len(p.hosts))
	}
	return n
}

func (p *packing) kind(s *fleet.State, task *fleet.Task) packKind {
	def := s.TaskDef(task.TaskDef)
	k := packKind{service: task.Service, need: def.Reservation(), zones: map[string]int{}}
	for _, m := range def.Containers[0].PortMappings {
		k.port = m.HostPort
	}
	for _, h := range p.hosts {
		if k.fits(h, 1) {
			k.zones[h.zone] = 0
		}
	}
	if task.Service == "" {
		return k
	}
	for other := range s.LiveTasksOfService(task.Service) {
		if other.Host == "" || other.Revision != task.Revision || other.Desired != fleet.TaskRunning || !s.Reachable(other) {
			continue
		}
		if _, counts := k.zones[s.Host(other.Host).Zone]; counts {
			k.zones[s.Host(other.Host).Zone]++
		}
	}
	return k
}

func (k packKind) fits(h packHost, n int) bool {
	if n == 0 {
		return true
	}
	if k.port != 0 && (n > 1 || h.held[k.port]) {
		return false
	}
	return int64(n)*k.need.CPU <= h.free.CPU && int64(n)*k.need.Memory <= h.free.Memory
}

// uneven is most minus fewest tasks of a zone, for so many more tasks by host.
func (p *packing) uneven(k int, n []int) int {
	kind := &p.kinds[k]
	if kind.service == "" || len(kind.zones) == 0 {
		return 0
	}
	most, fewest := -1, 1<<30
	for zone, count := range kind.zones {
		for i, h := range p.hosts {
			if h.zone == zone {
				count += n[i]
			}
		}
		most, fewest = max(most, count), min(fewest, count)
	}
	return most - fewest
}

func (p *packing) unevenSum(n [][]int) int {
	sum := 0
	for k := range n {
		sum += p.uneven(k, n[k])
	}
	return sum
}

// answer is what a packing can come to.
type answer struct {
	placed int
	uneven int // sum over services, the least among arrangements that place as many
}

// bruteForce tries every number of every kind on every host, but for those that
// cannot place as many as an arrangement seen before.
type bruteForce struct {
	*packing
	n    [][]int // by kind and host
	best answer
}

func (p *packing) brute() answer {
	b := bruteForce{packing: p, n: p.nothing(), best: answer{placed: -1}}
	b.kind(0, 0)
	return b.best
}

// kind goes on with the next kind; placed are tasks of those before.
func (b *bruteForce) kind(k, placed int) {
	if k < len(b.kinds) {
		b.host(k, 0, b.kinds[k].tasks, placed)
		return
	}
	got := answer{placed, b.unevenSum(b.n)}
	if got.placed > b.best.placed || got.placed == b.best.placed && got.uneven < b.best.uneven {
		b.best = got
	}
}

// host goes on with the next host for a kind of which some tasks are left.
func (b *bruteForce) host(k, i, left, placed int) {
	possible := placed + left
	for _, kind := range b.kinds[k+1:] {
		possible += kind.tasks
	}
	if possible < b.best.placed {
		return
	}
	if i == len(b.hosts) {
		b.kind(k+1, placed)
		return
	}
	was := b.hosts[i].free
	for c := left; c >= 0; c-- {
		if b.kinds[k].fits(b.hosts[i], c) {
			b.put(k, i, c)
			b.host(k, i+1, left-c, placed+c)
			b.hosts[i].free = was
			if c > 0 {
				delete(b.hosts[i].held, b.kinds[k].port)
			}
		}
	}
	b.n[k][i] = 0
}

func (b *bruteForce) put(k, i, c int) {
	kind, h := &b.kinds[k], &b.hosts[i]
	b.n[k][i] = c
	h.free.CPU -= int64(c) * kind.need.CPU
	h.free.Memory -= int64(c) * kind.need.Memory
	if c > 0 && kind.port != 0 {
		h.held[kind.port] = true
	}
}
