package capacity

import (
	"time"

	"skein/raftfsm/fleet"
)

// Sample is what a task has used: cpu time since it began, and memory now.
type Sample struct {
	CPU       time.Duration
	MemoryMiB int64
}

// Usage sums what tasks use: memory now, cpu since the last look. Not safe for
// concurrent use.
type Usage struct {
	at   time.Duration // monotonic, of spent
	seen map[fleet.TaskID]time.Duration
}

// Sum is what tasks use as of now. A task that was not there at the last look, or whose
// count began anew, has used no cpu yet.
func (u *Usage) Sum(now time.Duration, tasks map[fleet.TaskID]Sample) fleet.Resources {
	var sum fleet.Resources
	var spent time.Duration
	seen := make(map[fleet.TaskID]time.Duration, len(tasks))
	for task, used := range tasks {
		seen[task] = used.CPU
		sum.Memory += used.MemoryMiB
		if before, ok := u.seen[task]; ok && used.CPU > before {
			spent += used.CPU - before
		}
	}
	if passed := now - u.at; u.seen != nil && passed > 0 {
		sum.CPU = int64(spent) * cpuUnits / int64(passed)
	}
	u.seen, u.at = seen, now
	return sum
}
