package invariant

import (
	"fmt"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

// large is a fleet of n hosts with twenty running tasks each, a hundred tasks a
// service.
func large(b *testing.B, n int) (*rig, []fleet.TaskID) {
	b.Helper()
	r := newRig(b)
	for i := 3; i <= n; i++ {
		r.host(fleet.HostID(fmt.Sprintf("h%d", i)), string(rune('a'+i%3)))
	}
	r.do(fleet.RegisterTaskDef{Family: "small",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkNone,
			Containers: []fleet.Container{{Name: "app", Image: "x", CPU: 16, MemoryReservation: 16, StopTimeoutS: 30}}}})
	var ids []fleet.TaskID
	for i := range n * 20 {
		service := fmt.Sprintf("s%d", i/100)
		if i%100 == 0 {
			r.do(fleet.PutService{Name: service, TaskDef: "small:1", Desired: min(100, n*20-i), MinPercent: 50, MaxPercent: 200})
		}
		id := fleet.TaskID(fmt.Sprintf("%032d", i))
		r.place(fleet.RevisionID(service+"/1"), id, fleet.HostID(fmt.Sprintf("h%d", 1+i%n)))
		r.run(id)
		r.live(id)
		ids = append(ids, id)
	}
	if err := r.c.Full(r.s); err != nil {
		b.Fatal(err)
	}
	return r, ids
}

// BenchmarkReplacement is all that a task's replacement tells the checker: a
// report of its end, a new task that is created, placed and started, and what
// its machine does. State's own share is not timed.
func BenchmarkReplacement(b *testing.B) {
	for _, hosts := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d hosts", hosts), func(b *testing.B) {
			r, ids := large(b, hosts)
			n := 0
			for b.Loop() {
				b.StopTimer()
				old := ids[n%len(ids)]
				id := fleet.TaskID(fmt.Sprintf("new-%028d", n))
				task := r.s.Task(old)
				ids[n%len(ids)] = id
				n++
				r.seqs[task.Host]++
				entries := []fleet.Command{
					fleet.Report{Host: task.Host, Session: 1, Seq: r.seqs[task.Host],
						Tasks: []fleet.TaskReport{{Task: old, Status: fleet.TaskStopped, Attempt: 1}}},
					fleet.CreateTasks{Revision: task.Revision, Tasks: []fleet.TaskID{id}},
					fleet.AssignTasks{Host: task.Host, Tasks: []fleet.TaskID{id}},
				}
				r.clock += 10 * time.Second
				m := r.machine(task.Host)
				var done []Entry
				for _, cmd := range entries {
					e := fleet.Entry{At: dawn.Add(r.clock), Items: []fleet.Item{{Command: cmd, By: "placement"}}}
					out := r.s.Apply(r.s.Index()+1, e)
					if out.Results[0].Err != nil {
						b.Fatal(out.Results[0].Err)
					}
					done = append(done, Entry{Index: r.s.Index(), Term: 1, Planned: r.s.Index() - 1, Entry: e, Results: out.Results,
						After: r.s.Clone()})
				}
				b.StartTimer()
				r.c.ContainerEnded(m, old, "app", Itself)
				for _, e := range done {
					r.c.Committed(e)
				}
				r.c.StartRecorded(m, id, "app", 1, 1)
				r.c.ContainerCreated(m, id, "app", 1)
				r.c.ContainerStarted(m, id, "app", 1)
			}
			b.StopTimer()
			for _, broken := range r.broken {
				if broken.Name != "I13" { // tasks are replaced where they stood
					b.Fatalf("%s", broken)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(7*b.N), "ns/fact")
		})
	}
}

// BenchmarkReport is a report that changes a task's health, the commonest entry.
func BenchmarkReport(b *testing.B) {
	for _, hosts := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("%d hosts", hosts), func(b *testing.B) {
			r, ids := large(b, hosts)
			after := r.s
			e := Entry{Index: r.s.Index(), Term: 1, After: after, Results: []fleet.Result{{}}}
			n := 0
			for b.Loop() {
				task := r.c.model.tasks[ids[n%len(ids)]]
				e.Index++
				e.Entry.Items = []fleet.Item{
					{Command: fleet.Report{Host: task.host.id, Session: 1, Seq: task.host.seq + 1,
						Tasks: []fleet.TaskReport{{Task: task.id, Status: fleet.TaskRunning, Health: task.health, Attempt: 1}}}}}
				r.c.Committed(e)
				n++
			}
			if len(r.broken) > 0 {
				b.Fatalf("%s", r.broken[0])
			}
		})
	}
}
