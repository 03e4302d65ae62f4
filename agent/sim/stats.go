package sim

import (
	"slices"
	"time"

	"skein/agent/lead"
	"skein/agent/sim/simlog"
	"skein/raftfsm/fleet"
)

// Stats are what a world has counted.
type Stats struct {
	Entries    uint64
	Planned    uint64            // commands of planners, Prune aside
	Commands   map[string]uint64 // by name
	Refused    map[string]uint64 // by name: State said no
	Operations map[string]uint64 // by verb
	Events     map[string]uint64 // by code
	Elections  uint64
	Created    uint64 // tasks
	Stopped    uint64
	Replaced   uint64 // tasks of services that ended though nobody had asked
	Passes     uint64
	Gap        time.Duration // longest time any service had fewer healthy tasks than its lower bound
	GapOf      string

	decided uint64 // last decision counted
	below   map[string]time.Duration
}

func newStats() Stats {
	return Stats{Commands: map[string]uint64{}, Refused: map[string]uint64{}, Operations: map[string]uint64{},
		Events: map[string]uint64{}, below: map[string]time.Duration{}}
}

func (s *Stats) committed(w *World, c simlog.Commit) {
	s.Entries++
	for i, item := range c.Entry.Items {
		name := lead.CommandName(item.Command)
		s.Commands[name]++
		if c.Outcome.Results[i].Err != nil {
			s.Refused[name]++
			continue
		}
		s.count(w, item)
	}
	for e := range c.State.EventsAfter(s.decided) {
		s.decided = e.Seq
		s.Events[e.Code]++
	}
	for _, name := range c.Outcome.ChangeSet.Services() {
		s.gap(w, name)
	}
}

// planners are the names of those who decide.
var planners = lead.Names()

func (s *Stats) count(w *World, item fleet.Item) {
	switch c := item.Command.(type) {
	case fleet.Prune:
		return
	case fleet.CreateTasks:
		s.Created += uint64(len(c.Tasks))
	case fleet.RunTasks:
		s.Created += uint64(len(c.Tasks))
	case fleet.StopTasks:
		s.Stopped += uint64(len(c.Tasks))
	case fleet.Report:
		for i := range c.Tasks {
			if c.Tasks[i].Status == fleet.TaskStopped {
				s.ended(w, c.Tasks[i].Task)
			}
		}
	case fleet.SilenceHost:
		w.sometimes("a host is declared silent")
	case fleet.LoseHost:
		w.sometimes("a host is declared lost")
	case fleet.ReturnHost:
		w.sometimes("a silent host returns in its session")
	case fleet.ExpireTasks:
		w.sometimes("tasks of a lost host are declared stopped")
	}
	if slices.Contains(planners, item.By) {
		s.Planned++
	}
}

// ended counts a task that its host says has ended.
func (s *Stats) ended(w *World, id fleet.TaskID) {
	delete(w.lifetimes, id)
	if t := w.truth.Task(id); t != nil && t.Service != "" && t.StopCode != fleet.StopServiceSchedulerInitiated &&
		t.StopCode != fleet.StopUserInitiated {
		s.Replaced++
	}
}

// gap measures how long a service is below its lower bound.
func (s *Stats) gap(w *World, name string) {
	v := w.truth.Service(name)
	if v == nil {
		delete(s.below, name)
		return
	}
	n := w.truth.Counts(name, "")
	lower := (v.Desired*v.MinPercent + 99) / 100
	since, was := s.below[name]
	switch is := n.Running < lower; {
	case is && !was:
		s.below[name] = w.time.Now()
	case !is && was:
		delete(s.below, name)
		if d := w.time.Now() - since; d > s.Gap {
			s.Gap, s.GapOf = d, name
		}
	}
}
