package lead

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/deploy"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run the random histories of this seed only")
	seedsFlag = flag.Uint64("seeds", 12, "how many random histories to run")
)

// quietPasses is how many passes with commands a fleet may need, after the last
// outside change, before its planners have nothing more to say. Each pass comes
// from something that happened: hosts do one step of each task at a time, and a
// roll-over at 50/100 takes four steps of two tasks, and a deployment some fifteen more.
const quietPasses = 60

// history is a world to which things happen at random.
type history struct {
	*world
	r       *rand.Rand
	dead    map[fleet.HostID]bool
	boots   int
	service []string
	full    map[string]func(plan.Input) plan.Plan
	log     []string
}

// In random histories, an incremental pass gives the commands of a full one,
// State takes every command that the planners fold, and when nothing happens
// any more the planners come to rest with all that was asked for.
func TestRandomHistories(t *testing.T) {
	from, to := uint64(1), *seedsFlag
	if *seedFlag > 0 {
		from, to = *seedFlag, *seedFlag
	}
	for seed := from; seed <= to; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			h := newHistory(t, rand.New(rand.NewPCG(seed, 7)))
			defer func() {
				if t.Failed() {
					for _, line := range h.log[max(0, len(h.log)-30):] {
						t.Log(line)
					}
					t.Logf("again with -seed=%d", seed)
				}
			}()
			for range 400 {
				h.happen()
			}
			h.rest()
		})
	}
}

func newHistory(t *testing.T, r *rand.Rand) *history {
	h := &history{r: r, dead: map[fleet.HostID]bool{}, service: []string{"api", "job", "web"},
		full: map[string]func(plan.Input) plan.Plan{}}
	var compared []Planner
	for i, p := range Planners() {
		h.full[p.By] = Planners()[i].Next
		compared = append(compared, Planner{By: p.By, Next: h.compare(p)})
	}
	h.world = newWorld(t, 5, compared...)
	h.do(fleet.RaiseFormat{Format: 2, Force: true})
	h.lead()
	for i, name := range h.service {
		h.world.service(name, 2+i, i != 1)
	}
	return h
}

// compare runs a planner and checks that a full pass of a new one says the same.
func (h *history) compare(p Planner) func(plan.Input) plan.Plan {
	return func(in plan.Input) plan.Plan {
		before := h.ids
		got := p.Next(in)
		after := h.ids
		h.ids = before
		scope := in.Scope
		in.Scope = plan.Scope{Full: true}
		want := h.full[p.By](in)
		h.ids = after
		// A full pass may ask for a host again before the time it asked to.
		asked := !slices.ContainsFunc(got.Probes, func(id fleet.HostID) bool { return !slices.Contains(want.Probes, id) })
		if !asked || !reflect.DeepEqual(decided(in.State, got), decided(in.State, want)) {
			h.t.Fatalf("%s, scope %+v\nincremental: %s\n       full: %s", p.By, scope, plantest.Text(got), plantest.Text(want))
		}
		return got
	}
}

// decided are a plan's commands without new numbers of waits that stand: those
// an incremental pass may leave to the next full one.
func decided(s *fleet.State, p plan.Plan) []fleet.Item {
	items := []fleet.Item{}
	for _, item := range p.Items {
		w, ok := item.Command.(fleet.PutCondition)
		if row := s.Condition(w.Subject, item.By); !ok || row == nil || row.Code != w.Code {
			items = append(items, item)
		}
	}
	return items
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf("%s %s", h.now.Wall, fmt.Sprintf(format, args...)))
}

func (h *history) happen() {
	h.t.Helper()
	id := hostID(1 + h.r.IntN(5))
	name := h.service[h.r.IntN(len(h.service))]
	switch h.r.IntN(19) {
	case 0, 1, 2, 3:
		h.obeySome(id)
	case 4:
		h.fail(id)
	case 5:
		d := []time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second, 15 * time.Second, 41 * time.Second,
			6 * time.Minute}[h.r.IntN(6)]
		h.note("%v pass", d)
		h.advance(d)
	case 6:
		h.kill(id)
	case 7:
		h.revive(id)
	case 8:
		liveness := plan.Liveness(h.r.IntN(4)) // anything but silent
		if !h.dead[id] {
			h.note("%s is seen %s", id, liveness)
			h.see(id, liveness)
		}
	case 9:
		h.note("%s is cordoned", id)
		h.do(fleet.CordonHost{Host: id})
	case 10, 11:
		h.note("%s is uncordoned", id)
		h.do(fleet.UncordonHost{Host: id})
	case 12:
		desired := h.r.IntN(9)
		h.note("%s is scaled to %d", name, desired)
		h.do(fleet.ScaleService{Name: name, Desired: desired})
	case 13:
		h.update(name)
	case 14:
		h.note("a task of %s is run alone", name)
		h.do(fleet.RunTasks{TaskDef: h.s.LatestTaskDef(name).ID, Tasks: []fleet.TaskID{h.newID(), h.newID()}})
	case 15:
		h.resize(id)
	case 17, 18:
		h.order(name)
	case 16:
		h.note("a setting changes")
		h.do(fleet.PutSetting{Name: fleet.SettingLostAfter, Value: 10_000 + h.r.Int64N(600_000)})
	}
}

