package api

import (
	"iter"
	"net/url"
	"slices"
	"strings"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// taskFilter is what a list of tasks is narrowed to.
type taskFilter struct {
	service  string
	family   string
	host     fleet.HostID
	statuses []string
	desired  string
}

func (v *view) taskFilter() (taskFilter, error) {
	f := filterOf(v.URL.Query())
	if ref := v.param("host"); ref != "" {
		h, err := findHost(v.st, ref)
		if err != nil {
			return f, err
		}
		f.host = h.ID
	}
	return f, nil
}

// filterOf reads a filter but for its host, which needs a State.
func filterOf(values url.Values) taskFilter {
	f := taskFilter{service: values.Get("service"), family: values.Get("family"), desired: values.Get("desiredStatus")}
	if statuses := values.Get("status"); statuses != "" {
		f.statuses = strings.Split(statuses, ",")
	}
	return f
}

func (f *taskFilter) match(service, host, taskDef, desired, last string) bool {
	family, _ := fleet.TaskDefID(taskDef).Split()
	return (f.service == "" || f.service == service) && (f.host == "" || string(f.host) == host) &&
		(f.family == "" || f.family == family) && (f.desired == "" || f.desired == desired) &&
		(len(f.statuses) == 0 || slices.Contains(f.statuses, last))
}

func (v *view) tasks() (any, error) {
	limit := v.limit(defaultPage)
	f, err := v.taskFilter()
	if err != nil {
		return nil, err
	}
	answer := &types.Tasks{Meta: v.meta, Tasks: []types.Task{}}
	scanned, last := 0, fleet.TaskID("")
	for t := range v.candidates(f) {
		if scanned == maxScan || len(answer.Tasks) == limit {
			answer.Next = newCursor("tasks", string(last))
			break
		}
		scanned, last = scanned+1, t.ID
		if f.match(t.Service, string(t.Host), string(t.TaskDef), t.Desired.String(), t.Last.String()) {
			answer.Tasks = append(answer.Tasks, v.taskRow(t))
		}
	}
	return answer, nil
}

// candidates yields, by id, the tasks after the last page's end out of the
// smallest table that holds them all.
func (v *view) candidates(f taskFilter) iter.Seq[*fleet.Task] {
	after := fleet.TaskID(v.after("tasks"))
	live := len(f.statuses) > 0 && !slices.Contains(f.statuses, fleet.TaskStopped.String())
	switch {
	case f.host != "":
		return afterTask(v.st.TasksOfHost(f.host), after)
	case f.service != "" && live:
		return afterTask(v.st.LiveTasksOfService(f.service), after)
	case f.service != "":
		return afterTask(v.st.TasksOfService(f.service), after)
	}
	return v.st.TasksAfter(after)
}

func afterTask(tasks iter.Seq[*fleet.Task], after fleet.TaskID) iter.Seq[*fleet.Task] {
	return func(yield func(*fleet.Task) bool) {
		for t := range tasks {
			if t.ID > after && !yield(t) {
				return
			}
		}
	}
}

func (v *view) task() (any, error) {
	t, err := findTask(v.st, v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	row := v.taskRow(t)
	return &row, nil
}

func (v *view) taskRow(t *fleet.Task) types.Task {
	row := types.Task{
		ID: string(t.ID), Service: t.Service, Revision: string(t.Revision), TaskDef: string(t.TaskDef),
		Group: clean(t.Group), StartedBy: clean(t.StartedBy), Host: v.hostRef(t.Host),
		Desired: t.Desired.String(), Last: t.Last.String(), Health: health(t.Health), Ports: ports(t.Ports),
		StopCode: t.StopCode.String(), Reason: clean(t.Reason),
		Attempt: t.Attempt, Unconfirmed: t.Unconfirmed, Source: "state",
		CreatedAt: types.Stamp(t.CreatedAt), AssignedAt: types.Stamp(t.AssignedAt), StartedAt: types.Stamp(t.StartedAt),
		HealthyAt: types.Stamp(t.HealthyAt), StoppingAt: types.Stamp(t.StoppingAt), StoppedAt: types.Stamp(t.StoppedAt),
	}
	if t.Replace != nil {
		row.Replace = t.Replace.Cause.String()
	}
	if t.Stop != nil {
		row.StopCause, row.StoppedBy = t.Stop.Cause.String(), clean(t.Stop.By)
	}
	if t.Host != "" {
		row.Containers = containers(t.ID, v.st.ContainersOf(t))
	}
	row.Unreachable = !t.Stopped() && !v.st.Reachable(t)
	if t.Desired == fleet.TaskRunning && t.Last < fleet.TaskRunning {
		row.Conditions = v.pendingWhy(t)
	}
	return row
}

// pendingWhy is what is said about the task, or else about its service, which counts
// only until the task has a host.
func (v *view) pendingWhy(t *fleet.Task) []types.Condition {
	if own := v.conditions(fleet.TaskSubject(t.ID)); own != nil || t.Host != "" || t.Service == "" {
		return own
	}
	return v.conditions(fleet.ServiceSubject(t.Service))
}

func health(h fleet.Health) string {
	if h == 0 {
		return fleet.HealthUnknown.String()
	}
	return h.String()
}

func ports(given []fleet.PortBinding) []types.Port {
	if len(given) == 0 {
		return nil
	}
	out := make([]types.Port, len(given))
	for i, p := range given {
		out[i] = types.Port{Container: p.Container, ContainerPort: p.ContainerPort, HostPort: p.HostPort,
			Protocol: p.Protocol.String()}
	}
	return out
}

// containers is how the containers of a task stand that a host has.
func containers(task fleet.TaskID, states []fleet.ContainerState) []types.Container {
	out := make([]types.Container, len(states))
	for i, c := range states {
		out[i] = types.Container{
			Name: clean(c.Name), RuntimeID: fleet.ContainerID(task, clean(c.Name)), Last: c.Status.String(),
			Health: health(c.Health), ExitCode: c.ExitCode, Reason: clean(c.Reason),
			Attempt: c.Attempt, StartedAt: types.Stamp(c.StartedAt), StoppedAt: types.Stamp(c.StoppedAt),
		}
	}
	return out
}
