package api

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

// totals keeps the summary of all services and tasks, which takes a look at every
// service, so that a busy page costs a large fleet little.
type totals struct {
	mu       sync.Mutex
	index    uint64
	made     time.Time
	took     time.Duration
	services types.ServiceCounts
	tasks    types.TaskCounts
}

func (s *totals) of(v *view) (types.ServiceCounts, types.TaskCounts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin := v.api.Now()
	if s.index == v.st.Index() || s.took > 0 && begin.Sub(s.made) < totalsInterval*s.took {
		return s.services, s.tasks
	}
	s.services, s.tasks = v.totals()
	s.index, s.made, s.took = v.st.Index(), begin, v.api.Now().Sub(begin)
	return s.services, s.tasks
}

func (v *view) totals() (services types.ServiceCounts, tasks types.TaskCounts) {
	for svc := range v.st.Services() {
		c := v.st.Counts(svc.Name, "")
		services.Total++
		if service.Steady(v.st, svc) {
			services.Steady++
		}
		tasks.Desired += svc.Desired
		addCounts(&tasks, c)
	}
	tasks.Standalone = standalone(v.st)
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
