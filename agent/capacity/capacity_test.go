package capacity

import (
	"errors"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func room(cpu, memory int64) fleet.Resources { return fleet.Resources{CPU: cpu, Memory: memory} }

func TestRoomIsWhatIsConfiguredOrWhatTheMachineLeaves(t *testing.T) {
	tests := map[string]struct {
		configured fleet.Resources
		memory     int64
		want       fleet.Resources
		wrong      bool
	}{
		"a large machine keeps a twentieth of its memory": {memory: 100_000, want: room(2048, 95_000)},
		"a small one keeps 256 MiB":                       {memory: 2048, want: room(2048, 1792)},
		"what is configured stands":                       {configured: room(5, 7), memory: -1, want: room(5, 7)},
		"each by itself":                                  {configured: room(5, 0), memory: 2048, want: room(5, 1792)},
		"too little is refused":                           {memory: 256, wrong: true},
		"a machine that does not say":                     {memory: -1, wrong: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Room(tt.configured, 2, func() (int64, error) {
				if tt.memory < 0 {
					return 0, errors.New("no memory is told")
				}
				return tt.memory, nil
			})
			if (err != nil) != tt.wrong || err == nil && got != tt.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestAReportIsPublishedWhenSomebodyWouldCare(t *testing.T) {
	tests := map[string]struct {
		after  time.Duration
		change func(*fleet.CapacityReport)
		want   bool
	}{
		"nothing changed":           {after: atLeast - 1, change: func(*fleet.CapacityReport) {}},
		"nothing changed for long":  {after: atLeast, change: func(*fleet.CapacityReport) {}, want: true},
		"a little more memory":      {change: func(c *fleet.CapacityReport) { c.Used.Memory += changedBy - 1 }},
		"much more memory":          {change: func(c *fleet.CapacityReport) { c.Used.Memory += changedBy }, want: true},
		"much less memory":          {change: func(c *fleet.CapacityReport) { c.Used.Memory -= changedBy }, want: true},
		"much more cpu":             {change: func(c *fleet.CapacityReport) { c.Used.CPU += changedBy }, want: true},
		"another session":           {change: func(c *fleet.CapacityReport) { c.Nonce++ }, want: true},
		"something more reserved":   {change: func(c *fleet.CapacityReport) { c.Reserved.CPU++ }, want: true},
		"one more task runs":        {change: func(c *fleet.CapacityReport) { c.TasksRunning++ }, want: true},
		"one more task waits":       {change: func(c *fleet.CapacityReport) { c.TasksPending++ }, want: true},
		"one more port is used":     {change: func(c *fleet.CapacityReport) { c.PortsUsed++ }, want: true},
		"the host is late":          {change: func(c *fleet.CapacityReport) { c.Starved = true }, want: true},
		"the agent is protected":    {change: func(c *fleet.CapacityReport) { c.Protected = "cgroup" }, want: true},
		"the host votes":            {change: func(c *fleet.CapacityReport) { c.Voter = true }, want: true},
		"the runtime is another":    {change: func(c *fleet.CapacityReport) { c.Runtime = "2" }, want: true},
		"the clock went on, only":   {change: func(c *fleet.CapacityReport) { c.At++ }},
		"a little more of the disk": {change: func(c *fleet.CapacityReport) { c.DiskFreeMiB-- }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var r Reports
			if _, known := r.Newest(); known {
				t.Error("a report is known before the first")
			}
			first, ok := r.Next(time.Hour, fleet.CapacityReport{Used: fleet.Resources{CPU: 100, Memory: 100}})
			if !ok || first.Seq != 1 {
				t.Fatalf("the first is %+v, %v", first, ok)
			}
			next := first
			tt.change(&next)
			got, ok := r.Next(time.Hour+tt.after, next)
			if ok != tt.want || ok && got.Seq != 2 {
				t.Errorf("published %v: %+v", ok, got)
			}
			if newest, known := r.Newest(); !known || newest.Seq != 1+uint64(map[bool]int{true: 1}[tt.want]) {
				t.Errorf("the newest is %+v, %v", newest, known)
			}
		})
	}
}

func TestUsageIsMemoryNowAndCPUSinceTheLastLook(t *testing.T) {
	const s = time.Second
	var u Usage
	steps := []struct {
		why   string
		after time.Duration
		tasks map[fleet.TaskID]Sample
		want  fleet.Resources
	}{
		{"of the first look no time is known", s, map[fleet.TaskID]Sample{"a": {9 * s, 10}}, room(0, 10)},
		{"half a core", 2 * s, map[fleet.TaskID]Sample{"a": {10 * s, 20}}, room(512, 20)},
		{"a new task has used none yet", s, map[fleet.TaskID]Sample{"a": {10 * s, 20}, "b": {s, 5}}, room(0, 25)},
		{"two tasks", s, map[fleet.TaskID]Sample{"a": {11 * s, 20}, "b": {2 * s, 5}}, room(2048, 25)},
		{"a count that began anew", s, map[fleet.TaskID]Sample{"a": {s, 20}}, room(0, 20)},
		{"no time has passed", 0, map[fleet.TaskID]Sample{"a": {2 * s, 20}}, room(0, 20)},
	}
	now := time.Hour
	for _, step := range steps {
		now += step.after
		if got := u.Sum(now, step.tasks); got != step.want {
			t.Errorf("%s: %+v, want %+v", step.why, got, step.want)
		}
	}
}
