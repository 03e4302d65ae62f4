package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// damage replaces a row of a State, as no command does.
func damage[R any](row *R, change func(*R)) *R {
	broken := *row
	change(&broken)
	return &broken
}

// everyNoun is a State with rows in its tables and entries in its indices.
func everyNoun(t *testing.T) *world {
	w := fleetOf(t, 3)
	w.service("web", 3)
	ids := w.create("web", 1, 5)
	for i, id := range ids[:3] {
		w.assign(i+1, id)
		w.report(i+1, running(id))
	}
	w.must(StopTasks{Tasks: ids[2:3], Cause: CauseOperator, Reason: "x"})
	w.report(3, stopped(ids[2], 0))

	late := PutService{Name: "late", TaskDef: "web:1", Desired: 1, MinPercent: 100, MaxPercent: 200}
	if res := w.item(Item{Command: late, Receipt: &Receipt{Token: "r1", BodyHash: blob(32)}}); res.Err != nil {
		t.Fatal(res.Err)
	}
	w.checked()
	return w
}

// everyTraffic is a State with rows in its tables of traffic.
func everyTraffic(t *testing.T) *world {
	w := trafficOf(t, 2)
	w.must(PutRule{ID: "shop/api", Priority: 10, Conditions: host("api.example"), Action: *forward("green", TotalWeight)})
	w.must(PutListener{Name: "spare", Port: 81, Protocol: ListenHTTP, Default: forward("blue", TotalWeight)})
	w.must(group("red"))
	w.serves(2)
	w.checked()
	return w
}