// update gives a service new bounds, and sometimes a new revision that needs
// more or less.
func (h *history) update(name string) {
	h.t.Helper()
	old := h.s.Service(name)
	bounds := [][2]int{{100, 200}, {50, 100}, {100, 150}, {0, 100}, {100, 100}}[h.r.IntN(5)]
	cutOff := []int64{0, 0, 20_000, 400_000}[h.r.IntN(4)]
	h.note("%s is updated to %v, stop after %d ms", name, bounds, cutOff)
	if h.r.IntN(2) == 0 {
		def := *h.s.LatestTaskDef(name)
		def.ID = ""
		c := def.Containers[0]
		c.CPU = []int64{64, 512, 3000, 5000}[h.r.IntN(4)]
		def.Containers = []fleet.Container{c}
		h.do(fleet.RegisterTaskDef{Family: name, Def: def})
	}
	h.do(fleet.PutService{Name: name, ExpectedModifyIndex: old.ModifyIndex, TaskDef: h.s.LatestTaskDef(name).ID,
		Desired:    old.Desired,
		MinPercent: bounds[0], MaxPercent: bounds[1], Force: h.r.IntN(2) == 0, GraceS: h.r.IntN(2) * 20,
		OnDisconnect: fleet.OnDisconnect{StopAfterMs: cutOff}, Deployment: h.deployment()})
}

// deployment is a way to deploy.
func (h *history) deployment() fleet.DeploymentConfig {
	pause := fleet.Hook{Name: "ann", Stages: []fleet.LifecycleStage{fleet.StagePreScaleUp, fleet.StagePostScaleUp},
		Pause: true, TimeoutS: 60, ContinueOnTimeout: h.r.IntN(2) == 0}
	switch h.r.IntN(5) {
	case 0:
		return fleet.DeploymentConfig{Strategy: fleet.Rolling, BakeS: 20, Breaker: fleet.Breaker{Enable: true,
			Rollback: h.r.IntN(2) == 0, Type: fleet.ThresholdCount, Value: 2}}
	case 1:
		return fleet.DeploymentConfig{Strategy: fleet.Rolling, Hooks: []fleet.Hook{pause}}
	case 2:
		return fleet.DeploymentConfig{Strategy: fleet.BlueGreen, BakeS: 30, ProgressS: 120}
	case 3:
		return fleet.DeploymentConfig{Strategy: fleet.Canary, CanaryShare: 1_000, StepBakeS: 15, BakeS: 15,
			Hooks: []fleet.Hook{pause}}
	default:
		return fleet.DeploymentConfig{}
	}
}

// order is a person's, about the deployment of a service, who may be too late.
func (h *history) order(name string) {
	h.t.Helper()
	d := h.s.LiveDeployment(name)
	if d == nil {
		return
	}
	order := fleet.OrderDeployment{ID: d.ID, Order: fleet.OrderPause + fleet.DeploymentOrder(h.r.IntN(5))}
	if order.Order == fleet.OrderContinue && h.r.IntN(2) == 0 {
		for _, r := range d.Hooks {
			if r.Status == fleet.HookAwaitingAction {
				order.Run, order.GoBack = r.ID, h.r.IntN(3) == 0
			}
		}
	}
	h.note("%s of %s: %s", order.Order, d.ID, errorOf(h.apply(order)))
}

func errorOf(results []fleet.Result) string {
	if err := results[0].Err; err != nil {
		return err.Error()
	}
	return "done"
}

func (h *history) up(id fleet.HostID) bool {
	state := h.s.Host(id).State
	return !h.dead[id] && (state == fleet.HostReady || state == fleet.HostSilent)
}

// obeySome lets a host do the next step of some of its tasks.
func (h *history) obeySome(id fleet.HostID) {
	h.t.Helper()
	if !h.up(id) {
		return
	}
	var reports []fleet.TaskReport
	for _, task := range slices.Collect(h.s.HeldBy(id)) {
		if h.r.IntN(3) == 0 || task.Stopped() && !task.Unconfirmed {
			continue
		}
		r := fleet.TaskReport{Task: task.ID, Status: task.Last + 1, Attempt: 1}
		if r.Status >= fleet.TaskRunning {
			r.Status, r.Health = fleet.TaskRunning, fleet.Health(1+h.r.IntN(3))
		}
		if task.Desired == fleet.TaskStopped || task.Session < h.s.Host(id).BootSession {
			r.Status, r.Health = fleet.TaskStopped, fleet.HealthUnknown
		}
		reports = append(reports, r)
	}
	if len(reports) > 0 {
		h.note("%s reports %d tasks", id, len(reports))
		h.report(id, reports...)
	}
}

