package plantest

import (
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// timeline is what happens to a fixture's fleet after it was made, by time.
type timeline struct{ events []event }

type event struct {
	at fleet.Time
	do func()
}

func newTimeline() *timeline { return &timeline{} }

func (l *timeline) add(at fleet.Time, do func()) { l.events = append(l.events, event{at, do}) }

func (l *timeline) run(w *World) {
	slices.SortStableFunc(l.events, func(a, b event) int { return int(a.at - b.at) })
	for _, e := range l.events {
		w.at = max(w.at, e.at)
		e.do()
	}
}

// instance is one task of a fixture.
type instance struct {
	taskSpec
	id   fleet.TaskID
	host fleet.HostID // empty: none yet
}

// instances names the tasks of a service or definition, in the order of the text.
func (w *World) instances(f *fixture, name string) []instance {
	var all []instance
	add := func(host fleet.HostID, specs []taskSpec) {
		for _, spec := range specs {
			for range spec.count {
				if spec.name == name {
					w.made[name]++
					all = append(all, instance{spec, fleet.TaskID(fmt.Sprintf("%s-%d", name, w.made[name])), host})
				}
			}
		}
	}
	for _, h := range f.hosts {
		add(fleet.HostID(h.name), h.tasks)
	}
	add("", f.waiting)
	return all
}

func (w *World) register(d *defSpec) fleet.TaskDefID {
	w.t.Helper()
	c := fleet.Container{Name: "app", Image: d.name + ":1", CPU: d.cpu, MemoryReservation: d.mem, StopTimeoutS: 30}
	if d.port > 0 {
		c.PortMappings = append(c.PortMappings, fleet.PortMapping{ContainerPort: 80, HostPort: d.port, Protocol: fleet.TCP})
	}
	if d.dynamic {
		c.PortMappings = append(c.PortMappings, fleet.PortMapping{ContainerPort: 81, Protocol: fleet.TCP})
	}
	if d.check {
		c.HealthCheck = &fleet.HealthCheck{Command: []string{"true"}, IntervalS: 30, TimeoutS: 5, Retries: 3}
	}
	w.do(fleet.RegisterTaskDef{Family: d.name,
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{c}}})
	return w.State.LatestTaskDef(d.name).ID
}

// roomy is the desired count while a fixture is built, so that no bound is met.
const roomy = 1_000

func (w *World) buildService(f *fixture, s *serviceSpec, later *timeline) {
	w.t.Helper()
	def := w.register(&s.defSpec)
	tasks := w.instances(f, s.name)
	for _, task := range tasks {
		s.revisions = max(s.revisions, task.revision)
	}
	for revision := 1; revision <= s.revisions; revision++ {
		put := fleet.PutService{Name: s.name, TaskDef: def, Desired: roomy, MinPercent: 100, MaxPercent: 200, Force: true}
		if old := w.State.Service(s.name); old != nil {
			put.ExpectedModifyIndex = old.ModifyIndex
		}
		w.do(put)
		for _, task := range tasks {
			if task.revision == revision {
				w.at = w.at.Add(time.Second)
				w.create(s.name, task.id)
				w.begin(task, later)
			}
		}
	}
	w.buildFailures(f, s, later)
}

// create makes a task of a service's current revision.
func (w *World) create(service string, id fleet.TaskID) {
	w.t.Helper()
	w.Plan(service)
	w.do(fleet.CreateTasks{Revision: w.State.Service(service).Revision, Tasks: []fleet.TaskID{id}})
}

// Plan gives a service that has no goals its own, as its planner does.
func (w *World) Plan(service string) {
	w.t.Helper()
	if v := w.State.Service(service); v.Status == fleet.ServiceActive && w.State.Goals(service) == nil {
		w.apply(fleet.Item{Command: v.DefaultGoals(), By: "service"})
	}
}

func (w *World) buildStandalone(f *fixture, later *timeline) {
	w.t.Helper()
	for _, d := range f.defs {
		for _, task := range w.instances(f, d.name) {
			w.at = w.at.Add(time.Second)
			w.do(fleet.RunTasks{TaskDef: w.State.LatestTaskDef(d.name).ID, Tasks: []fleet.TaskID{task.id}})
			w.begin(task, later)
		}
	}
}

// begin gives a task its host and leads it to the status of the text.
func (w *World) begin(task instance, later *timeline) {
	w.t.Helper()
	if task.replace != "" {
		w.replace(task.id, task.replace)
	}
	if task.host == "" {
		return
	}
	w.assign(task.id, task.host)
	status := fleet.TaskReport{Task: task.id, Status: fleet.TaskRunning, Attempt: 1}
	switch task.health {
	case "healthy":
		status.Health = fleet.HealthHealthy
	case "unhealthy":
		status.Health = fleet.HealthUnhealthy
	}
	switch task.status {
	case "pending":
		return
	case "activating":
		status.Status = fleet.TaskActivating
	case "running":
	case "stopping":
		later.add(w.Now.Add(-time.Second), func() {
			w.do(fleet.StopTasks{Tasks: []fleet.TaskID{task.id}, Cause: fleet.CauseScaleIn, Reason: "fixture"})
		})
	default:
		w.t.Fatalf("fixture: task %s: unknown word %q", task.name, task.status)
	}
	later.add(w.Now.Add(-task.age), func() { w.report(task.host, status) })
}

