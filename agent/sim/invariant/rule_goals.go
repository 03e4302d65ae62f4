package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// goals are what a planner said of a service as it is.
type goals struct {
	by   string
	most int
	of   map[fleet.RevisionID]fleet.RevisionGoal
}

func goalsOf(by string, most int, revisions []fleet.RevisionGoal) *goals {
	g := &goals{by: by, most: most, of: map[fleet.RevisionID]fleet.RevisionGoal{}}
	for _, r := range revisions {
		g.of[r.Revision] = r
	}
	return g
}

// putGoals notes goals and judges those of the service planner, which wants desired
// tasks of the current revision. Other planners have reasons of their own.
func (c *Checker) putGoals(cmd fleet.PutGoals, by string) {
	s := c.model.services[cmd.Service]
	if s == nil {
		return // Full finds goals that no service has
	}
	s.goals = goalsOf(by, cmd.Max, cmd.Revisions)
	c.wantsBlue(s, by)
	if by == "service" {
		c.hold(goalsAgree, s.planned() == "", s.planned)
	}
}

// planned says what is wrong with a service's goals; empty where they are those of
// its numbers.
func (s *service) planned() string {
	want := s.newest()
	if s.goals == nil {
		return fmt.Sprintf("service %s has no goals", s.name)
	}
	own := fleet.RevisionGoal{Revision: s.revision, Desired: want.desired, Max: want.upper}
	if len(s.goals.of) != 1 || s.goals.of[s.revision] != own || s.goals.most != want.upper {
		return fmt.Sprintf("service %s is to have %d of %s, at most %d, and its goals are %+v, at most %d",
			s.name, want.desired, s.revision, want.upper, s.goals.of, s.goals.most)
	}
	return ""
}

// withinGoals judges a service after tasks of a revision were created: they are of one
// that stands in its goals, and no bound is passed.
func (c *Checker) withinGoals(s *service, revision fleet.RevisionID) {
	all := 0
	for _, n := range s.present {
		all += n
	}
	goal, listed := fleet.RevisionGoal{}, false
	if s.goals != nil {
		goal, listed = s.goals.of[revision]
	}
	c.hold(createdWithinGoals, listed && s.present[revision] <= goal.Max && all <= s.goals.most, func() string {
		return fmt.Sprintf("service %s has %d tasks of %s and %d in all after some were created, by goals %+v",
			s.name, s.present[revision], revision, all, s.goals)
	})
}

// differs says how the row of goals is not what commands make it; empty when it is.
func (g *goals) differs(row *fleet.Goals) string {
	switch {
	case (g == nil) != (row == nil):
		return fmt.Sprintf("its goals are %+v, want %+v", row, g)
	case g == nil:
		return ""
	case row.By != g.by || row.Max != g.most || len(row.Revisions) != len(g.of):
		return fmt.Sprintf("its goals are %+v, want %+v", row, g)
	}
	for _, r := range row.Revisions {
		if g.of[r.Revision] != r {
			return fmt.Sprintf("its goals are %+v, want %+v", row, g)
		}
	}
	return ""
}