// fail ends a task of a host by itself.
func (h *history) fail(id fleet.HostID) {
	h.t.Helper()
	if !h.up(id) {
		return
	}
	for task := range h.s.HeldBy(id) {
		if !task.Stopped() && h.r.IntN(2) == 0 {
			code := 1
			h.note("task %s on %s fails", task.ID, id)
			h.report(id, fleet.TaskReport{Task: task.ID, Status: fleet.TaskStopped, Attempt: 1,
				StopCode: fleet.StopEssentialContainerExited, Exits: []fleet.ContainerExit{{Container: "app", Code: &code}}})
			return
		}
	}
}

// resize changes what a host may hold.
func (h *history) resize(id fleet.HostID) {
	h.t.Helper()
	if !h.up(id) {
		return
	}
	room := fleet.Resources{CPU: 1024 << h.r.IntN(3), Memory: 8192}
	h.note("%s has %+v", id, room)
	h.seqs[id]++
	h.do(fleet.Report{Host: id, Session: h.s.Host(id).Session.N, Seq: h.seqs[id], Capacity: &room})
}

func (h *history) kill(id fleet.HostID) {
	h.t.Helper()
	h.note("%s dies", id)
	h.dead[id] = true
	h.see(id, plan.LivenessSilent)
}

// revive brings a host back, as it was or after a reboot.
func (h *history) revive(id fleet.HostID) {
	h.t.Helper()
	lost := h.s.Host(id).State == fleet.HostLost
	if !h.dead[id] && !lost {
		return
	}
	h.dead[id] = false
	if lost || h.r.IntN(2) == 0 {
		h.boots++
		h.note("%s reboots", id)
		h.open(id, fmt.Sprintf("boot-%d", 1+h.boots))
	} else {
		h.note("%s is back", id)
	}
	h.see(id, plan.LivenessAlive)
}

// rest ends the history: all hosts come back, nothing changes any more, and the
// planners must come to rest.
func (h *history) rest() {
	h.t.Helper()
	h.note("all is well from here on")
	for i := 1; i <= 5; i++ {
		id := hostID(i)
		h.revive(id)
		h.see(id, plan.LivenessAlive)
		h.do(fleet.UncordonHost{Host: id})
	}
	for d := range h.s.Clone().LiveDeployments() {
		if d.Pause != nil {
			h.do(fleet.OrderDeployment{ID: d.ID, Order: fleet.OrderContinue})
		}
	}
	h.proposals = nil
	passes := h.loop.Stats().Proposals
	for range 60 {
		for i := 1; i <= 5; i++ {
			h.obey(hostID(i))
		}
		h.advance(30 * time.Second)
	}
	if got := h.loop.Stats().Proposals - passes; got > quietPasses {
		h.t.Errorf("%d passes with commands before the planners came to rest, want at most %d", got, quietPasses)
	}
	h.proposals = nil
	h.advance(40 * time.Minute)
	for _, items := range h.proposals {
		for _, item := range items {
			if _, ok := item.Command.(fleet.Prune); !ok {
				h.t.Fatalf("not at rest: %s", commands(h.proposals))
			}
		}
	}
	h.checkRest()
}

// checkRest checks that every service has what it wants, or says why not.
func (h *history) checkRest() {
	h.t.Helper()
	if err := h.s.Check(); err != nil {
		h.t.Fatal(err)
	}
	for by, n := range h.loop.Stats().FoldRefused {
		if n > 0 {
			h.t.Errorf("%d commands of %s were refused by the fold", n, by)
		}
	}
	for v := range h.s.Services() {
		own, all := h.s.Counts(v.Name, v.Revision), h.s.Counts(v.Name, "")
		done := own.Running == v.Desired && all.Running+all.Pending == v.Desired
		rows := plan.ConditionsOf(h.s, fleet.ServiceSubject(v.Name))
		if !done && (len(rows) == 0 || rows[0].Code == plan.CodeStarting) {
			h.t.Errorf("%s wants %d of %s, has %+v (all: %+v), and says %+v", v.Name, v.Desired, v.Revision, own, all, rows)
		}
		if d := h.s.LiveDeployment(v.Name); d != nil && h.s.Condition(fleet.ServiceSubject(v.Name), deploy.By) == nil {
			h.t.Errorf("%s is still %s at %s, and says not why", d.ID, d.Status, d.Stage)
		}
		if done && len(rows) > 0 && h.s.StalledDeployment(v) == nil {
			h.t.Errorf("%s has what it wants and still says %+v", v.Name, rows[0])
		}
	}
	for task := range h.s.Unassigned() {
		subject := fleet.TaskSubject(task.ID)
		if task.Service != "" {
			subject = fleet.ServiceSubject(task.Service)
		}
		if !h.s.HasCondition(subject) {
			h.t.Errorf("%s waits for a host and nobody says why", task.ID)
		}
	}
}
