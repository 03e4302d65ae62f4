package converge_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

var seeds = flag.Int("converge.seeds", 100, "how many random lives to try")

// TestAnyOrderOfEventsEndsWell leads hosts through random lives: crashes,
// reboots, a runtime and a registry that come and go, calls that fail, hang or
// lose their answer, voters that come and go, frames repeated and out of order.
// Safety is checked all along; then everything heals and the host must come to
// what is wanted within a bounded time.
func TestAnyOrderOfEventsEndsWell(t *testing.T) {
	for i := range *seeds {
		seed := uint64(i + 1)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { randomLife(t, seed) })
	}
}

// wild is one random life.
type wild struct {
	*rig
	g      *registrar
	rnd    *rand.Rand
	next   int // task number
	old    []converge.Frame
	faulty float64 // share of calls that fail
	silent float64 // share of calls that lose their answer
	full   bool    // the disk
	trace  []string
}

func randomLife(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	w := &wild{rig: newRig(t), rnd: rnd}
	w.g = newRegistrar(w.rig)
	defer func() {
		if t.Failed() {
			t.Logf("seed %d, its story: %s", seed, strings.Join(w.trace, ", "))
		}
	}()
	h := exec(5)
	define("wild:1", func(d *fleet.TaskDef) {
		side := d.Containers[0]
		side.Name = "side"
		d.Containers[0].HealthCheck = &h
		d.Containers = append(d.Containers, side)
	})
	define("wild:2", func(d *fleet.TaskDef) { d.Containers[0].Command = []string{"deaf"} })
	// Which kinds of faults there are is drawn first: runs with few kinds find what
	// runs with all of them hide.
	if rnd.IntN(2) == 0 {
		w.faulty = rnd.Float64() / 10
	}
	if rnd.IntN(2) == 0 {
		w.silent = rnd.Float64() / 10
	}
	w.faults = w.fault
	w.up()
	kinds := rnd.Perm(len(operations))[:3+rnd.IntN(len(operations)-2)]
	for range 60 {
		d := operations[kinds[rnd.IntN(len(kinds))]]
		w.trace = append(w.trace, d.name)
		d.do(w)
		w.pass(time.Duration(rnd.IntN(8000)) * time.Millisecond)
		w.safe(t)
		if t.Failed() {
			return
		}
	}
	w.heal(t)
}

// fault makes some calls fail, with or without having had their effect.
func (w *wild) fault(e converge.Effect) error {
	switch e.Do.(type) {
	case converge.Journal, converge.SaveWanted:
		if w.full {
			return errInjected
		}
		return nil
	case converge.Pull, converge.FindImage:
		return nil // the registry has operations of its own
	}
	switch p := w.rnd.Float64(); {
	case p < w.faulty:
		return errInjected
	case p < w.faulty+w.silent:
		if w.rnd.IntN(2) == 0 {
			w.perform(e, &converge.Done{})
		}
		return port.ErrRuntimeDown
	}
	return nil
}

type operation struct {
	name string
	do   func(w *wild)
}

var operations = []operation{
	{"new task", func(w *wild) {
		w.next++
		task := web(w.next)
		if w.rnd.IntN(4) == 0 {
			task.Service, task.Revision = "", ""
		}
		if k := w.rnd.IntN(3); k > 0 {
			task = with(of(task, fleet.TaskDefID(fmt.Sprintf("wild:%d", k))), func(f *fleet.WantedTask) { f.Images = nil })
		}
		w.g.add(task)
		w.tell()
	}},
	{"tell", func(w *wild) { _ = w.tell() }},
	{"tell twice", func(w *wild) {
		if w.tell() {
			w.index--
			w.tell()
		}
	}},
	{"old frame", func(w *wild) {
		if len(w.old) > 0 {
			f := w.old[w.rnd.IntN(len(w.old))]
			f.Session = w.session
			_ = w.send(f)
		}
	}},
	{"stop task", func(w *wild) {
		if len(w.g.tasks) > 0 {
			w.g.stop(w.g.tasks[w.rnd.IntN(len(w.g.tasks))].ID)
			w.tell()
		}
	}},
	{"container exits", func(w *wild) {
		if all, _ := w.containers.List(w.t.Context()); len(all) > 0 {
			w.containers.Exit(all[w.rnd.IntN(len(all))].ID, w.rnd.IntN(3), false)
		}
	}},
	{"agent dies", func(w *wild) { w.kill(); w.agent(); w.maybeMeet() }},
	{"agent dies soon", func(w *wild) { w.crashIn = 1 + w.rnd.IntN(5); w.pass(time.Second); w.revive() }},
	{"reboot", func(w *wild) { w.reboot(); w.agent(); w.maybeMeet() }},
	{"runtime down", func(w *wild) {
		w.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = true })
		w.step(converge.RuntimeDown{Err: port.ErrRuntimeDown})
	}},
	{"runtime up", func(w *wild) { w.runtimeUp() }},
	{"registry down", func(w *wild) { w.containers.Inject(func(f *fake.Faults) { f.RegistryDown = true }) }},
	{"registry up", func(w *wild) { w.containers.Inject(func(f *fake.Faults) { f.RegistryDown = false }) }},
	{"disk full", func(w *wild) { w.full = true }},
	{"disk well", func(w *wild) { w.full = false }},
	{"voter lost", func(w *wild) { w.down = true; w.step(converge.VoterLost{}) }},
	{"voter back", func(w *wild) { w.down = false; w.meet(); w.tell() }},
	{"calls hang", func(w *wild) {
		w.hangs = func(converge.Effect) bool { return w.rnd.IntN(10) == 0 }
		w.pass(2 * time.Second)
		w.hangs = nil
	}},
	{"calls go on", func(w *wild) {
		w.rnd.Shuffle(len(w.hung), func(i, j int) { w.hung[i], w.hung[j] = w.hung[j], w.hung[i] })
		w.thaw()
	}},
	{"long silence", func(w *wild) { w.pass(time.Duration(w.rnd.IntN(200)) * time.Second) }},
	{"hint", func(w *wild) { w.step(converge.ContainerChanged{ID: "x"}, converge.Tick{}, converge.Done{ID: 1 << 40}) }},
}

