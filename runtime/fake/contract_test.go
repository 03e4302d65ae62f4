package fake_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"net/netip"

	"skein/agent/converge"
	"skein/agent/converge/porttest"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// program runs porttest.Program by the meaning of its words.
func program(argv []string) (fake.Run, bool) {
	if len(argv) < 2 || argv[0] != porttest.Program {
		return fake.Run{}, false
	}
	rest := strings.Join(argv[2:], " ")
	number, _ := strconv.Atoi(rest)
	switch argv[1] {
	case "exit":
		return fake.Run{ExitCode: number}, true
	case "say":
		return fake.Run{Output: rest + "\n"}, true
	case "wait":
		return fake.Run{Output: "waiting\n", After: fake.Forever}, true
	case "ignore", "hang":
		return fake.Run{Output: "waiting\n", After: fake.Forever, IgnoresTerm: true}, true
	case "alloc":
		return fake.Run{MemoryMiB: int64(number)}, true
	default:
		return fake.Run{}, false
	}
}

func TestContainersKeepTheContract(t *testing.T) {
	porttest.Containers(t, func(t *testing.T) porttest.ContainersFixture {
		now := newClock()
		c := fake.NewContainers(now.Now)
		digest := "sha256:" + strings.Repeat("ab", 32)
		c.Put("registry/web:1", fake.Image{Digest: digest, Program: program})
		cgroups := fake.NewCgroups()
		return porttest.ContainersFixture{
			Containers: c,
			Image:      port.ImageRef{Image: "registry/web:1", Digest: digest},
			Tagged:     port.ImageRef{Image: "registry/web:1"},
			Missing:    port.ImageRef{Image: "registry/none:1"},
			Reopen:     func(*testing.T) converge.Containers { return c },
			Cgroup: func(t *testing.T, task fleet.TaskID) string {
				path, err := cgroups.Prepare(t.Context(), task, port.TaskBounds{Shares: 2})
				if err != nil {
					t.Fatal(err)
				}
				return path
			},
			LogPath:  func(name string) string { return "/log/" + name },
			ReadLog:  func(_ *testing.T, path string) string { return c.Log(path) },
			Registry: func(up bool) { c.Inject(func(f *fake.Faults) { f.RegistryDown = !up }) },
			Pulls:    func() int { return c.Pulls("registry/web:1") },
			Step: func() {
				now.Add(20 * time.Millisecond)
				c.Step()
				waitWatcher()
			},
		}
	})
}

// waitWatcher lets the goroutine of the case that watches run.
func waitWatcher() { time.Sleep(10 * time.Microsecond) }

func TestNetworkKeepsTheContract(t *testing.T) {
	porttest.Network(t, func(t *testing.T) porttest.NetworkFixture {
		alive, last := map[int]bool{}, 100
		n := fake.NewNetwork(func(pid int) bool { return alive[pid] })
		return porttest.NetworkFixture{
			Network: n,
			Reopen:  func(*testing.T) converge.Network { return n },
			Task:    func(*testing.T, string) int { last++; alive[last] = true; return last },
			End:     func(_ *testing.T, pid int) { alive[pid] = false },
			Connect: func(_ *testing.T, pid, port int) func() { return n.Connect(pid, port) },
			Leads:   func(_ *testing.T, hostPort int) netip.AddrPort { return n.Leads(fleet.TCP, hostPort) },
			Step:    func() {},
		}
	})
}

func TestCgroupsKeepTheContract(t *testing.T) {
	porttest.Cgroups(t, func(t *testing.T) porttest.CgroupsFixture {
		c := fake.NewCgroups()
		return porttest.CgroupsFixture{
			Cgroups: c,
			Reopen:  func(*testing.T) converge.Cgroups { return c },
			ReadBack: func(t *testing.T, path string) port.TaskBounds {
				bounds, ok := c.Bounds(fleet.TaskID(path[strings.LastIndex(path, "/")+1:]))
				if !ok {
					t.Fatalf("nothing at %s", path)
				}
				return bounds
			},
		}
	})
}
