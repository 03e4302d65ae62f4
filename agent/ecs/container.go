package ecs

import (
	"path"
	"strings"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
)

// defaultStopTimeout is ECS's, in seconds.
const defaultStopTimeout = 30

func (r *reader) containers(taskMemory int64) []fleet.Container {
	const field = "containerDefinitions"
	objects := r.root.Objects(field, maxContainers)
	if !r.root.Has(field) || len(objects) == 0 && r.root.Kind(field) == strictjson.List && r.root.Length(field) == 0 {
		r.root.Refuse(field, "missing: a task needs 1 to %d containers", maxContainers)
	}
	containers := make([]fleet.Container, 0, len(objects))
	names, essential := map[string]bool{}, false
	for _, o := range objects {
		c := r.container(o, taskMemory)
		if c.Name != "" && names[c.Name] {
			o.Refuse("name", "%q is another container's name in this task", c.Name)
		}
		names[c.Name] = true
		essential = essential || !c.NotEssential
		containers = append(containers, c)
	}
	if len(containers) > 0 && !essential {
		r.root.Refuse(field, "no container is essential; the task would never end: set essential true on one")
	}
	return containers
}

func (r *reader) container(o *strictjson.Object, taskMemory int64) fleet.Container {
	c := fleet.Container{
		Name:             readName(o, "name"),
		Image:            ReadImage(o),
		CPU:              o.Int("cpu", 0, 0, maxShares),
		NotEssential:     !o.Bool("essential", true),
		EntryPoint:       o.Texts("entryPoint", maxArguments, maxArgument),
		Command:          o.Texts("command", maxArguments, maxArgument),
		WorkingDirectory: readWorkingDirectory(o),
		User:             readUser(o),
		Environment:      readEnvironment(o),
		PortMappings:     r.portMappings(o),
		HealthCheck:      r.healthCheck(o),
		StopTimeoutS:     int(o.Int("stopTimeout", defaultStopTimeout, 0, maxStopTimeout)),
		ReadonlyRootFS:   o.Bool("readonlyRootFilesystem", false),
		Ulimits:          readUlimits(o),
	}
	r.memory(o, &c, taskMemory)
	readLinuxParameters(o, &c)
	readLog(o)
	if o.Choice("versionConsistency", "enabled", "disabled") == "disabled" {
		o.Refuse("versionConsistency", "disabled comes later: a service's images are always fixed to their digests")
	}
	return c
}

// readWorkingDirectory refuses paths below /proc: there they can name open
// files of the host (CVE-2024-21626).
func readWorkingDirectory(o *strictjson.Object) string {
	dir := o.Text("workingDirectory", maxPath)
	if dir == "" {
		return ""
	}
	clean := path.Clean(dir)
	if !strings.HasPrefix(dir, "/") {
		o.Refuse("workingDirectory", "%q does not begin with /", strictjson.Show(dir))
	} else if clean == "/proc" || strings.HasPrefix(clean, "/proc/") {
		o.Refuse("workingDirectory", "%q lies in /proc, where no container may start", strictjson.Show(dir))
	}
	return dir
}

func readEnvironment(o *strictjson.Object) []fleet.EnvVar {
	objects := o.Objects("environment", maxArguments)
	if len(objects) == 0 {
		return nil
	}
	vars := make([]fleet.EnvVar, 0, len(objects))
	seen := map[string]bool{}
	for _, e := range objects {
		name := e.Text("name", maxName)
		switch {
		case name == "" && (!e.Has("name") || e.Empty("name")):
			e.Refuse("name", "missing: a variable needs a name")
		case strings.ContainsFunc(name, func(c rune) bool { return c == '=' || text.Unprintable(c) }):
			e.Refuse("name", "%q holds = or a control character", strictjson.Show(name))
		case name != "" && seen[name]:
			e.Refuse("name", "%q is set twice; keep one", strictjson.Show(name))
		}
		seen[name] = true
		vars = append(vars, fleet.EnvVar{Name: name, Value: e.Text("value", maxArgument)})
	}
	return vars
}

// readLog checks the one field of logConfiguration that matters: whether the
// driver's purpose, logs that can be read later, is met by a local file.
func readLog(o *strictjson.Object) {
	log := o.Object("logConfiguration")
	if log == nil {
		return
	}
	switch driver := log.Text("logDriver", maxName); driver {
	case "awslogs", "json-file":
	case "":
		log.Refuse("logDriver", "missing: awslogs and json-file are mapped to a file on the task's host")
	default:
		log.Refuse("logDriver", "%q is not offered; awslogs and json-file are mapped to a file on the task's host",
			strictjson.Show(driver))
	}
}
