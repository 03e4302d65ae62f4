package fleet

import (
	"fmt"
	"slices"
	"testing"
)

// BenchmarkFinishDeployment is the apply that ends a deployment of 10,000 tasks on 1,000
// hosts, which change from the alternate group to the main one. Beside it, as the floor,
// one apply in which the same tasks are asked to stop, which writes as many rows.
func BenchmarkFinishDeployment(b *testing.B) {
	const hosts, tasks = 1_000, 10_000
	r := rolloutOf(b, hosts, tasks)
	d := r.live()
	finish := FinishDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Status: DeploymentSuccessful}
	var ids []TaskID
	for t := range r.LiveTasksOfService("web") {
		ids = append(ids, t.ID)
	}
	var stop []Item
	for some := range slices.Chunk(ids, 4_000) {
		stop = append(stop, Item{Command: StopTasks{Tasks: some, Cause: CauseRollout}})
	}
	for _, row := range []struct {
		name  string
		items []Item
	}{{"finish", []Item{{Command: finish}}}, {"floor-stop", stop}} {
		b.Run(row.name, func(b *testing.B) {
			touched := 0
			for b.Loop() {
				b.StopTimer()
				s := r.Clone()
				b.StartTimer()
				out := s.Apply(s.Index()+1, Entry{At: r.at, Items: row.items})
				if err := out.Results[0].Err; err != nil {
					b.Fatal(err)
				}
				touched = 0
				for range out.ChangeSet.Subjects() {
					touched++
				}
			}
			b.ReportMetric(float64(touched), "subjects")
		})
	}
}

// rolloutOf is a deployment at CLEAN_UP of which only the target has tasks: as many on each
// host, healthy in the alternate group.
func rolloutOf(b *testing.B, hosts, tasks int) rollout {
	b.Helper()
	w := trafficOf(b, hosts)
	w.must(PutRule{ID: "shop/test", Priority: 1, Conditions: host("test.example"), Action: *forward("blue", TotalWeight)})
	w.serves(2)
	r := rollout{w}
	r.deploy(DeploymentConfig{Strategy: BlueGreen})
	r.to(StageCleanUp)
	r.gone("web/1")
	play := func(c Command) {
		b.Helper()
		if err := w.Apply(w.Index()+1, Entry{At: w.at, Items: []Item{{Command: c}}}).Results[0].Err; err != nil {
			b.Fatalf("%T: %v", c, err)
		}
	}
	play(ScaleService{Name: "web", Desired: tasks})
	play(PutGoals{Service: "web", ServiceModifyIndex: w.Service("web").ModifyIndex, Max: tasks,
		Revisions: []RevisionGoal{{Revision: "web/2", Desired: tasks, Max: tasks}}})
	each := tasks / hosts
	for n := 1; n <= hosts; n++ {
		open := Report{Host: hostID(n), Session: 1, Seq: w.Host(hostID(n)).ReportSeq + 1}
		assign := AssignTasks{Host: hostID(n)}
		for i := range each - w.held(n) {
			id := TaskID(fmt.Sprintf("t-%d-%d", n, i))
			assign.Tasks = append(assign.Tasks, id)
			assign.Ports = append(assign.Ports, []PortBinding{{Container: "app", ContainerPort: 8080, HostPort: 51000 + i,
				Protocol: TCP}})
			said := running(id)
			said.Targets = []TargetReport{{Group: "green", State: TargetHealthy}}
			open.Tasks = append(open.Tasks, said)
		}
		play(CreateTasks{Revision: "web/2", Tasks: assign.Tasks})
		play(assign)
		play(open)
	}
	return r
}

// held is how many tasks a host has.
func (w *world) held(host int) (n int) {
	for range w.HeldBy(hostID(host)) {
		n++
	}
	return n
}
