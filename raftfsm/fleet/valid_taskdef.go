package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// Limits on task definitions. Source: ECS API, TaskDefinition, unless said otherwise.
const (
	MaxContainers = 10
	MaxTaskDefMem = 64 << 10 // bytes of all texts of a definition
	MinMemory     = 4        // MiB a container needs at least
	maxPorts      = 100      // of a task
	maxCPU        = 196_608  // 192 cores
	minTaskCPU    = 128
	maxShares     = 262_144 // 256 cores
	maxMemory     = 1 << 30 // MiB: 1 PiB, past any machine
	maxStopS      = 86_400
)

// checkTaskDef refuses what no host could run as it says. Defaults are filled
// in by the proposer: a zero that has no meaning of its own is refused.
func (s *State) checkTaskDef(d *TaskDef) error {
	if err := first(
		checkTask(d),
		checkTags("tags", d.Tags),
		checkNames(d),
		checkMemory(d),
		s.checkPorts(d),
	); err != nil {
		return err
	}
	for i := range d.Containers {
		if err := checkContainer(d, i); err != nil {
			return err
		}
	}
	if n := defSize(d); n > MaxTaskDefMem {
		return field("containerDefinitions", "all texts together are %d bytes: at most %d are allowed", n, MaxTaskDefMem)
	}
	return nil
}

func checkTask(d *TaskDef) error {
	if d.NetworkMode < NetworkBridge || d.NetworkMode > NetworkNone {
		return field("networkMode", "is %s: allowed are %q", d.NetworkMode, []string(networkModeNames[1:]))
	}
	if d.CPU != 0 {
		if err := checkRange("cpu", d.CPU, minTaskCPU, maxCPU); err != nil {
			return err
		}
	}
	if d.Memory != 0 {
		if err := checkRange("memory", d.Memory, MinMemory, maxMemory); err != nil {
			return err
		}
	}
	if len(d.Constraints) > 0 {
		return field("placementConstraints", "are not supported by this release")
	}
	return nil
}

func checkNames(d *TaskDef) error {
	if n := len(d.Containers); n == 0 || n > MaxContainers {
		return field("containerDefinitions", "has %d entries: 1 to %d are allowed", n, MaxContainers)
	}
	essential := false
	for i := range d.Containers {
		c := &d.Containers[i]
		path := containerPath(i) + ".name"
		if err := checkName(path, c.Name, MaxName); err != nil {
			return err
		}
		if d.Container(c.Name) != c {
			return field(path, "%q is the name of another container of the task", c.Name)
		}
		essential = essential || !c.NotEssential
	}
	if !essential {
		return field("containerDefinitions", "has no essential container: at least one is needed")
	}
	return nil
}

// checkMemory holds the rules of ECS API, ContainerDefinition (memory).
func checkMemory(d *TaskDef) error {
	sum := int64(0)
	for i := range d.Containers {
		c := &d.Containers[i]
		path := containerPath(i)
		if err := checkContainerMemory(path, c); err != nil {
			return err
		}
		if c.Memory == 0 && c.MemoryReservation == 0 && d.Memory == 0 {
			return field(path+".memory", "is missing: memory or memoryReservation here, or memory of the task, is needed")
		}
		if d.Memory > 0 && c.Memory > d.Memory {
			return field(path+".memory", "is %d MiB, above the task's %d MiB", c.Memory, d.Memory)
		}
		if c.MemoryReservation > 0 {
			sum += c.MemoryReservation
		} else {
			sum += c.Memory
		}
	}
	if d.Memory > 0 && sum > d.Memory {
		return field("memory", "is %d MiB: its containers reserve %d MiB", d.Memory, sum)
	}
	return nil
}

func checkContainerMemory(path string, c *Container) error {
	if c.Memory != 0 {
		if err := checkRange(path+".memory", c.Memory, MinMemory, maxMemory); err != nil {
			return err
		}
	}
	if c.MemoryReservation != 0 {
		if err := checkRange(path+".memoryReservation", c.MemoryReservation, MinMemory, maxMemory); err != nil {
			return err
		}
	}
	if c.Memory != 0 && c.MemoryReservation != 0 && c.Memory <= c.MemoryReservation {
		return field(path+".memory", "is %d MiB: it must be above memoryReservation (%d MiB)", c.Memory, c.MemoryReservation)
	}
	return nil
}

