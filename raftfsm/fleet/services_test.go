package fleet

import (
	"slices"
	"strings"
	"testing"
)

func TestPutService(t *testing.T) {
	good := PutService{Name: "web", TaskDef: "web:1", Desired: 2, MinPercent: 100, MaxPercent: 200}
	bad := func(change func(*PutService)) PutService {
		c := good
		change(&c)
		return c
	}
	with := func(t *testing.T) *world {
		w := fleetOf(t, 1)
		w.must(RegisterTaskDef{Family: "web", Def: webDef()})
		return w
	}
	for name, tt := range map[string]struct {
		c    PutService
		want string
	}{
		"a name with a slash is refused":     {bad(func(c *PutService) { c.Name = "a/b" }), "serviceName"},
		"a name that is too long is refused": {bad(func(c *PutService) { c.Name = strings.Repeat("x", 256) }), "serviceName"},
		"a negative count is refused":        {bad(func(c *PutService) { c.Desired = -1 }), "desiredCount"},
		"a count past the limit is refused":  {bad(func(c *PutService) { c.Desired = MaxDesired + 1 }), "desiredCount"},
		"a minimum above 100 percent is refused": {bad(func(c *PutService) { c.MinPercent = 101 }),
			"minimumHealthyPercent"},
		"a maximum below 100 percent is refused": {bad(func(c *PutService) { c.MaxPercent = 99 }), "maximumPercent"},
		"a negative grace period is refused": {bad(func(c *PutService) { c.GraceS = -1 }),
			"healthCheckGracePeriodSeconds"},
		"a pin of a container that is not there is refused": {
			bad(func(c *PutService) { c.Images = []ImagePin{{"x", "sha256:00"}} }), "images[0].container"},
		"a pin that is no digest is refused": {bad(func(c *PutService) { c.Images = []ImagePin{{"app", "latest"}} }),
			"images[0].digest"},
		"a negative stop-after is refused": {bad(func(c *PutService) { c.OnDisconnect.StopAfterMs = -1 }),
			"onDisconnect.stopAfterMs"},
		"an empty tag name is refused": {bad(func(c *PutService) { c.Tags = map[string]string{"": "x"} }), "tags"},
	} {
		t.Run(name, func(t *testing.T) { with(t).refused(tt.c, ErrInvalid, tt.want) })
	}
	t.Run("a task definition that is not there is refused", func(t *testing.T) {
		with(t).refused(bad(func(c *PutService) { c.TaskDef = "web:2" }), ErrNotFound, "web:2")
	})
	t.Run("a new service gets its first revision", func(t *testing.T) {
		w := with(t)
		if ids := w.must(good); ids[0] != "web/1" {
			t.Errorf("ids %v", ids)
		}
		v, r := w.Service("web"), w.Revision("web/1")
		if v.Status != ServiceActive || v.Desired != 2 || v.Revision != "web/1" || r.TaskDef != "web:1" ||
			v.CreatedAt != w.at {
			t.Errorf("service %+v, revision %+v", v, r)
		}
		w.refused(good, ErrExists, "web")
	})
	t.Run("an update needs the row as it was read", func(t *testing.T) {
		w := with(t)
		w.refused(bad(func(c *PutService) { c.ExpectedModifyIndex = 7 }), ErrNotFound, "web")
		w.must(good)
		modifyIndex := w.Service("web").ModifyIndex
		w.refused(bad(func(c *PutService) { c.ExpectedModifyIndex = modifyIndex - 1 }), ErrMoved, "read it again")
		w.must(bad(func(c *PutService) { c.ExpectedModifyIndex = modifyIndex; c.Desired = 9 }))
		w.refused(bad(func(c *PutService) { c.ExpectedModifyIndex = modifyIndex }), ErrMoved, "read it again")
	})
	t.Run("only another definition or force makes a new revision", func(t *testing.T) {
		w := with(t)
		w.must(RegisterTaskDef{Family: "web", Def: webDef()})
		w.must(good)
		put := func(c PutService) string {
			c.ExpectedModifyIndex = w.Service("web").ModifyIndex
			return w.must(c)[0]
		}
		if id := put(bad(func(c *PutService) { c.Desired = 5 })); id != "web/1" {
			t.Errorf("another count: %s", id)
		}
		if id := put(bad(func(c *PutService) { c.TaskDef = "web:2" })); id != "web/2" {
			t.Errorf("another definition: %s", id)
		}
		if id := put(bad(func(c *PutService) { c.TaskDef, c.Force = "web:2", true })); id != "web/3" {
			t.Errorf("force: %s", id)
		}
		if w.Revision("web/1") == nil || w.Service("web").LastRevision != 3 {
			t.Errorf("service %+v", w.Service("web"))
		}
	})
	t.Run("old revisions go, those with tasks stay", func(t *testing.T) {
		w := with(t)
		w.must(good)
		w.create("web", 1, 1)
		for range MaxRevisions + 5 {
			w.must(bad(func(c *PutService) { c.ExpectedModifyIndex, c.Force = w.Service("web").ModifyIndex, true }))
		}
		kept := 0
		for range w.Revisions("web") {
			kept++
		}
		if w.Revision("web/1") == nil || w.Revision("web/2") != nil || kept != MaxRevisions+1 {
			t.Errorf("%d kept", kept)
		}
		w.checked()
	})
	t.Run("settings that hosts obey reach the hosts of its tasks", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.runs("web", 1)
		c := good
		c.ExpectedModifyIndex, c.OnDisconnect.StopAfterMs, c.GraceS = w.Service("web").ModifyIndex, 5000, 9
		w.must(c)
		if got := slices.Collect(w.outcome.ChangeSet.WantedHosts()); len(got) != 1 || got[0] != hostID(1) {
			t.Errorf("wanted %v", got)
		}
		if task := w.Wanted(hostID(1)).Tasks[0]; task.StopAfterMs != 5000 || task.GraceS != 9 {
			t.Errorf("task %+v", task)
		}
		w.checked()
	})
}

