package capacity

import (
	"fmt"

	"skein/raftfsm/fleet"
)

const (
	// hostShare of the memory, and at least hostLeast MiB, is kept for the host
	// itself: agent, containerd, shims, page cache of the log.
	hostShare = 0.05
	hostLeast = 256
	// cpuUnits is a whole core.
	cpuUnits = 1024
)

// Room is what tasks may reserve on a machine: as configured, or for what is zero there,
// by the cores and the memory in MiB that the machine has. memory is not asked when it is
// configured.
func Room(configured fleet.Resources, cores int, memory func() (mib int64, err error)) (fleet.Resources, error) {
	room := configured
	if room.CPU == 0 {
		room.CPU = int64(cores) * cpuUnits
	}
	if room.Memory == 0 {
		total, err := memory()
		if err != nil {
			return room, err
		}
		room.Memory = total - max(hostLeast, int64(float64(total)*hostShare))
	}
	if room.Memory <= 0 {
		const say = "this machine has too little memory for tasks: %d MiB are left; set capacity.memory"
		return room, fmt.Errorf(say, room.Memory)
	}
	return room, nil
}
