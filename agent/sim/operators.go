package sim

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/fake"
)

// serviceOptions are the options of a service and of its task definition.
var serviceOptions = []string{"cpu", "mem", "port", "check", "command", "min", "max", "grace", "stop-after",
	"stop-timeout", "image", "containers", "via", "force"}

func init() {
	maps.Copy(verbs, map[string]verb{
		"service": {use: "NAME DESIRED", least: 2, most: 2, options: serviceOptions, do: (*World).createService},
		"update": {use: "NAME", least: 1, most: 1, options: slices.Concat(serviceOptions, deployOptions),
			do: (*World).updateService},
		"scale":  {use: "NAME DESIRED", least: 2, most: 2, options: []string{"via"}, do: (*World).scaleService},
		"delete": {use: "NAME", least: 1, most: 1, options: []string{"via"}, do: (*World).deleteService},
		"run":    {use: "FAMILY [COUNT]", least: 1, most: 2, options: serviceOptions, do: (*World).runTasks},
		"replace": {use: "SERVICE [cause=C]: one of its tasks must move", least: 1, most: 1,
			options: []string{"via", "cause"}, do: (*World).replaceTask},
		"stop": {use: "SERVICE: one of its tasks, by chance", least: 1, most: 1, options: []string{"via"},
			do: (*World).stopTask},
		"cordon": hostCommand(func(id fleet.HostID) fleet.Command {
			return fleet.CordonHost{Host: id, Why: "by an operation"}
		}),
		"uncordon": hostCommand(func(id fleet.HostID) fleet.Command { return fleet.UncordonHost{Host: id} }),
		"forget":   hostCommand(func(id fleet.HostID) fleet.Command { return fleet.ForgetHost{Host: id} }),
		"revoke":   hostCommand(func(id fleet.HostID) fleet.Command { return fleet.RevokeCert{Host: id} }),
		"set":      {use: "SETTING VALUE", least: 2, most: 2, options: []string{"via"}, do: (*World).set},
		"image": {use: "NAME: the registry has it from now on", least: 1, most: 1, do: func(w *World, d words) error {
			w.pushImage(d.objects[0])
			return nil
		}},
		"no-image": {use: "NAME: the registry has it no more", least: 1, most: 1, do: func(w *World, d words) error {
			delete(w.images, d.objects[0])
			return nil
		}},
	})
}

// via is the host an operator asks: the one named, or any.
func (w *World) via(d words) (*host, error) {
	if name, ok := d.options["via"]; ok {
		hosts, err := w.find(name)
		if err != nil {
			return nil, err
		}
		return hosts[0], nil
	}
	return w.order[w.people.IntN(len(w.order))], nil
}

// pushImage puts an image into the registry and returns its digest.
func (w *World) pushImage(name string) string {
	sum := sha256.Sum256([]byte(name))
	digest := fmt.Sprintf("sha256:%x", sum)
	w.images[name] = fake.Image{Digest: digest, Program: program}
	return digest
}

// definition is what words say of a task definition.
func (w *World) definition(d words, before *fleet.TaskDef) (fleet.TaskDef, error) {
	c := fleet.Container{Name: "app", Image: "app:1", CPU: 256, MemoryReservation: 256, StopTimeoutS: 30,
		Command: []string{"stay"}}
	def := fleet.TaskDef{NetworkMode: fleet.NetworkBridge}
	if before != nil {
		def, c = *before, before.Containers[0]
		def.ID = ""
	}
	var err error
	number := func(key string, into *int64) {
		if n, e := d.number(key, *into); e != nil {
			err = e
		} else {
			*into = n
		}
	}
	number("cpu", &c.CPU)
	number("mem", &c.MemoryReservation)
	timeout := int64(c.StopTimeoutS)
	number("stop-timeout", &timeout)
	c.StopTimeoutS = int(timeout)
	if image, ok := d.options["image"]; ok {
		c.Image = image
	}
	if command, ok := d.options["command"]; ok {
		c.Command = strings.Split(command, "_")
	}
	switch text := d.options["port"]; text {
	case "":
	case "none":
		c.PortMappings = nil
	case "dynamic":
		c.PortMappings = []fleet.PortMapping{{ContainerPort: 80, Protocol: fleet.TCP}}
	default:
		var p int64
		number("port", &p)
		c.PortMappings = []fleet.PortMapping{{ContainerPort: 80, HostPort: int(p), Protocol: fleet.TCP}}
	}
	switch text := d.options["check"]; text {
	case "":
	case "none":
		c.HealthCheck = nil
	default: // seconds between checks
		interval := int64(30)
		number("check", &interval)
		c.HealthCheck = &fleet.HealthCheck{Command: []string{"check"}, IntervalS: int(interval), TimeoutS: 5, Retries: 3}
	}
	if c.Image == "app:1" {
		w.pushImage(c.Image)
	}
	containers := int64(1)
	if before != nil {
		containers = int64(len(before.Containers))
	}
	number("containers", &containers)
	def.Containers = withSidecars(c, int(containers))
	return def, err
}

