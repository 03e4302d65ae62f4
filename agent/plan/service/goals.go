package service

import "skein/raftfsm/fleet"

// goals returns what a service is planned by: those that another planner has put,
// where such stand, else this planner's own. A change of the service ends any; who runs
// earlier in a pass and still wants its own puts them again before this planner looks.
func (p *planner) goals(service *fleet.Service) *fleet.Goals {
	stand := p.in.State.Goals(service.Name)
	if stand != nil && stand.By != By {
		return stand
	}
	own := service.DefaultGoals()
	if stand == nil || !stand.Say(own) {
		p.out.Add(fleet.Item{Command: own, By: By})
	}
	return &fleet.Goals{Service: service.Name, By: By, Max: own.Max, Revisions: own.Revisions}
}
