package containerd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/cap"

	"skein/raftfsm/fleet"
)

// defaultCapabilities are ECS's on Bottlerocket less NET_RAW, with which a
// container could pose as another on the bridge. Source: ECS API, LinuxParameters.
var defaultCapabilities = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
	"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// capabilitiesOf is the default set, less drop, plus add. ALL in add is all
// there are, less drop; ALL in drop leaves what add names. Returned with CAP_,
// sorted. available are the host's.
func capabilitiesOf(def fleet.Container, available []string) ([]string, error) {
	var add, drop []string
	if def.Capabilities != nil {
		add, drop = def.Capabilities.Add, def.Capabilities.Drop
	}
	for _, name := range slices.Concat(add, drop) {
		if name != "ALL" && !slices.Contains(cap.Known(), "CAP_"+name) {
			return nil, fmt.Errorf("container %s: linuxParameters.capabilities: unknown capability %q; names are as in "+
				"SYS_PTRACE, or ALL", def.Name, name)
		}
	}
	set := map[string]bool{}
	switch {
	case slices.Contains(add, "ALL"):
		for _, name := range available {
			set[strings.TrimPrefix(name, "CAP_")] = true
		}
	case !slices.Contains(drop, "ALL"):
		for _, name := range defaultCapabilities {
			set[name] = true
		}
	}
	for _, name := range drop {
		delete(set, name)
	}
	for _, name := range add {
		if name != "ALL" {
			set[name] = true
		}
	}
	out := []string{}
	for name := range set {
		out = append(out, "CAP_"+name)
	}
	slices.Sort(out)
	return out, nil
}