// checkPorts holds the rules of ECS API, PortMapping. The containers of a task share a
// network namespace, so a container port belongs to one of them only.
func (s *State) checkPorts(d *TaskDef) error {
	total := 0
	inside := map[int]bool{}
	outside := map[PortUse]bool{}
	for i := range d.Containers {
		for j, p := range d.Containers[i].PortMappings {
			path := fmt.Sprintf("%s.portMappings[%d]", containerPath(i), j)
			if err := s.checkPort(path, d.NetworkMode, p); err != nil {
				return err
			}
			if inside[p.ContainerPort] {
				return field(path+".containerPort", "%d is mapped twice in the task", p.ContainerPort)
			}
			inside[p.ContainerPort] = true
			use := PortUse{Protocol: p.Protocol, Port: p.HostPort}
			if p.HostPort != 0 && outside[use] {
				return field(path+".hostPort", "%d/%s is mapped twice in the task", p.HostPort, p.Protocol)
			}
			outside[use] = true
			total++
		}
	}
	if total > maxPorts {
		return field("containerDefinitions", "map %d ports: at most %d are allowed", total, maxPorts)
	}
	return nil
}

func (s *State) checkPort(path string, mode NetworkMode, p PortMapping) error {
	if mode == NetworkNone {
		return field(path, "a task with networkMode none has no ports")
	}
	if p.Protocol != TCP && p.Protocol != UDP {
		return field(path+".protocol", "is %s: tcp and udp are allowed", p.Protocol)
	}
	if p.AppProtocol > GroupGRPC || p.AppProtocol != 0 && p.Protocol != TCP {
		return field(path+".appProtocol", "is %s over %s: http, http2 and grpc are allowed, over tcp",
			p.AppProtocol, p.Protocol)
	}
	if p.Name != "" {
		if err := checkName(path+".name", p.Name, 64); err != nil {
			return err
		}
	}
	if err := checkRange(path+".containerPort", p.ContainerPort, 1, 65535); err != nil {
		return err
	}
	if err := checkRange(path+".hostPort", p.HostPort, 0, 65535); err != nil {
		return err
	}
	if mode == NetworkHost && p.HostPort != p.ContainerPort {
		return field(path+".hostPort", "is %d: with networkMode host it equals containerPort (%d)", p.HostPort,
			p.ContainerPort)
	}
	if set := s.fleet.Settings; mode == NetworkBridge && set.dynamic(p.HostPort) {
		return field(path+".hostPort",
			"%d is in the range of dynamic ports (%d to %d): use one outside, or 0 for a dynamic one",
			p.HostPort, set.DynamicPortFirst, set.DynamicPortLast)
	}
	return nil
}

func (v Settings) dynamic(port int) bool {
	return port >= v.DynamicPortFirst && port <= v.DynamicPortLast
}

func containerPath(i int) string { return fmt.Sprintf("containerDefinitions[%d]", i) }

func checkPins(path string, pins []ImagePin, d *TaskDef) error {
	for i, p := range pins {
		at := fmt.Sprintf("%s[%d]", path, i)
		if d.Container(p.Container) == nil {
			return field(at+".container", "%s is no container of %s", quoted(p.Container), d.ID)
		}
		if slices.ContainsFunc(pins[:i], func(o ImagePin) bool { return o.Container == p.Container }) {
			return field(at+".container", "%q is pinned twice", p.Container)
		}
		hex, ok := strings.CutPrefix(p.Digest, "sha256:")
		if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
			return field(at+".digest", "%s is no digest: sha256: and 64 hex digits are needed", quoted(p.Digest))
		}
	}
	return nil
}

// defSize is the bytes of all texts of a definition, and a little for each.
func defSize(d *TaskDef) int {
	n := 0
	add := func(texts ...string) {
		for _, t := range texts {
			n += 2 + len(t)
		}
	}
	for key, value := range d.Tags {
		add(key, value)
	}
	for i := range d.Containers {
		c := &d.Containers[i]
		add(c.Name, c.Image, c.User, c.WorkingDirectory)
		add(c.EntryPoint...)
		add(c.Command...)
		for _, e := range c.Environment {
			add(e.Name, e.Value)
		}
		if c.HealthCheck != nil {
			add(c.HealthCheck.Command...)
		}
	}
	return n
}
