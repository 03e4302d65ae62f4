package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// ulimits that a container may set. Source: ECS API, ContainerDefinition.
var ulimitNames = []string{
	"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
	"nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
}

const (
	maxImage = 512  // ECS API, ContainerDefinition allows 255 before the digest
	maxPath  = 4096 // PATH_MAX
	maxUser  = 255
)

// checkContainer checks what does not depend on other containers.
func checkContainer(d *TaskDef, i int) error {
	c, path := &d.Containers[i], containerPath(i)
	return first(
		checkImage(path+".image", c.Image),
		checkRange(path+".cpu", c.CPU, 0, maxShares),
		checkArgs(path+".entryPoint", c.EntryPoint),
		checkArgs(path+".command", c.Command),
		checkDirectory(path+".workingDirectory", c.WorkingDirectory),
		checkText(path+".user", c.User, maxUser),
		checkEnvironment(path+".environment", c.Environment),
		checkHealth(path+".healthCheck", c.HealthCheck, d.NetworkMode),
		checkRange(path+".stopTimeout", c.StopTimeoutS, 0, maxStopS),
		checkCapabilities(path+".linuxParameters.capabilities", c.Capabilities),
		checkUlimits(path+".ulimits", c.Ulimits),
		checkDependencies(path+".dependsOn", c.DependsOn),
	)
}

func checkImage(path, v string) error {
	if v == "" || strings.ContainsAny(v, " \t") {
		return field(path, "%s is no image reference", quoted(v))
	}
	return checkText(path, v, maxImage)
}

func checkArgs(path string, args []string) error {
	for i, a := range args {
		if err := checkValue(fmt.Sprintf("%s[%d]", path, i), a, MaxTaskDefMem); err != nil {
			return err
		}
	}
	return nil
}

func checkDirectory(path, v string) error {
	if v != "" && !strings.HasPrefix(v, "/") {
		return field(path, "%s is no absolute path", quoted(v))
	}
	return checkText(path, v, maxPath)
}

func checkEnvironment(path string, vars []EnvVar) error {
	for i, e := range vars {
		at := fmt.Sprintf("%s[%d]", path, i)
		if e.Name == "" || strings.Contains(e.Name, "=") {
			return field(at+".name", "%s is no name of a variable", quoted(e.Name))
		}
		if err := first(checkText(at+".name", e.Name, MaxName), checkValue(at+".value", e.Value, MaxTaskDefMem)); err != nil {
			return err
		}
	}
	return nil
}

// checkHealth holds the ranges of ECS API, HealthCheck.
func checkHealth(path string, h *HealthCheck, mode NetworkMode) error {
	if h == nil {
		return nil
	}
	if (len(h.Command) > 0) == (h.HTTP != nil) {
		return field(path, "needs exactly one of command and http")
	}
	if h.HTTP != nil {
		if mode == NetworkNone {
			return field(path+".http", "a task with networkMode none cannot be reached: use command")
		}
		if !strings.HasPrefix(h.HTTP.Path, "/") {
			return field(path+".http.path", "%s does not begin with a slash", quoted(h.HTTP.Path))
		}
		if err := first(
			checkText(path+".http.path", h.HTTP.Path, maxURL),
			checkRange(path+".http.port", h.HTTP.Port, 1, 65535),
		); err != nil {
			return err
		}
	}
	return first(
		checkArgs(path+".command", h.Command),
		checkRange(path+".interval", h.IntervalS, 5, 300),
		checkRange(path+".timeout", h.TimeoutS, 2, 60),
		checkRange(path+".retries", h.Retries, 1, 10),
		checkRange(path+".startPeriod", h.StartPeriodS, 0, 300),
	)
}

func checkCapabilities(path string, c *Capabilities) error {
	if c == nil {
		return nil
	}
	for _, name := range slices.Concat(c.Add, c.Drop) {
		if name == "" || len(name) > MaxID || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" ||
			strings.HasPrefix(name, "CAP_") {
			return field(path, "%s is no capability: names are like NET_ADMIN, or ALL", quoted(name))
		}
	}
	return nil
}

func checkUlimits(path string, limits []Ulimit) error {
	for i, u := range limits {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !slices.Contains(ulimitNames, u.Name) {
			return field(at+".name", "is %s: allowed are %q", quoted(u.Name), ulimitNames)
		}
		if u.Soft < -1 || u.Hard < -1 || u.Hard != -1 && (u.Soft == -1 || u.Soft > u.Hard) {
			return field(at+".softLimit", "is %d with hardLimit %d: the soft one may not be above, -1 is no limit", u.Soft,
				u.Hard)
		}
	}
	return nil
}

func checkDependencies(path string, d []Dependency) error {
	if len(d) > 0 {
		return field(path, "is not supported by this release")
	}
	return nil
}
