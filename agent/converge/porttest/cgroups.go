package porttest

import (
	"slices"
	"strings"
	"testing"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// CgroupsFixture is a tree of cgroups to be tested.
type CgroupsFixture struct {
	Cgroups converge.Cgroups
	Reopen  func(t *testing.T) converge.Cgroups
	// ReadBack reads the bounds that are in force at a path that Prepare returned,
	// with the ceilings rounded as the kernel rounds them.
	ReadBack func(t *testing.T, path string) port.TaskBounds
}

// Cgroups runs the contract of converge.Cgroups. open makes a fixture with
// nothing in it, once for each case.
func Cgroups(t *testing.T, open func(t *testing.T) CgroupsFixture) {
	for name, run := range cgroupCases {
		t.Run(name, func(t *testing.T) { run(t, open(t)) })
	}
}

var cgroupCases = map[string]func(t *testing.T, f CgroupsFixture){
	"a task gets a folder of its own with what was asked": func(t *testing.T, f CgroupsFixture) {
		for name, bounds := range map[string]port.TaskBounds{
			"shares only":                  {Shares: 512},
			"a ceiling of memory":          {Shares: 2048, Memory: 64},
			"a ceiling of cpu, no shares":  {CPU: 512},
			"ceilings of both, and shares": {Shares: 1024, CPU: 2048, Memory: 128},
		} {
			task := TaskOf(name[:10])
			path, err := f.Cgroups.Prepare(t.Context(), task, bounds)
			if err != nil {
				t.Fatalf("%s: Prepare: %v", name, err)
			}
			if !strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/"+string(task)) {
				t.Errorf("%s: path %q", name, path)
			}
			want := bounds
			if want.Shares == 0 {
				want.Shares = want.CPU
			}
			if got := f.ReadBack(t, path); got != want {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
	},
	"preparing again sets the bounds anew": func(t *testing.T, f CgroupsFixture) {
		task := TaskOf("a")
		first, err := f.Cgroups.Prepare(t.Context(), task, port.TaskBounds{Shares: 100, CPU: 256, Memory: 64})
		if err != nil {
			t.Fatal(err)
		}
		second, err := f.Cgroups.Prepare(t.Context(), task, port.TaskBounds{Shares: 200})
		if err != nil || first != second {
			t.Fatalf("Prepare = %q, %v; want %q", second, err, first)
		}
		if got, want := f.ReadBack(t, first), (port.TaskBounds{Shares: 200}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	},
	"no shares at all weigh the least there is": func(t *testing.T, f CgroupsFixture) {
		path, err := f.Cgroups.Prepare(t.Context(), TaskOf("a"), port.TaskBounds{})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.ReadBack(t, path); got.Shares != 2 {
			t.Errorf("shares %d, want 2", got.Shares)
		}
	},
	"tasks are listed, by another opener too, until removed": func(t *testing.T, f CgroupsFixture) {
		tasks := []fleet.TaskID{TaskOf("a"), TaskOf("b")}
		for _, task := range tasks {
			if _, err := f.Cgroups.Prepare(t.Context(), task, port.TaskBounds{Shares: 2}); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := f.Reopen(t).Tasks(t.Context()); err != nil || !slices.Equal(got, tasks) {
			t.Errorf("Tasks = %v, %v; want %v", got, err, tasks)
		}
		for range 2 {
			if err := f.Cgroups.Remove(t.Context(), tasks[0]); err != nil {
				t.Errorf("Remove: %v", err)
			}
		}
		if got, err := f.Cgroups.Tasks(t.Context()); err != nil || !slices.Equal(got, tasks[1:]) {
			t.Errorf("Tasks = %v, %v; want %v", got, err, tasks[1:])
		}
	},
	"an idle task uses nothing": func(t *testing.T, f CgroupsFixture) {
		if _, err := f.Cgroups.Prepare(t.Context(), TaskOf("a"), port.TaskBounds{Shares: 2}); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Cgroups.Usage(t.Context(), TaskOf("a")); err != nil || got != (port.Usage{}) {
			t.Errorf("Usage = %+v, %v", got, err)
		}
	},
	"the use of a task that is not there is an error, not nothing": func(t *testing.T, f CgroupsFixture) {
		if got, err := f.Cgroups.Usage(t.Context(), TaskOf("a")); err == nil {
			t.Errorf("Usage = %+v", got)
		}
	},
	"an id that would leave the parent or meet a control file is refused": func(t *testing.T, f CgroupsFixture) {
		for _, task := range []fleet.TaskID{"", ".", "..", "../x", "a/b", "tasks", "notify_on_release", "cgroup.procs",
			fleet.TaskID(strings.Repeat("x", 300))} {
			if path, err := f.Cgroups.Prepare(t.Context(), task, port.TaskBounds{Shares: 2}); err == nil {
				t.Errorf("Prepare %q = %q", task, path)
			}
			if err := f.Cgroups.Remove(t.Context(), task); err == nil {
				t.Errorf("Remove %q was accepted", task)
			}
		}
	},
}