func TestCheckFindsEachBrokenRuleOfTraffic(t *testing.T) {
	listener := func(change func(*Listener)) func(*world) {
		return func(w *world) { w.listeners.Set("shop", damage(w.Listener("shop"), change)) }
	}
	rule := func(change func(*Rule)) func(*world) {
		return func(w *world) { w.rules.Set("shop/api", damage(w.Rule("shop/api"), change)) }
	}
	service := func(change func(*LoadBalancer)) func(*world) {
		return func(w *world) {
			w.services.Set("web", damage(w.Service("web"), func(v *Service) {
				v.LoadBalancers = slices.Clone(v.LoadBalancers)
				change(&v.LoadBalancers[0])
			}))
		}
	}
	task := func(change func(*TaskTarget)) func(*world) {
		return func(w *world) {
			w.tasks.Set("web-1", damage(w.task("web-1"), func(t *Task) {
				t.Targets = slices.Clone(t.Targets)
				change(&t.Targets[0])
			}))
		}
	}
	for _, c := range []struct {
		want    string
		touched ChangeSet
		broken  func(*world)
	}{
		{"above that of rules", ChangeSetOf(Subject{SubjectListener, "shop"}),
			listener(func(l *Listener) { l.ModifyIndex = 1 << 40 })},
		{"port: is 0", ChangeSetOf(Subject{SubjectListener, "shop"}), listener(func(l *Listener) { l.Port = 0 })},
		{"is another's too", ChangeSetOf(Subject{SubjectListener, "spare"}), listener(func(l *Listener) { l.Port = 81 })},
		{"has no default rule", ChangeSetOf(Subject{SubjectListener, "shop"}),
			func(w *world) { w.rules.Delete("shop/default") }},
		{"above that of rules", ChangeSetOf(Subject{SubjectRule, "shop/api"}),
			rule(func(r *Rule) { r.ModifyIndex = 1 << 40 })},
		{"its listener none", ChangeSetOf(Subject{SubjectRule, "shop/api"}), rule(func(r *Rule) { r.Listener = "none" })},
		{"priority: is 0", ChangeSetOf(Subject{SubjectRule, "shop/api"}), rule(func(r *Rule) { r.Priority = 0 })},
		{"weights that sum to 9999", ChangeSetOf(Subject{SubjectRule, "shop/api"}),
			rule(func(r *Rule) { r.Action = *forward("green", TotalWeight-1) })},
		{`target group "none"`, ChangeSetOf(Subject{SubjectRule, "shop/api"}),
			rule(func(r *Rule) { r.Action = *forward("none", TotalWeight) })},
		{"routes at", ChangeSetOf(Subject{SubjectTargetGroup, "red"}), func(w *world) {
			w.groups.Set("red", damage(w.TargetGroup("red"), func(g *TargetGroup) { g.TargetsModifyIndex = 1 << 40 }))
		}},
		{"healthCheck.healthyThresholdCount", ChangeSetOf(Subject{SubjectTargetGroup, "red"}), func(w *world) {
			w.groups.Set("red", damage(w.TargetGroup("red"), func(g *TargetGroup) { g.Check.Healthy = 0 }))
		}},
		{"target group gone is not there", ChangeSetOf(ServiceSubject("web")),
			service(func(l *LoadBalancer) { l.Group = "gone" })},
		{"rule shop/gone is not there", ChangeSetOf(ServiceSubject("web")),
			service(func(l *LoadBalancer) { l.TestRule = "shop/gone" })},
		{"its revision in", ChangeSetOf(TaskSubject("web-1")), task(func(v *TaskTarget) { v.Group = "green" })},
		{"target is draining", ChangeSetOf(TaskSubject("web-1")), task(func(v *TaskTarget) { v.State = TargetDraining })},
		{"routes changed at", ChangeSetOf(), func(w *world) {
			w.fleet = damage(w.fleet, func(f *Fleet) { f.Routes.Any = 1 << 40 })
		}},
		{"routes changed at", ChangeSetOf(), func(w *world) {
			w.fleet = damage(w.fleet, func(f *Fleet) { f.Routes.Removed = f.Routes.Any + 1 })
		}},
		{"in the index of group", ChangeSetOf(TaskSubject("web-1")),
			func(w *world) { w.targets.Delete(groupTask{"blue", w.task("web-1")}) }},
		{"by change", ChangeSetOf(Subject{SubjectTargetGroup, "red"}),
			func(w *world) { w.groupsByChange.Delete(w.TargetGroup("red")) }},
	} {
		t.Run(c.want, func(t *testing.T) {
			w := everyTraffic(t)
			if err := w.CheckChangeSet(c.touched); err != nil {
				t.Fatal(err)
			}
			c.broken(w)
			if err := w.CheckChangeSet(c.touched); !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("CheckChangeSet: %v\nwant %q", err, c.want)
			}
			if err := w.Check(); err == nil {
				t.Error("Check finds nothing")
			}
		})
	}
	for want, broken := range map[string]func(*world){
		"services name 3 target groups, 2 are different": func(w *world) {
			w.services.Set("twin", damage(w.Service("web"), func(v *Service) {
				v.Name, v.LoadBalancers = "twin", []LoadBalancer{{Group: "blue"}}
			}))
		},
		"services name 2 rules, 1 are different": func(w *world) {
			w.services.Set("twin", damage(w.Service("web"), func(v *Service) {
				v.Name, v.LoadBalancers = "twin", []LoadBalancer{{ProductionRule: "shop/default"}}
			}))
		},
		"index of services by target group": func(w *world) { w.groupUsers.Set("red", "web"); w.groupUsers.Delete("blue") },
		"index of services by rule": func(w *world) {
			w.ruleUsers.Set("shop/api", "web")
			w.ruleUsers.Delete("shop/default")
		},
		"index of tasks by target group":   func(w *world) { w.targets.Set(groupTask{"red", w.task("web-1")}) },
		"index of target groups by change": func(w *world) { w.groupsByChange.PopMin() },
	} {
		t.Run(want, func(t *testing.T) {
			w := everyTraffic(t)
			broken(w)
			if err := w.Check(); !strings.Contains(fmt.Sprint(err, w.checkSums()), want) {
				t.Errorf("Check: %v, sums: %v\nwant %q", err, w.checkSums(), want)
			}
		})
	}
}