func TestScaleAndDeleteService(t *testing.T) {
	t.Run("scaling changes the count and nothing else", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 2)
		w.must(ScaleService{Name: "web", Desired: 5})
		if e := w.lastEvent(); e.Message != "web: desired 2 -> 5" || w.Service("web").Revision != "web/1" {
			t.Errorf("decision %+v", e)
		}
		w.noop(ScaleService{Name: "web", Desired: 5})
		w.refused(ScaleService{Name: "web", Desired: -1}, ErrInvalid, "desiredCount")
		w.refused(ScaleService{Name: "db"}, ErrNotFound, "db")
	})
	t.Run("what is expected to stand at another change is neither scaled nor deleted", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 2)
		seen := w.Service("web").ModifyIndex
		w.must(ScaleService{Name: "web", Desired: 3, ExpectedModifyIndex: seen})
		w.refused(ScaleService{Name: "web", Desired: 4, ExpectedModifyIndex: seen}, ErrMoved, "read it again")
		w.refused(ScaleService{Name: "web", Desired: 3, ExpectedModifyIndex: seen}, ErrMoved, "web")
		w.refused(DeleteService{Name: "web", Force: true, ExpectedModifyIndex: seen}, ErrMoved, "read it again")
		w.must(DeleteService{Name: "web", Force: true, ExpectedModifyIndex: w.Service("web").ModifyIndex})
	})
	t.Run("deleting is refused with a single task desired, unless forced", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		w.refused(DeleteService{Name: "web"}, ErrConflict, "scale it to 0")
		w.refused(DeleteService{Name: "db"}, ErrNotFound, "db")
		w.must(DeleteService{Name: "web", Force: true})
		if w.Service("web") != nil || w.Revision("web/1") != nil {
			t.Error("a service without tasks is still there")
		}
	})
	t.Run("a draining service goes with its last task", func(t *testing.T) {
		w := fleetOf(t, 2)
		ids := w.runs("web", 2)
		w.must(DeleteService{Name: "web", Force: true})
		w.noop(DeleteService{Name: "web"})
		w.refused(ScaleService{Name: "web", Desired: 1}, ErrConflict, "DRAINING")
		w.refused(CreateTasks{Revision: "web/1", Tasks: []TaskID{"x"}}, ErrConflict, "DRAINING")
		w.must(StopTasks{Tasks: ids, Cause: CauseScaleIn, Reason: "deleted"})
		w.report(1, stopped(ids[0], 143))
		if w.Service("web") == nil {
			t.Fatal("gone too early")
		}
		w.report(2, stopped(ids[1], 143))
		if w.Service("web") != nil {
			t.Fatal("still there")
		}
		w.checked()
	})
	t.Run("numbers of a removed service's revisions are not used again", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 2)
		w.must(DeleteService{Name: "web", Force: true})
		w.service("web", 2)
		if w.Service("web").Revision != "web/2" {
			t.Errorf("revision %s", w.Service("web").Revision)
		}
		w.checked()
	})
}
