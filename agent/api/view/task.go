package view

import (
	"iter"
	"net/url"
	"slices"
	"strings"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func taskEndpoints() []Endpoint {
	return []Endpoint{
		{
			Spec: endpoint.Get("/v1/tasks", "Tasks by id", types.Tasks{}, endpoint.Limit, endpoint.Next("tasks"),
				endpoint.Param{Name: "service", Doc: "only tasks of this service", Check: endpoint.CheckName},
				endpoint.Param{Name: "family", Doc: "only tasks of this task definition family", Check: endpoint.CheckName},
				endpoint.Param{Name: "host", Doc: "only tasks on this host, by id or name", Check: endpoint.CheckName},
				endpoint.Param{Name: "status", Doc: "only tasks whose lastStatus is one of these, joined with commas",
					Check: checkStatuses},
				endpoint.Param{Name: "desiredStatus", Doc: "RUNNING or STOPPED", Check: checkDesiredStatus}),
			Cached: true, Read: (*View).tasks,
		},
		{
			Spec: endpoint.Get("/v1/tasks/{id}", "One task, by id or a beginning that only it has", types.Task{}),
			Read: (*View).task,
		},
	}
}

func checkStatuses(value string) string {
	for status := range strings.SplitSeq(value, ",") {
		if _, err := fleet.ParseTaskStatus(status); err != nil {
			return err.Error()
		}
	}
	return ""
}

func checkDesiredStatus(value string) string {
	if value != fleet.TaskRunning.String() && value != fleet.TaskStopped.String() {
		return "allowed are RUNNING and STOPPED"
	}
	return ""
}

// TaskFilter is what a list of tasks is narrowed to.
type TaskFilter struct {
	service  string
	family   string
	host     fleet.HostID
	statuses []string
	desired  string
}

func (v *View) taskFilter() (TaskFilter, error) {
	f := NewTaskFilter(v.URL.Query())
	if ref := v.param("host"); ref != "" {
		h, err := FindHost(v.State, ref)
		if err != nil {
			return f, err
		}
		f.host = h.ID
	}
	return f, nil
}

// NewTaskFilter reads a filter but for its host, which needs a State.
func NewTaskFilter(values url.Values) TaskFilter {
	f := TaskFilter{service: values.Get("service"), family: values.Get("family"), desired: values.Get("desiredStatus")}
	if statuses := values.Get("status"); statuses != "" {
		f.statuses = strings.Split(statuses, ",")
	}
	return f
}

// Match reports whether a task with these words is in the list.
func (f *TaskFilter) Match(service, host, taskDef, desired, last string) bool {
	family, _ := fleet.TaskDefID(taskDef).Split()
	return (f.service == "" || f.service == service) && (f.host == "" || string(f.host) == host) &&
		(f.family == "" || f.family == family) && (f.desired == "" || f.desired == desired) &&
		(len(f.statuses) == 0 || slices.Contains(f.statuses, last))
}

func (v *View) tasks() (any, error) {
	limit := v.limit(defaultPage)
	f, err := v.taskFilter()
	if err != nil {
		return nil, err
	}
	answer := &types.Tasks{Meta: v.Meta, Tasks: []types.Task{}}
	scanned, last := 0, fleet.TaskID("")
	for t := range v.candidates(f) {
		if scanned == maxScan || len(answer.Tasks) == limit {
			answer.Next = endpoint.NewCursor("tasks", string(last))
			break
		}
		scanned, last = scanned+1, t.ID
		if f.Match(t.Service, string(t.Host), string(t.TaskDef), t.Desired.String(), t.Last.String()) {
			answer.Tasks = append(answer.Tasks, v.TaskRow(t))
		}
	}
	return answer, nil
}

// candidates yields, by id, the tasks after the last page's end out of the
// smallest table that holds them all.
func (v *View) candidates(f TaskFilter) iter.Seq[*fleet.Task] {
	after := fleet.TaskID(v.after("tasks"))
	live := len(f.statuses) > 0 && !slices.Contains(f.statuses, fleet.TaskStopped.String())
	switch {
	case f.host != "":
		return afterTask(v.State.TasksOfHost(f.host), after)
	case f.service != "" && live:
		return afterTask(v.State.LiveTasksOfService(f.service), after)
	case f.service != "":
		return afterTask(v.State.TasksOfService(f.service), after)
	}
	return v.State.TasksAfter(after)
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

func (v *View) task() (any, error) {
	t, err := FindTask(v.State, v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	row := v.TaskRow(t)
	return &row, nil
}

// TaskRow is the row of a task.
func (v *View) TaskRow(t *fleet.Task) types.Task {
	row := types.Task{
		ID: string(t.ID), Service: t.Service, Revision: string(t.Revision), TaskDef: string(t.TaskDef),
		Group: types.Clean(t.Group), StartedBy: types.Clean(t.StartedBy), Host: v.hostRef(t.Host),
		Desired: t.Desired.String(), Last: t.Last.String(), Health: health(t.Health), Ports: ports(t.Ports),
		StopCode: t.StopCode.String(), Reason: types.Clean(t.Reason),
		Attempt: t.Attempt, Unconfirmed: t.Unconfirmed, Source: "state",
		CreatedAt: types.Stamp(t.CreatedAt), AssignedAt: types.Stamp(t.AssignedAt), StartedAt: types.Stamp(t.StartedAt),
		HealthyAt: types.Stamp(t.HealthyAt), StoppingAt: types.Stamp(t.StoppingAt), StoppedAt: types.Stamp(t.StoppedAt),
	}
	if t.Replace != nil {
		row.Replace = t.Replace.Cause.String()
	}
	if t.Stop != nil {
		row.StopCause, row.StoppedBy = t.Stop.Cause.String(), types.Clean(t.Stop.By)
	}
	if t.Host != "" {
		row.Containers = containers(t.ID, v.State.ContainersOf(t))
	}
	row.Unreachable = !t.Stopped() && !v.State.Reachable(t)
	if t.Desired == fleet.TaskRunning && t.Last < fleet.TaskRunning {
		row.Conditions = v.pendingWhy(t)
	}
	return row
}

// pendingWhy is what is said about the task, or else about its service, which counts
// only until the task has a host.
func (v *View) pendingWhy(t *fleet.Task) []types.Condition {
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
			Name: types.Clean(c.Name), RuntimeID: fleet.ContainerID(task, types.Clean(c.Name)), Last: c.Status.String(),
			Health: health(c.Health), ExitCode: c.ExitCode, Reason: types.Clean(c.Reason),
			Attempt: c.Attempt, StartedAt: types.Stamp(c.StartedAt), StoppedAt: types.Stamp(c.StoppedAt),
		}
	}
	return out
}