// withSidecars are the containers of a task: one that does the work, and small ones
// beside it, every second of which the task can do without.
func withSidecars(c fleet.Container, n int) []fleet.Container {
	all := []fleet.Container{c}
	for i := 1; i < n; i++ {
		all = append(all, fleet.Container{Name: fmt.Sprintf("side%d", i), Image: c.Image, CPU: 32, MemoryReservation: 32,
			StopTimeoutS: 5,
			Command:      []string{"stay"}, NotEssential: i%2 == 0})
	}
	return all
}

// pins are the digests of a definition's images, resolved once; an image that
// the registry does not have stays without.
func (w *World) pins(def *fleet.TaskDef) []fleet.ImagePin {
	var pins []fleet.ImagePin
	for _, c := range def.Containers {
		if image, ok := w.images[c.Image]; ok && !w.registryDown {
			pins = append(pins, fleet.ImagePin{Container: c.Name, Digest: image.Digest})
		}
	}
	return pins
}

// register has a definition registered and goes on with its id.
func (w *World) register(via *host, family string, def fleet.TaskDef, then func(fleet.TaskDefID)) {
	c := def.Containers[0]
	w.write(via, fmt.Sprintf("register %s cpu %d memory %d %v of %s", family, c.CPU, c.MemoryReservation, c.Command,
		c.Image), func(*fleet.State) fleet.Command {
		return fleet.RegisterTaskDef{Family: family, Def: cloneDef(def)}
	}, func(r fleet.Result, _ uint64, err error) {
		if err == nil && r.Err == nil {
			then(fleet.TaskDefID(r.IDs[0]))
		}
	})
}

// cloneDef keeps commands apart: what is in one belongs to State.
func cloneDef(def fleet.TaskDef) fleet.TaskDef {
	def.Containers = append([]fleet.Container(nil), def.Containers...)
	return def
}

func (w *World) createService(d words) error {
	via, err := w.via(d)
	if err != nil {
		return err
	}
	name := d.objects[0]
	desired, err := strconv.Atoi(d.objects[1])
	if err != nil {
		return fmt.Errorf("service: desired count %q: %w", d.objects[1], err)
	}
	put := fleet.PutService{Name: name, Desired: desired, MinPercent: 100, MaxPercent: 200}
	if err = d.bounds(&put); err != nil {
		return err
	}
	def, err := w.definition(d, nil)
	if err != nil {
		return err
	}
	w.register(via, name, def, func(id fleet.TaskDefID) {
		put.TaskDef, put.Images = id, w.pins(&def)
		w.write(via, fmt.Sprintf("create service %s of %s, desired %d", name, id, desired),
			func(*fleet.State) fleet.Command { return put }, nil)
	})
	return nil
}

// bounds reads a service's own options.
func (d words) bounds(put *fleet.PutService) error {
	for key, into := range map[string]*int{"min": &put.MinPercent, "max": &put.MaxPercent, "grace": &put.GraceS} {
		n, err := d.number(key, int64(*into))
		if err != nil {
			return err
		}
		*into = int(n)
	}
	if text, ok := d.options["stop-after"]; ok {
		v, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("stop-after: %w", err)
		}
		put.OnDisconnect.StopAfterMs = v.Milliseconds()
	}
	return nil
}

func (w *World) updateService(d words) error {
	via, err := w.via(d)
	if err != nil {
		return err
	}
	if w.truth.Service(d.objects[0]) == nil {
		return fmt.Errorf("update: there is no service %s", d.objects[0])
	}
	var way fleet.DeploymentConfig
	if err := d.deploymentConfig(&way); err != nil {
		return err
	}
	if err := d.bounds(&fleet.PutService{}); err != nil {
		return err
	}
	w.prepare(via, &way, func() {
		if err := w.putService(via, d, func(*fleet.PutService) {}); err != nil {
			w.note("operation %s %s: %v", d.verb, d.objects[0], err)
		}
	})
	return nil
}

// putService has a service updated as words say, and with what change does to the command.
func (w *World) putService(via *host, d words, change func(*fleet.PutService)) error {
	name := d.objects[0]
	v := w.truth.Service(name)
	if v == nil {
		return fmt.Errorf("update: there is no service %s", name)
	}
	before := w.truth.TaskDef(w.truth.Revision(v.Revision).TaskDef)
	def, err := w.definition(d, before)
	if err != nil {
		return err
	}
	_, force := d.options["force"]
	put := func(id fleet.TaskDefID) func(*fleet.State) fleet.Command {
		pins := w.pins(&def)
		return func(s *fleet.State) fleet.Command {
			v := s.Service(name)
			if v == nil {
				return nil
			}
			c := fleet.PutService{Name: name, ExpectedModifyIndex: v.ModifyIndex, TaskDef: id, Images: pins, Desired: v.Desired,
				MinPercent: v.MinPercent,
				MaxPercent: v.MaxPercent, GraceS: v.GraceS, OnDisconnect: v.OnDisconnect, Force: force, Tags: v.Tags,
				LoadBalancers: v.LoadBalancers, Deployment: v.Deployment}
			_ = d.bounds(&c) // both were checked when the operation was
			_ = d.deploymentConfig(&c.Deployment)
			change(&c)
			return c
		}
	}
	if force || !d.changesDefinition() {
		w.write(via, "update service "+name+" "+fmt.Sprint(d.options), put(before.ID), nil)
		return nil
	}
	w.register(via, name, def, func(id fleet.TaskDefID) {
		w.write(via, fmt.Sprintf("update service %s to %s", name, id), put(id), nil)
	})
	return nil
}

