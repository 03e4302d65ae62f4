package service

import "skein/raftfsm/fleet"

// goals returns what a service is planned by: those that another planner has put,
// where such stand, else this planner's own. A change of the service ends any; who runs
// earlier in a pass and still wants its own puts them again before this planner looks. Nil
// while a service is deployed and nobody has said what that needs: a command of this very
// pass has changed the service, and in the next one its deployment is planned first.
func (p *planner) goals(service *fleet.Service) *fleet.Goals {
	stand := p.in.State.Goals(service.Name)
	if stand != nil && stand.By != By {
		return stand
	}
	if p.in.State.LiveDeployment(service.Name) != nil {
		return nil
	}
	own := service.DefaultGoals()
	if stand == nil || !stand.Say(own) {
		p.out.Add(fleet.Item{Command: own, By: By})
	}
	return &fleet.Goals{Service: service.Name, By: By, Max: own.Max, Revisions: own.Revisions}
}

// usual reports whether goals are those of the service's own numbers, whoever put them.
func usual(service *fleet.Service, goals *fleet.Goals) bool { return goals.Say(service.DefaultGoals()) }
