package ecs

import (
	"slices"
	"strings"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// ulimitNames are the limits ECS knows. Source: ECS API, ContainerDefinition.
var ulimitNames = []string{
	"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
	"nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
}

// capabilityNames are Linux's, as ECS writes them, and ALL.
var capabilityNames = []string{
	"ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE",
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
	"LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
	"NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT",
	"SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "WAKE_ALARM",
}

func readLinuxParameters(o *strictjson.Object, c *fleet.Container) {
	linux := o.Object("linuxParameters")
	if linux == nil {
		return
	}
	c.InitProcess = linux.Bool("initProcessEnabled", false)
	caps := linux.Object("capabilities")
	if caps == nil {
		return
	}
	add, drop := readCapabilities(caps, "add"), readCapabilities(caps, "drop")
	if len(add)+len(drop) > 0 {
		c.Capabilities = &fleet.Capabilities{Add: add, Drop: drop}
	}
}

func readCapabilities(o *strictjson.Object, field string) []string {
	names := o.Texts(field, len(capabilityNames), maxName)
	for _, name := range names {
		if slices.Contains(capabilityNames, name) {
			continue
		}
		if bare, prefixed := strings.CutPrefix(strings.ToUpper(name), "CAP_"); slices.Contains(capabilityNames, bare) &&
			(prefixed || bare != name) {
			o.Refuse(field, "%q: write %s", strictjson.Show(name), bare)
		} else {
			o.Refuse(field, "%q is not a Linux capability", strictjson.Show(name))
		}
	}
	return names
}

func readUlimits(o *strictjson.Object) []fleet.Ulimit {
	objects := o.Objects("ulimits", len(ulimitNames))
	if len(objects) == 0 {
		return nil
	}
	limits := make([]fleet.Ulimit, 0, len(objects))
	seen := map[string]bool{}
	for _, u := range objects {
		limit := readUlimit(u)
		if limit.Name != "" && seen[limit.Name] {
			u.Refuse("name", "%q is set twice; keep one", limit.Name)
		}
		seen[limit.Name] = true
		limits = append(limits, limit)
	}
	return limits
}

// readUlimit reads one limit; -1 is "no limit".
func readUlimit(u *strictjson.Object) fleet.Ulimit {
	const most = 1 << 53 // beyond it JSON numbers stop being exact in other tools
	limit := fleet.Ulimit{Name: u.Text("name", maxName)}
	if !slices.Contains(ulimitNames, limit.Name) && (limit.Name != "" || !u.Has("name") || u.Empty("name")) {
		u.Refuse("name", "%q is not known; allowed are %s", strictjson.Show(limit.Name), strings.Join(ulimitNames, ", "))
	}
	for _, field := range []string{"softLimit", "hardLimit"} {
		if !u.Has(field) {
			u.Refuse(field, "missing: a number, or -1 for no limit")
		}
	}
	limit.Soft = u.Int("softLimit", 0, -1, most)
	limit.Hard = u.Int("hardLimit", 0, -1, most)
	if limit.Hard >= 0 && (limit.Soft > limit.Hard || limit.Soft < 0) && u.Has("hardLimit") {
		u.Refuse("softLimit", "%d is above hardLimit %d", limit.Soft, limit.Hard)
	}
	return limit
}