// A State that breaks a rule is found: by the check of everything, or, where it is
// cheap, by that of what an entry touched too. What is not found here is not found
// in the simulator either, nor when a snapshot is read.
func TestCheckFindsEachBrokenRule(t *testing.T) {
	host := func(change func(*Host)) func(*world) {
		return func(w *world) { w.hosts.Set(hostID(1), damage(w.Host(hostID(1)), change)) }
	}
	service := func(change func(*Service)) func(*world) {
		return func(w *world) { w.services.Set("web", damage(w.Service("web"), change)) }
	}
	goals := func(change func(*Goals)) func(*world) {
		return func(w *world) { w.goals.Set("web", damage(w.Goals("web"), change)) }
	}
	voter := func(change func(*Voter)) func(*world) {
		return func(w *world) {
			v := w.VoterOf(hostID(1))
			w.voters.Set(v.ID, damage(v, change))
		}
	}
	for _, c := range []struct {
		want   string
		broken func(*world)
	}{
		{"has no containers", func(w *world) {
			w.defs.Set(itemOfDef(damage(w.TaskDef("web:1"), func(d *TaskDef) { d.Containers = nil })))
		}},
		{"task definition web:1: mod", func(w *world) {
			w.defs.Set(itemOfDef(damage(w.TaskDef("web:1"), func(d *TaskDef) { d.ModifyIndex = w.Index() + 1 })))
		}},
		{"no task definition web:9", func(w *world) {
			w.revisions.Set(itemOfRevision(damage(w.Revision("web/1"), func(r *Revision) { r.TaskDef = "web:9" })))
		}},
		{"revision gone/1 has no service", func(w *world) {
			w.revisions.Set(itemOfRevision(damage(w.Revision("web/1"), func(r *Revision) { r.ID = "gone/1" })))
		}},
		{"fleet: now", func(w *world) { w.now++ }},
		{"fleet: epoch 0", func(w *world) { w.fleet = damage(w.fleet, func(f *Fleet) { f.Epoch = 0 }) }},
		{"format 0", func(w *world) { w.fleet = damage(w.fleet, func(f *Fleet) { f.Format = 0 }) }},
		{"rows without a fleet", func(w *world) { w.fleet = nil }},
		{"newest event", func(w *world) { w.State.lastEvent++ }},

		{"host state(6)", host(func(h *Host) { h.State = HostForgotten + 1 })},
		{"above index", host(func(h *Host) { h.ModifyIndex = 1 << 40 })},
		{"above index", host(func(h *Host) { h.WantedModifyIndex = 1 << 40 })},
		{"above index", host(func(h *Host) { h.EntriesModifyIndex = 1 << 40 })},
		{"boot began in session", host(func(h *Host) { h.BootSession = h.Session.N + 1 })},
		{"never passed a self-check", host(func(h *Host) { h.ReadyAt = 0 })},
		{"no known cause", host(func(h *Host) { h.Drain = &Drain{} })},
		{"its agent is refused", host(func(h *Host) { h.Refused = &RefusedAgent{Format: 1} })},
		{"no name or key", host(func(h *Host) { h.Name = "" })},
		{"no name or key", host(func(h *Host) { h.Cert.PublicKey = "" })},
		{"number is above the highest used", host(func(h *Host) { h.LastRaft = 0 })},
		{"its host is not there", func(w *world) { w.hosts.Delete(hostID(1)) }},
		{"voter", voter(func(v *Voter) { v.Host = hostID(2) })},
		{"voter", voter(func(v *Voter) { v.Phase = VoterRetiring + 1 })},
		{"are one host", func(w *world) {
			v := w.VoterOf(hostID(1))
			w.hosts.Set(hostID(1), damage(w.Host(hostID(1)), func(h *Host) { h.LastRaft = 2 }))
			second := MakeRaftID(v.Host, 2)
			w.voters.Set(second, damage(v, func(v *Voter) { v.ID = second }))
		}},

		{"no current revision", service(func(v *Service) { v.Revision = "web/9" })},
		{"no current revision", service(func(v *Service) { v.Revision = "late/1" })},
		{"above the last", service(func(v *Service) { v.LastRevision = 0 })},
		{"service web:", service(func(v *Service) { v.Status = ServiceDraining })},
		{"percent", service(func(v *Service) { v.MinPercent = 101 })},
		{"percent", service(func(v *Service) { v.MaxPercent = 99 })},
		{"above index", service(func(v *Service) { v.ModifyIndex = 1 << 40 })},
		{"drained and still there", func(w *world) {
			w.services.Set("late", damage(w.Service("late"), func(v *Service) { v.Status, v.Desired = ServiceDraining, 0 }))
		}},

		{"goals of service gone", func(w *world) {
			w.goals.Set("gone", damage(w.Goals("web"), func(g *Goals) { g.Service = "gone" }))
		}},
		{"goals of service web, which is DRAINING", service(func(v *Service) { v.Status, v.Desired = ServiceDraining, 0 })},
		{"made at", service(func(v *Service) { v.ModifyIndex += 2 })},
		{"made at", goals(func(g *Goals) { g.ModifyIndex = 1 << 40 })},
		{"goals of service web: revision web/9", goals(func(g *Goals) { g.Revisions = []RevisionGoal{{Revision: "web/9"}} })},
		{"goals of service web: revision late/1",
			goals(func(g *Goals) { g.Revisions = []RevisionGoal{{Revision: "late/1"}} })},
		{"goals of service web: revision web/1", goals(func(g *Goals) { g.Revisions = append(g.Revisions, g.Revisions...) })},
		{"at most 6 in all", goals(func(g *Goals) { g.Revisions = []RevisionGoal{{Revision: "web/1", Desired: 2, Max: 1}} })},
		{"at most 6 in all", goals(func(g *Goals) { g.Revisions = []RevisionGoal{{Revision: "web/1", Desired: 2, Max: 7}} })},
		{"3 are desired, at most 2", goals(func(g *Goals) { g.Max = 2 })},

		{"name h1 or its key is there twice", func(w *world) { w.hostByName.Set("h1", hostID(2)) }},
		{"3 hosts, 4 names", func(w *world) { w.hostByName.Set("other", hostID(2)) }},
		{"3 hosts, 3 names, 4 keys", func(w *world) { w.hostByKey.Set("other", hostID(2)) }},
		{"reserved", func(w *world) { w.reserved.Set(hostID(1), Resources{CPU: 1}) }},
		{"different", func(w *world) { w.ports.Set(PortUse{Host: hostID(1), Port: 80}) }},
		{"reserved of", func(w *world) {
			w.hosts.Set(hostID(1), damage(w.Host(hostID(1)), func(h *Host) { h.Capacity, h.CapacityAt = Resources{}, 0 }))
		}},
		{"events:", func(w *world) { w.eventMemory++ }},
		{"events of services:", func(w *world) { w.serviceEventMemory++ }},
		{"index of tasks by host", func(w *world) { w.byHost.Delete(w.task("web-3")) }},
		{"index of tasks by service", func(w *world) { w.byService.Delete(w.task("web-1")) }},
		{"index of unassigned tasks", func(w *world) { w.unassigned.Delete(w.task("web-4")) }},
		{"index of stopped tasks", func(w *world) { w.stopped.Delete(w.task("web-3")) }},
		{"index of counts by revision", func(w *world) { w.ofRevision.Delete("web/1") }},
		{"index of counts by zone", func(w *world) { w.zones.PopMin() }},
		{"index of deadlines", func(w *world) { w.due.PopMin() }},
		{"index of receipts by age", func(w *world) { w.receiptsByAge.PopMin() }},
		{"index of rings of services", func(w *world) { w.serviceRings.Set("web", ringSize{1, 1}) }},
		{"index of events of services by age", func(w *world) { w.serviceEventsByAge.PopMin() }},
	} {
		t.Run(c.want, func(t *testing.T) {
			w := everyNoun(t)
			c.broken(w)
			if err := w.Check(); !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("Check: %v\nwant %q", err, c.want)
			}
		})
	}
}