// changesDefinition reports whether an update needs a new task definition.
func (d words) changesDefinition() bool {
	for _, key := range []string{"cpu", "mem", "port", "check", "command", "stop-timeout", "image", "containers"} {
		if _, ok := d.options[key]; ok {
			return true
		}
	}
	return false
}

// simple has one command written, built from nothing but words.
func (w *World) simple(d words, what string, c func(*fleet.State) fleet.Command) error {
	via, err := w.via(d)
	if err == nil {
		w.write(via, what, c, nil)
	}
	return err
}

func (w *World) scaleService(d words) error {
	desired, err := strconv.Atoi(d.objects[1])
	if err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	return w.simple(d, fmt.Sprintf("scale %s to %d", d.objects[0], desired), func(*fleet.State) fleet.Command {
		return fleet.ScaleService{Name: d.objects[0], Desired: desired}
	})
}

func (w *World) deleteService(d words) error {
	return w.simple(d, "delete service "+d.objects[0], func(*fleet.State) fleet.Command {
		return fleet.DeleteService{Name: d.objects[0]}
	})
}

func (w *World) runTasks(d words) error {
	via, err := w.via(d)
	if err != nil {
		return err
	}
	count := 1
	if len(d.objects) > 1 {
		if count, err = strconv.Atoi(d.objects[1]); err != nil || count < 1 || count > fleet.MaxRunTasks {
			return fmt.Errorf("run: %q is not a count from 1 to %d", d.objects[1], fleet.MaxRunTasks)
		}
	}
	def, err := w.definition(d, nil)
	if err != nil {
		return err
	}
	run := func(id fleet.TaskDefID) {
		ids := make([]fleet.TaskID, count)
		for i := range ids {
			ids[i] = w.newTaskID()
		}
		pins := w.pins(&def)
		w.write(via, fmt.Sprintf("run %d of %s", count, id), func(*fleet.State) fleet.Command {
			return fleet.RunTasks{TaskDef: id, Tasks: append([]fleet.TaskID(nil), ids...), Images: pins}
		}, nil)
	}
	if latest := w.truth.LatestTaskDef(d.objects[0]); latest != nil && len(d.options) == 0 {
		run(latest.ID)
		return nil
	}
	w.register(via, d.objects[0], def, run)
	return nil
}

// taskOf picks a live task of a service by chance.
func (w *World) taskOf(d words) (fleet.TaskID, error) {
	var ids []fleet.TaskID
	for t := range w.truth.LiveTasksOfService(d.objects[0]) {
		ids = append(ids, t.ID)
	}
	if len(ids) == 0 {
		return "", fmt.Errorf("%s: no task of %s", d.verb, d.objects[0])
	}
	return ids[w.people.IntN(len(ids))], nil
}

func (w *World) replaceTask(d words) error {
	cause := fleet.CauseDrain
	if text, ok := d.options["cause"]; ok {
		var err error
		if cause, err = fleet.ParseCause(text); err != nil {
			return err
		}
	}
	id, err := w.taskOf(d)
	if err != nil {
		return err
	}
	return w.simple(d, "replace task "+string(id), func(*fleet.State) fleet.Command {
		return fleet.ReplaceTasks{Tasks: []fleet.TaskID{id}, Cause: cause}
	})
}

func (w *World) stopTask(d words) error {
	id, err := w.taskOf(d)
	if err != nil {
		return err
	}
	return w.simple(d, "stop task "+string(id), func(*fleet.State) fleet.Command {
		return fleet.StopTasks{Tasks: []fleet.TaskID{id}, Cause: fleet.CauseOperator, Reason: "stopped by an operator"}
	})
}

func (w *World) named(d words) (fleet.HostID, error) {
	h := w.byName[d.objects[0]]
	if h == nil {
		return "", fmt.Errorf("%s: there is no host %q", d.verb, d.objects[0])
	}
	return h.id, nil
}

// hostCommand is a verb that has one command about a host written.
func hostCommand(c func(fleet.HostID) fleet.Command) verb {
	return verb{use: "HOST", least: 1, most: 1, options: []string{"via"}, do: func(w *World, d words) error {
		id, err := w.named(d)
		if err != nil {
			return err
		}
		return w.simple(d, d.verb+" "+d.objects[0], func(*fleet.State) fleet.Command { return c(id) })
	}}
}

func (w *World) set(d words) error {
	value, err := strconv.ParseInt(d.objects[1], 10, 64)
	if err != nil {
		return fmt.Errorf("set: %w", err)
	}
	return w.simple(d, "set "+d.objects[0]+" to "+d.objects[1], func(*fleet.State) fleet.Command {
		return fleet.PutSetting{Name: d.objects[0], Value: value}
	})
}
