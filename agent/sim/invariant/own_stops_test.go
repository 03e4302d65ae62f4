package invariant

import (
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func stop(ids ...fleet.TaskID) fleet.StopTasks {
	return fleet.StopTasks{Tasks: ids, Cause: fleet.CauseScaleIn, Reason: "test"}
}

// asked is an operator's stop.
func asked(ids ...fleet.TaskID) fleet.StopTasks {
	return fleet.StopTasks{Tasks: ids, Cause: fleet.CauseOperator, Reason: "test"}
}

func TestStopsSayWhy(t *testing.T) {
	ofOld := func(ids ...fleet.TaskID) fleet.StopTasks {
		return fleet.StopTasks{Tasks: ids, Code: fleet.StopServiceSchedulerInitiated}
	}
	tell(t, []story{
		{"an operator's stop is an operator's", "",
			func(r *rig) { r.by("operator alice", asked(r.service("web", 1, 100, 200)...)) }},
		{"a planner's stop has a cause of planners", "",
			func(r *rig) { r.by("service", stop(r.service("web", 2, 0, 100)...)) }},
		{"a planner passes for an operator", "I10", func(r *rig) { r.by("service", asked(r.service("web", 2, 0, 100)...)) }},
		{"an operator passes for a planner", "I10",
			func(r *rig) { r.by("operator alice", stop(r.service("web", 2, 0, 100)...)) }},
		{"a planner says no cause", "I10", func(r *rig) { r.by("service", ofOld(r.service("web", 2, 0, 100)...)) }},
	})
}

func TestOwnStopsKeepTheMinimum(t *testing.T) {
	tell(t, []story{
		{"half may go at 50/100", "", func(r *rig) {
			ids := r.service("web", 4, 50, 100)
			r.by("service", stop(ids[:2]...))
		}},
		{"one more than half goes at 50/100", "I1", func(r *rig) {
			ids := r.service("web", 4, 50, 100)
			r.by("service", stop(ids[:3]...))
		}},
		{"three of three at 50/100 leave less than ceil(1.5)", "I1", func(r *rig) {
			ids := r.service("web", 3, 50, 100)
			r.by("service", stop(ids[0]), stop(ids[1]))
		}},
		{"an operator may stop what he likes", "", func(r *rig) {
			r.by("operator alice", asked(r.service("web", 4, 100, 200)...))
		}},
		{"a scale-in lowers the bound first", "", func(r *rig) {
			ids := r.service("web", 4, 100, 100)
			r.do(fleet.ScaleService{Name: "web", Desired: 1})
			r.by("service", stop(ids[1:]...))
		}},
		{"a deleted service may lose all", "", func(r *rig) {
			ids := r.service("web", 4, 100, 200)
			r.do(fleet.DeleteService{Name: "web", Force: true})
			r.by("service", stop(ids...))
		}},
		{"an unhealthy one stops first at 50/100, RUNNING ones stay enough", "", func(r *rig) {
			ids := r.service("web", 2, 50, 100)
			r.report(fleet.TaskReport{Task: ids[0], Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
			r.report(fleet.TaskReport{Task: ids[1], Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
			r.by("service", stop(ids[0]))
		}},
		{"both unhealthy ones stop at 50/100", "I1", func(r *rig) {
			ids := r.service("web", 2, 50, 100)
			r.report(fleet.TaskReport{Task: ids[0], Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
			r.report(fleet.TaskReport{Task: ids[1], Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy, Attempt: 1})
			r.by("service", stop(ids...))
		}},
		{"tasks on a silent host do not count as healthy", "I1", func(r *rig) {
			ids := r.service("web", 4, 50, 100)
			r.c.Linked("h2", 0, 1)
			r.by("hosts", fleet.SilenceHost{Host: "h2", Session: 1})
			r.by("service", stop(ids[0]))
		}},
		{"what fell silent since the plan was made is not held against it", "", func(r *rig) {
			ids := r.service("web", 4, 50, 100)
			looked := r.s.Index()
			r.c.Linked("h2", 0, 1)
			r.by("hosts", fleet.SilenceHost{Host: "h2", Session: 1})
			r.planned = looked
			r.by("service", stop(ids[0]))
		}},
		{"what its own pass made silent is", "I1", func(r *rig) {
			ids := r.service("web", 4, 50, 100)
			r.planned = r.s.Index()
			r.c.Linked("h2", 0, 1)
			r.by("hosts", fleet.SilenceHost{Host: "h2", Session: 1})
			r.by("service", stop(ids[0]))
		}},
		{"what it stopped itself in an entry before is", "I1", func(r *rig) {
			ids := r.service("web", 4, 50, 100)
			r.planned = r.s.Index()
			r.by("service", stop(ids[:2]...))
			r.by("service", stop(ids[2]))
		}},
		{"what the operator raised since the plan was made neither", "", func(r *rig) {
			ids := r.service("web", 4, 50, 100)
			r.planned = r.s.Index()
			r.do(fleet.ScaleService{Name: "web", Desired: 8})
			r.by("service", stop(ids[0]))
		}},
		{"a task without checks is healthy after 40 s only", "I1", func(r *rig) {
			r.do(fleet.PutService{Name: "web", TaskDef: "plain:1", Desired: 2, MinPercent: 50, MaxPercent: 100})
			for i, id := range []fleet.TaskID{"a", "b"} {
				host := []fleet.HostID{"h1", "h2"}[i]
				r.do(fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{id}},
					fleet.AssignTasks{Host: host, Tasks: []fleet.TaskID{id},
						Ports: [][]fleet.PortBinding{{{Container: "app", ContainerPort: 80, HostPort: 8080, Protocol: fleet.TCP}}}})
				r.run(id)
				r.pass(30 * time.Second)
			}
			r.pass(20 * time.Second) // a: 80 s, b: 50 s
			r.report(fleet.TaskReport{Task: "b", Status: fleet.TaskStopped, Attempt: 1})
			r.by("service", stop("a"))
		}},
	})
}

func TestReplacementsComeFirst(t *testing.T) {
	tell(t, []story{
		{"an old task stops for a healthy new one", "", func(r *rig) {
			ids := r.service("web", 2, 50, 200)
			r.place("web/1", "new", "h1")
			r.run("new")
			r.by("service", stop(ids[0]))
		}},
		{"an old task stops for a new one that is not healthy yet, though min would allow it", "I2", func(r *rig) {
			ids := r.service("web", 2, 50, 200)
			r.place("web/1", "new", "h1")
			r.report(fleet.TaskReport{Task: "new", Status: fleet.TaskRunning, Health: fleet.HealthUnknown, Attempt: 1})
			r.by("service", stop(ids[0]))
		}},
		{"at 50/100 there is no room, so it may stop first", "", func(r *rig) {
			r.by("service", stop(r.service("web", 2, 50, 100)[0]))
		}},
		{"a task that is not healthy may go first anywhere", "", func(r *rig) {
			r.service("web", 2, 50, 200)
			r.place("web/1", "new", "h1")
			r.by("service", stop("new"))
		}},
	})
}