func TestCheckFindsEachBrokenRuleOfATask(t *testing.T) {
	for _, c := range []struct {
		want   string
		task   TaskID
		change func(*Task)
	}{
		{"its task definition is there", "web-1", func(t *Task) { t.TaskDef = "web:9" }},
		{"it is to be RUNNING or STOPPED", "web-1", func(t *Task) { t.Desired = TaskPending }},
		{"its status is one", "web-1", func(t *Task) { t.Last = TaskStopped + 1 }},
		{"past RUNNING it is to stop", "web-1", func(t *Task) { t.Last = TaskStopping }},
		{"a time of stop when", "web-3", func(t *Task) { t.StoppedAt = 0 }},
		{"a time of stopping when", "web-1", func(t *Task) { t.StoppingAt = start }},
		{"a cause of its stop is one", "web-1", func(t *Task) { t.Stop = &Request{Cause: CauseOperator} }},
		{"a cause of its stop is one", "web-3", func(t *Task) { t.Stop = &Request{} }},
		{"it is a service's and has a cause", "web-1", func(t *Task) { t.Replace = &Request{} }},
		{"unconfirmed it is STOPPED", "web-1", func(t *Task) { t.Unconfirmed = true }},
		{"a time of assignment", "web-1", func(t *Task) { t.AssignedAt = 0 }},
		{"without a host", "web-4", func(t *Task) { t.Last = TaskRunning }},
		{"it did not change after the index", "web-1", func(t *Task) { t.ModifyIndex = 1 << 40 }},
		{"its revision is one of its service", "web-1", func(t *Task) { t.Revision = "late/1" }},
		{"its host is there", "web-1", func(t *Task) { t.Host = hostID(9) }},
		{"its session began", "web-1", func(t *Task) { t.Session = 9 }},
		{"its service and revision are there", "web-1", func(t *Task) { t.Revision = "web/9" }},
		{"a port for each mapping", "web-1", func(t *Task) { t.Ports = []PortBinding{{}} }},
	} {
		t.Run(c.want, func(t *testing.T) {
			w := everyNoun(t)
			w.tasks.Set(c.task, damage(w.task(c.task), c.change))
			for name, err := range map[string]error{
				"Check":          w.Check(),
				"CheckChangeSet": w.CheckChangeSet(ChangeSetOf(TaskSubject(c.task))),
			} {
				if !strings.Contains(fmt.Sprint(err), c.want) {
					t.Errorf("%s: %v\nwant %q", name, err, c.want)
				}
			}
		})
	}
}