// replace has a task be replaced for a cause.
func (w *World) replace(id fleet.TaskID, cause string) {
	w.t.Helper()
	why, err := fleet.ParseCause(cause)
	if err != nil {
		w.t.Fatalf("fixture: task %s: %v", id, err)
	}
	w.do(fleet.ReplaceTasks{Tasks: []fleet.TaskID{id}, Cause: why})
}

func (w *World) assign(id fleet.TaskID, host fleet.HostID) {
	w.t.Helper()
	def := w.State.TaskDef(w.State.Task(id).TaskDef)
	assign := fleet.AssignTasks{Host: host, Tasks: []fleet.TaskID{id}}
	var ports []fleet.PortBinding
	for _, c := range def.Containers {
		for _, m := range c.PortMappings {
			port := m.HostPort
			for next := w.State.Fleet().Settings.DynamicPortFirst; port == 0; next++ {
				if !w.State.PortTaken(host, m.Protocol, next) {
					port = next
				}
			}
			ports = append(ports, fleet.PortBinding{Container: c.Name, ContainerPort: m.ContainerPort, HostPort: port,
				Protocol: m.Protocol})
		}
	}
	if ports != nil {
		assign.Ports = [][]fleet.PortBinding{ports}
	}
	w.do(assign)
}

// buildFailures makes starts of the service fail, the last of them Now.
func (w *World) buildFailures(f *fixture, s *serviceSpec, later *timeline) {
	w.t.Helper()
	at := w.Now
	for round := s.failed; round > 0; round-- {
		id, host := fleet.TaskID(fmt.Sprintf("%s-failed-%d", s.name, round)), fleet.HostID(f.hosts[0].name)
		later.add(at.Add(-500*time.Millisecond), func() {
			w.create(s.name, id)
			w.assign(id, host)
		})
		later.add(at, func() {
			code := 1
			w.report(host, fleet.TaskReport{Task: id, Status: fleet.TaskStopped, StopCode: fleet.StopEssentialContainerExited,
				Exits: []fleet.ContainerExit{{Container: "app", Code: &code}}, Attempt: 1})
		})
		at = at.Add(-min(fleet.BackoffCap, fleet.BackoffBase<<max(0, round-2)) - time.Second)
	}
}

// finishService gives a service the numbers of the text.
func (w *World) finishService(s *serviceSpec) {
	w.t.Helper()
	old := w.State.Service(s.name)
	w.do(fleet.PutService{Name: s.name, ExpectedModifyIndex: old.ModifyIndex, TaskDef: w.State.LatestTaskDef(s.name).ID,
		Desired: s.desired, MinPercent: s.min, MaxPercent: s.max, GraceS: int(s.grace / time.Second),
		OnDisconnect: fleet.OnDisconnect{StopAfterMs: s.stopAfter.Milliseconds()}})
	if s.deleted {
		w.do(fleet.DeleteService{Name: s.name, Force: true})
		return
	}
	w.Plan(s.name)
}

// buildLife brings a host to the life of the text, and to how it is seen.
func (w *World) buildLife(h *hostSpec, later *timeline) {
	w.t.Helper()
	id := fleet.HostID(h.name)
	if h.livenessFor == 0 {
		h.livenessFor = 10 * time.Second
	}
	liveness := w.Liveness.Hosts[id]
	liveness.Liveness, liveness.For, liveness.Age = h.liveness, h.livenessFor, h.livenessFor
	w.Liveness.Hosts[id] = liveness
	silence := func() { w.do(fleet.SilenceHost{Host: id, Session: w.State.Host(id).Session.N}) }
	if h.lost {
		later.add(w.Now.Add(-10*time.Minute), silence)
		later.add(w.Now.Add(-time.Minute), func() { w.do(fleet.LoseHost{Host: id, Session: w.State.Host(id).Session.N}) })
	}
	if h.silent > 0 {
		later.add(w.Now.Add(-h.silent), silence)
	}
	if h.rebooted > 0 {
		later.add(w.Now.Add(-h.rebooted), func() {
			host := w.State.Host(id)
			w.reports[id] = 0
			w.do(fleet.OpenSession{Host: id, Boot: "boot-2", Nonce: host.Session.Nonce + 1, Addr: host.Addr, Zone: host.Zone,
				Capacity: host.Capacity})
		})
	}
	if h.cordoned {
		later.add(w.Now.Add(-time.Second), func() { w.do(fleet.CordonHost{Host: id, Why: "fixture"}) })
	}
}
