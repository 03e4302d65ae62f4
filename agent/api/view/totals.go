package view

import (
	"sync"
	"time"

	"skein/agent/api/types"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

// totalsInterval is how many times longer than it took to make, a summary is used
// again while State moves on: sums take at most a twentieth of one core.
const totalsInterval = 20

// Totals keeps the summary of all services and tasks, which takes a look at every
// service, so that a busy page costs a large fleet little.
type Totals struct {
	clock    func() time.Time
	mu       sync.Mutex
	index    uint64
	made     time.Time
	took     time.Duration
	services types.ServiceCounts
	tasks    types.TaskCounts
}

// NewTotals returns a summary that is not made yet; clock measures what it costs.
func NewTotals(clock func() time.Time) *Totals { return &Totals{clock: clock} }

func (s *Totals) of(v *View) (types.ServiceCounts, types.TaskCounts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin := s.clock()
	if s.index == v.State.Index() || s.took > 0 && begin.Sub(s.made) < totalsInterval*s.took {
		return s.services, s.tasks
	}
	s.services, s.tasks = v.totals()
	s.index, s.made, s.took = v.State.Index(), begin, s.clock().Sub(begin)
	return s.services, s.tasks
}

func (v *View) totals() (services types.ServiceCounts, tasks types.TaskCounts) {
	for svc := range v.State.Services() {
		c := v.State.Counts(svc.Name, "")
		services.Total++
		if service.Steady(v.State, svc) {
			services.Steady++
		}
		tasks.Desired += svc.Desired
		AddCounts(&tasks, c)
	}
	tasks.Standalone = standalone(v.State)
	return services, tasks
}

// standalone counts live tasks of no service, which State does not: no planner
// asks for it. Nil when there are too many tasks to look at each.
func standalone(st *fleet.State) *int {
	if st.TaskCount() > maxScan {
		return nil
	}
	n := 0
	for t := range st.Tasks() {
		if t.Standalone() && !t.Stopped() {
			n++
		}
	}
	return &n
}