// What an entry touched is checked against every index that it should be in.
func TestCheckOfAChangeSetFindsWhatWasNotKept(t *testing.T) {
	tasks := func(id TaskID) ChangeSet { return ChangeSetOf(TaskSubject(id)) }
	for _, c := range []struct {
		want    string
		touched ChangeSet
		lose    func(*world)
	}{
		{"in the index of services: false", tasks("web-1"), func(w *world) { w.byService.Delete(w.task("web-1")) }},
		{"in the index of hosts: false", tasks("web-1"), func(w *world) { w.byHost.Delete(w.task("web-1")) }},
		{"in the index of unassigned: false", tasks("web-4"), func(w *world) { w.unassigned.Delete(w.task("web-4")) }},
		{"in the index of stopped: false", tasks("web-3"), func(w *world) { w.stopped.Delete(w.task("web-3")) }},
		{"tasks hold", ChangeSetOf(HostSubject(hostID(1))), func(w *world) { w.reserved.Delete(hostID(1)) }},
		{"tasks hold", ChangeSetOf(Subject{SubjectWanted, string(hostID(1))}),
			func(w *world) { w.reserved.Delete(hostID(1)) }},
		{"counts", ChangeSetOf(ServiceSubject("web")), func(w *world) { w.ofRevision.Delete("web/1") }},
		{"in zone", ChangeSetOf(ServiceSubject("web")), func(w *world) { w.zones.PopMin() }},
		{"goals of service web", ChangeSetOf(ServiceSubject("web")), func(w *world) {
			w.goals.Set("web", damage(w.Goals("web"), func(g *Goals) { g.Max = 0 }))
		}},
		{"voter", ChangeSetOf(Subject{Kind: SubjectVoters}), func(w *world) {
			v := w.VoterOf(hostID(1))
			w.voters.Set(v.ID, damage(v, func(v *Voter) { v.Host = hostID(2) }))
		}},
	} {
		t.Run(c.want, func(t *testing.T) {
			w := everyNoun(t)
			if err := w.CheckChangeSet(c.touched); err != nil {
				t.Fatal(err)
			}
			c.lose(w)
			if err := w.CheckChangeSet(c.touched); !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("%v\nwant %q", err, c.want)
			}
		})
	}
}