func (w *wild) runtimeUp() {
	w.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = false })
	w.step(converge.RuntimeUp{Version: "twin"})
}

func (w *wild) maybeMeet() {
	if !w.down && w.rnd.IntN(4) > 0 {
		w.meet()
		w.tell()
	}
}

func (w *wild) revive() {
	w.crashIn = 0
	if w.dead {
		w.agent()
		w.maybeMeet()
	}
}

// tell sends the list when a voter is there.
func (w *wild) tell() bool {
	if w.down || w.session == 0 {
		return false
	}
	tasks := w.g.list()
	w.index++
	f := converge.Frame{Complete: true, Wanted: fleet.Wanted{Index: w.index, Tasks: tasks, TaskDefs: defsFor(tasks)}}
	w.old = append(w.old, f)
	_ = w.send(f)
	w.settle()
	return true
}

// safe checks what must hold at any time.
func (w *wild) safe(t *testing.T) {
	w.neverTwice()
	w.g.take()
	all, err := w.containers.List(t.Context())
	if err != nil {
		return
	}
	for _, c := range all {
		if c.State == port.ContainerRunning && w.g.heard[c.Task].Status == fleet.TaskStopped {
			// A create or start that an agent which is dead had asked for may take
			// effect late; it must not last. heal checks that it does not.
			w.trace = append(w.trace, "late "+c.ID[:4])
		}
	}
}

// heal ends all faults and checks that the host comes to what is wanted.
func (w *wild) heal(t *testing.T) {
	w.faults, w.hangs, w.crashIn, w.down = nil, nil, 0, false
	w.containers.Inject(func(f *fake.Faults) { *f = fake.Faults{} })
	if w.dead {
		w.agent()
	}
	w.thaw()
	w.runtimeUp()
	w.meet()
	// The longest chain of waits: back-offs of 30 s, grace of 30 s, ten minutes
	// for what nobody knows.
	for range 12 * 15 {
		w.g.tell()
		w.heard(5 * time.Second)
	}
	w.g.take()
	w.neverTwice()
	for _, task := range w.g.tasks {
		got := w.g.heard[task.ID]
		local := w.task(task.ID)
		switch {
		case got.Status == fleet.TaskStopped && local.Task == "":
		case task.Desired == fleet.TaskRunning && got.Status == fleet.TaskRunning && local.Status == fleet.TaskRunning:
		default:
			t.Errorf("task %s desired %s: the fleet heard %s, the host says %s: %s", task.ID[:4], task.Desired, got.Status,
				local.Status, local.Why)
		}
	}
	all, _ := w.containers.List(t.Context())
	for _, c := range all {
		if w.g.heard[c.Task].Status == fleet.TaskStopped {
			t.Errorf("container %s of a stopped task is left, %v", c.ID, c.State)
		}
	}
	alive := slices.DeleteFunc(w.m.Status().Tasks, func(s converge.TaskStatus) bool {
		return s.Status == fleet.TaskRunning
	})
	if len(alive) > 0 {
		t.Errorf("the host still works on:\n%s", w.describe())
	}
	if len(w.m.Status().Conditions) > 0 {
		t.Errorf("conditions stand: %+v", w.m.Status().Conditions)
	}
}
