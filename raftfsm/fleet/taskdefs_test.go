package fleet

import (
	"fmt"
	"strings"
	"testing"
)

func TestRegisterTaskDef(t *testing.T) {
	t.Run("numbers revisions of a family from 1", func(t *testing.T) {
		w := fleetOf(t, 1)
		for i := 1; i <= 11; i++ {
			if ids := w.must(RegisterTaskDef{Family: "web", Def: webDef()}); ids[0] != fmt.Sprintf("web:%d", i) {
				t.Errorf("ids %v", ids)
			}
		}
		w.must(RegisterTaskDef{Family: "web-x", Def: webDef()})
		if w.LatestTaskDef("web").ID != "web:11" || w.LatestTaskDef("we") != nil || w.TaskDef("web:12") != nil ||
			w.TaskDef("web") != nil {
			t.Errorf("latest %s", w.LatestTaskDef("web").ID)
		}
		var ids []string
		for d := range w.TaskDefs() {
			ids = append(ids, string(d.ID))
		}
		if got := strings.Join(ids[7:], " "); got != "web:8 web:9 web:10 web:11 web-x:1" {
			t.Errorf("order %s", got)
		}
	})
	change := func(f func(*TaskDef)) TaskDef {
		d := webDef()
		f(&d)
		return d
	}
	one := func(f func(*Container)) TaskDef { return change(func(d *TaskDef) { f(&d.Containers[0]) }) }
	port := func(mode NetworkMode, ports ...PortMapping) TaskDef {
		return change(func(d *TaskDef) { d.NetworkMode, d.Containers[0].PortMappings = mode, ports })
	}
	health := func(h HealthCheck) TaskDef { return one(func(c *Container) { c.HealthCheck = &h }) }
	sidecar := func(c Container) TaskDef { return change(func(d *TaskDef) { d.Containers = append(d.Containers, c) }) }
	okCheck := HealthCheck{Command: []string{"true"}, IntervalS: 30, TimeoutS: 5, Retries: 3}
	for name, tt := range map[string]struct {
		def  TaskDef
		want string // field of the refusal; empty: accepted
	}{
		"the plain one is accepted":        {webDef(), ""},
		"an id with a revision is refused": {change(func(d *TaskDef) { d.ID = "web:3" }), "id: "},
		"no network mode is refused":       {change(func(d *TaskDef) { d.NetworkMode = 0 }), "networkMode: "},
		"no containers are refused":        {change(func(d *TaskDef) { d.Containers = nil }), "containerDefinitions: "},
		"eleven containers are refused": {
			change(func(d *TaskDef) { d.Containers = make([]Container, 11) }), "containerDefinitions: "},
		"task cpu below 128 is refused": {change(func(d *TaskDef) { d.CPU = 127 }), "cpu: "},
		"too many tags are refused":     {change(func(d *TaskDef) { d.Tags = manyTags(51) }), "tags: "},
		"constraints are refused, not dropped": {change(func(d *TaskDef) { d.Constraints = []string{"x"} }),
			"placementConstraints: "},
		"a container without a name is refused":  {one(func(c *Container) { c.Name = "" }), "containerDefinitions[0].name: "},
		"two containers of one name are refused": {sidecar(webDef().Containers[0]), "containerDefinitions[1].name: "},
		"no essential container is refused": {one(func(c *Container) { c.NotEssential = true }),
			"containerDefinitions: "},
		"no image is refused":              {one(func(c *Container) { c.Image = "" }), "containerDefinitions[0].image: "},
		"an image with a space is refused": {one(func(c *Container) { c.Image = "a b" }), "containerDefinitions[0].image: "},
		"a cpu share that is negative is refused": {one(func(c *Container) { c.CPU = -1 }),
			"containerDefinitions[0].cpu: "},
		"no memory at all is refused": {one(func(c *Container) { c.MemoryReservation = 0 }),
			"containerDefinitions[0].memory: "},
		"task memory alone is enough": {change(func(d *TaskDef) {
			d.Memory = 256
			d.Containers[0].MemoryReservation = 0
		}), ""},
		"3 MiB are refused": {one(func(c *Container) { c.Memory, c.MemoryReservation = 3, 0 }),
			"containerDefinitions[0].memory: "},
		"a hard limit at the soft one is refused": {one(func(c *Container) { c.Memory = 128 }),
			"containerDefinitions[0].memory: "},
		"a hard limit above the soft one is accepted": {one(func(c *Container) { c.Memory = 129 }), ""},
		"a limit above the task's is refused": {change(func(d *TaskDef) {
			d.Memory = 200
			d.Containers[0].Memory = 201
		}), "containerDefinitions[0].memory: "},
		"reservations above the task's memory are refused": {change(func(d *TaskDef) { d.Memory = 127 }), "memory: "},
		"a fixed port is accepted": {
			port(NetworkBridge, PortMapping{ContainerPort: 80, HostPort: 80, Protocol: TCP}), ""},
		"a fixed port in the dynamic range is refused": {
			port(NetworkBridge, PortMapping{ContainerPort: 80, HostPort: 50000, Protocol: TCP}),
			"containerDefinitions[0].portMappings[0].hostPort: "},
		"a host network's port in that range is accepted": {
			port(NetworkHost, PortMapping{ContainerPort: 50000, HostPort: 50000, Protocol: TCP}), ""},
		"host networking with two ports in one is refused": {
			port(NetworkHost, PortMapping{ContainerPort: 80, HostPort: 81, Protocol: TCP}),
			"containerDefinitions[0].portMappings[0].hostPort: "},
		"ports without a network are refused": {port(NetworkNone, PortMapping{ContainerPort: 80, Protocol: TCP}),
			"containerDefinitions[0].portMappings[0]: "},
		"a port without a protocol is refused": {port(NetworkBridge, PortMapping{ContainerPort: 80}),
			"containerDefinitions[0].portMappings[0].protocol: "},
		"container port 0 is refused": {port(NetworkBridge, PortMapping{Protocol: TCP}),
			"containerDefinitions[0].portMappings[0].containerPort: "},
		"a container port for two protocols is refused": {port(NetworkBridge, PortMapping{ContainerPort: 80, Protocol: TCP},
			PortMapping{ContainerPort: 80, Protocol: UDP}), "containerDefinitions[0].portMappings[1].containerPort: "},
		"a host port twice is refused": {
			port(NetworkBridge, PortMapping{ContainerPort: 80, HostPort: 80, Protocol: TCP},
				PortMapping{ContainerPort: 81, HostPort: 80, Protocol: TCP}), "containerDefinitions[0].portMappings[1].hostPort: "},
		"a check by command is accepted": {health(okCheck), ""},
		"a check by HTTP is accepted": {
			health(HealthCheck{HTTP: &HTTPCheck{Port: 80, Path: "/"}, IntervalS: 5, TimeoutS: 2, Retries: 1}), ""},
		"a check by both is refused": {
			health(HealthCheck{Command: []string{"x"}, HTTP: &HTTPCheck{Port: 80, Path: "/"}, IntervalS: 5, TimeoutS: 2,
				Retries: 1}), "containerDefinitions[0].healthCheck: "},
		"a check by neither is refused": {health(HealthCheck{IntervalS: 5, TimeoutS: 2, Retries: 1}),
			"containerDefinitions[0].healthCheck: "},
		"a check each second is refused": {
			health(HealthCheck{Command: []string{"x"}, IntervalS: 1, TimeoutS: 2, Retries: 1}),
			"containerDefinitions[0].healthCheck.interval: "},
		"a path without a slash is refused": {
			health(HealthCheck{HTTP: &HTTPCheck{Port: 80, Path: "x"}, IntervalS: 5, TimeoutS: 2, Retries: 1}),
			"containerDefinitions[0].healthCheck.http.path: "},
		"a stop that takes longer than a day is refused": {one(func(c *Container) { c.StopTimeoutS = 86401 }),
			"containerDefinitions[0].stopTimeout: "},
		"a relative directory is refused": {one(func(c *Container) { c.WorkingDirectory = "x" }),
			"containerDefinitions[0].workingDirectory: "},
		"a variable with = in its name is refused": {one(func(c *Container) { c.Environment = []EnvVar{{"a=b", ""}} }),
			"containerDefinitions[0].environment[0].name: "},
		"a value with a zero byte is refused": {one(func(c *Container) { c.Environment = []EnvVar{{"a", "\x00"}} }),
			"containerDefinitions[0].environment[0].value: "},
		"a value of several lines is accepted": {one(func(c *Container) { c.Environment = []EnvVar{{"a", "x\ny"}} }), ""},
		"an argument that is no text is refused": {one(func(c *Container) { c.Command = []string{"\xff"} }),
			"containerDefinitions[0].command[0]: "},
		"an unknown ulimit is refused": {one(func(c *Container) { c.Ulimits = []Ulimit{{"x", 1, 1}} }),
			"containerDefinitions[0].ulimits[0].name: "},
		"a soft limit above the hard one is refused": {one(func(c *Container) { c.Ulimits = []Ulimit{{"nofile", 2, 1}} }),
			"containerDefinitions[0].ulimits[0].softLimit: "},
		"a capability with its prefix is refused": {
			one(func(c *Container) { c.Capabilities = &Capabilities{Add: []string{"CAP_KILL"}} }),
			"containerDefinitions[0].linuxParameters.capabilities: "},
		"dependencies are refused, not dropped": {one(func(c *Container) { c.DependsOn = []Dependency{{"x", "START"}} }),
			"containerDefinitions[0].dependsOn: "},
		"more than 64 KiB of texts are refused": {
			one(func(c *Container) { c.Command = []string{strings.Repeat("x", 40_000), strings.Repeat("x", 30_000)} }),
			"containerDefinitions: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := fleetOf(t, 1)
			c := RegisterTaskDef{Family: "web", Def: tt.def}
			if tt.want == "" {
				w.must(c)
				return
			}
			w.refused(c, ErrInvalid, tt.want)
		})
	}
	t.Run("a family with a dot is refused", func(t *testing.T) {
		fleetOf(t, 1).refused(RegisterTaskDef{Family: "a.b", Def: webDef()}, ErrInvalid, "family: ")
	})
}

func manyTags(n int) map[string]string {
	tags := map[string]string{}
	for i := range n {
		tags[fmt.Sprint("k", i)] = "v"
	}
	return tags
}

func TestReservation(t *testing.T) {
	two := []Container{{CPU: 100, Memory: 64}, {CPU: 50, Memory: 512, MemoryReservation: 32}}
	for name, tt := range map[string]struct {
		def  TaskDef
		want Resources
	}{
		"sums containers, soft limits first": {TaskDef{Containers: two}, Resources{150, 96}},
		"is the task's where it has numbers": {TaskDef{CPU: 256, Memory: 1024, Containers: two}, Resources{256, 1024}},
		"may be mixed":                       {TaskDef{Memory: 1024, Containers: two}, Resources{150, 1024}},
	} {
		if got := tt.def.Reservation(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
