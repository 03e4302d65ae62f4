package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// Run is a whole run: a world, what is done to it, and for how long.
type Run struct {
	Config     Config
	Operations []Operation
	For        time.Duration // until faults end and the fleet must come to rest
	// Dead are hosts that never come back, by name: fewer than any majority of
	// voters needs.
	Dead []string
}

// Draw makes the life of a seed. First it draws which kinds of faults there are
// at all, then how often, then sizes: lives with one or two kinds find what lives
// with all of them hide.
func Draw(seed uint64) Run {
	d := &drawing{c: virtual.NewChance(seed, "life"), busy: map[string]time.Duration{}}
	d.run.Config.Seed, d.run.Config.MostEvents, d.run.Config.Await = seed, mostEvents, true
	d.topology()
	d.tuning()
	d.services()
	d.run.For = virtual.Pick(d.c, 3*time.Minute, 10*time.Minute, 30*time.Minute)
	d.events()
	d.effects(seed)
	d.rivals(seed)
	d.deploys(seed)
	slices.SortStableFunc(d.run.Operations, func(a, b Operation) int { return int(a.At - b.At) })
	d.run.For = max(d.run.For, d.run.Operations[len(d.run.Operations)-1].At+time.Second) // each fault's end is in the life
	return d.run
}

// mostEvents is ten times what a drawn life has.
const mostEvents = 2_000_000

// drawing is a life being drawn.
type drawing struct {
	c      *virtual.Chance
	run    Run
	names  []string
	busy   map[string]time.Duration // hosts with a fault, until when
	family []string                 // services
	most   int                      // hosts with a fault at one time
	at     time.Duration
	wiped  time.Duration
	back   bool // an agent is rolled back, at some time
}

// wipeHeals is how long a fleet has to replace a voter whose disk was wiped.
const wipeHeals = 10 * time.Minute

func (d *drawing) topology() {
	n := virtual.Pick(d.c, 1, 2, 3, 3, 4, 5, 5, 6, 7, 9)
	zones := virtual.Pick(d.c, "a", "ab", "abc", "abc", "abc")
	for i := range n {
		name := hostName(i + 1)
		d.names = append(d.names, name)
		d.run.Config.Hosts = append(d.run.Config.Hosts, Machine{
			Name: name, Zone: string(zones[i%len(zones)]),
			Capacity: fleet.Resources{CPU: 1024 << d.c.IntN(3), Memory: 2048 << d.c.IntN(3)},
		})
	}
	d.most = max(1, (n-1)/2)
	if d.c.Is(0.2) {
		d.most = n // quorum is lost now and then
	}
	if n >= 5 && d.c.Is(0.3) {
		d.run.Dead = []string{d.names[n-1]}
	}
}

func (d *drawing) tuning() {
	some := func(p float64) float64 {
		if d.c.Is(0.25) {
			return p * d.c.Float64()
		}
		return 0
	}
	k := &d.run.Config.Tuning
	k.AnswerLost, k.CallFails, k.StreamCut = some(0.1), some(0.05), some(0.2)
	k.TickTwice, k.StaleFrame, k.LateReport = some(0.3), some(0.2), some(0.2)
	k.Snapshot = virtual.Pick(d.c, 300, 300, 3, 50) // agents that die again and again read their logs again and again
	k.Starts = virtual.Pick(d.c, 0, 0, 1, 2)
	k.Start = virtual.Pick(d.c, 0, 0, 20*time.Millisecond, time.Second)
	k.Pull = virtual.Pick(d.c, 0, 0, 100*time.Millisecond, 20*time.Second)
	d.run.Config.Network = virtual.NetworkConditions{Delay: 300 * time.Microsecond, Jitter: time.Millisecond}
}

// services are what the fleet runs from the start.
func (d *drawing) services() {
	for i := range 1 + d.c.IntN(3) {
		name := []string{"web", "api", "job"}[i]
		d.family = append(d.family, name)
		options := virtual.Pick(d.c, "", " check=10", " check=5", " port=dynamic", " port=8080", " stop-after=30s") +
			virtual.Pick(d.c, "", "", " min=50 max=100", " max=150", " min=0 max=100", " min=100 max=100") +
			virtual.Pick(d.c, "", "", "", " containers=2", " containers=3") +
			virtual.Pick(d.c, "", "", "", " command=deaf stop-timeout=5", " grace=20")
		d.operation(time.Duration(i)*time.Second, "service %s %d cpu=%d mem=%d%s", name, 1+d.c.IntN(6), 64<<d.c.IntN(3),
			64<<d.c.IntN(3), options)
	}
}

func (d *drawing) operation(at time.Duration, format string, args ...any) {
	d.run.Operations = append(d.run.Operations, Operation{At: at, Text: fmt.Sprintf(format, args...)})
}

// kind is a kind of event; it adds operations at d.at.
type kind struct {
	name string
	draw func(d *drawing)
}

// events draws which kinds there are and how often, and then the events.
func (d *drawing) events() {
	var on []kind
	for _, kinds := range [][]kind{hostKinds, fleetKinds, operatorKinds} {
		for _, k := range kinds {
			if d.c.Is(0.4) {
				on = append(on, k)
			}
		}
	}
	if len(on) == 0 {
		on = append(on, hostKinds[0])
	}
	every := virtual.Pick(d.c, 2*time.Second, 10*time.Second, 40*time.Second)
	for d.at = 5 * time.Second; d.at < d.run.For; d.at += d.c.Between(every/4, 2*every) {
		on[d.c.IntN(len(on))].draw(d)
	}
	for _, name := range d.run.Dead {
		d.operation(d.c.Between(10*time.Second, d.run.For), "kill %s", name)
	}
}

// rivals are operators who replace keys when another does, from a stream of their own.
func (d *drawing) rivals(seed uint64) {
	c := virtual.NewChance(seed, "rivals")
	for _, o := range slices.Clone(d.run.Operations) {
		if o.Text == rotateKeys && c.Is(0.5) {
			d.operation(o.At+c.Between(0, 20*time.Millisecond), rotateKeys)
		}
	}
}

// lasts draws how long a fault lasts: a moment, long enough to be seen, or long.
func (d *drawing) lasts() time.Duration {
	switch d.c.IntN(6) {
	case 0:
		return d.c.Between(50*time.Millisecond, time.Second)
	case 1, 2, 3:
		return d.c.Between(time.Second, 20*time.Second)
	case 4:
		return d.c.Between(20*time.Second, 2*time.Minute)
	default:
		return d.c.Between(2*time.Minute, 12*time.Minute)
	}
}

// host picks a host without a fault, and takes it for a while; empty when as many
// as may be have one.
func (d *drawing) host(lasts time.Duration) string {
	var free []string
	taken := 0
	for _, name := range d.names {
		switch {
		case slices.Contains(d.run.Dead, name):
			taken++
		case d.busy[name] > d.at:
			taken++
		default:
			free = append(free, name)
		}
	}
	if taken >= d.most || len(free) == 0 {
		return ""
	}
	name := free[d.c.IntN(len(free))]
	d.busy[name] = d.at + lasts + time.Second
	return name
}

// during does one thing to a host, and another when it is over.
func during(begin, end string) func(*drawing) {
	return func(d *drawing) {
		lasts := d.lasts()
		if name := d.host(lasts); name != "" {
			d.operation(d.at, begin, name)
			d.operation(d.at+lasts, end, name)
		}
	}
}

// hostKinds are faults of one host.
var hostKinds = []kind{
	{"power loss", during("kill %s", "start %s")},
	{"agent down", during("kill-agent %s", "start-agent %s")},
	{"pause", during("freeze %s", "thaw %s")},
	{"cut off", during("isolate %s", "heal %s")},
	{"starved", during("starve %s", "feed %s")},
	{"slow", during("slow %s 10", "slow %s 1")},
	{"runtime down", during("containerd-down %s", "containerd-up %s")},
	{"runtime hangs", during("containerd-hang %s", "containerd-up %s")},
	{"disk full", during("disk-full %s", "disk-well %s")},
	{"disk stalled", during("disk-stall %s", "disk-well %s")},
	{"agent restart", func(d *drawing) { d.operation(d.at, "restart-agent %s", d.names[d.c.IntN(len(d.names))]) }},
	{"reboot", func(d *drawing) {
		if name := d.host(30 * time.Second); name != "" {
			d.operation(d.at, "reboot %s", name)
		}
	}},
	{"clock off", func(d *drawing) {
		lasts := d.lasts()
		if name := d.host(lasts); name != "" {
			d.operation(d.at, "clock %s %s", name, virtual.Pick(d.c, "3s", "-3s", "1h", "-1h", "400ms"))
			d.operation(d.at+lasts, "clock %s 0s", name)
		}
	}},
	{"lost journal", func(d *drawing) { d.operation(d.at, "lose-journal %s", d.names[d.c.IntN(len(d.names))]) }},
	{"damaged list", func(d *drawing) { d.operation(d.at, "damage-wanted %s", d.names[d.c.IntN(len(d.names))]) }},
	{"stream cut", func(d *drawing) {
		// What a host is to run changes while it looks for its voter again.
		d.operation(d.at, "cut-stream %s", strings.Join(d.names, " "))
		d.operation(d.at+d.c.Between(0, 20*time.Millisecond), "scale %s %d", d.service(), d.c.IntN(8))
	}},
	{"host changes", func(d *drawing) {
		name := d.names[d.c.IntN(len(d.names))]
		if d.c.Is(0.5) {
			d.operation(d.at, "zone %s %s", name, virtual.Pick(d.c, "a", "b", "c"))
			return
		}
		d.operation(d.at, "capacity %s %d %d", name, 1024<<d.c.IntN(3), 2048<<d.c.IntN(3))
	}},
	{"revoked", func(d *drawing) {
		// A voter less, and none of three may go: with five, three are left of four.
		lasts := d.lasts()
		if len(d.names) < 5 {
			return
		}
		if name := d.host(lasts + time.Minute); name != "" {
			d.wiped = d.at + lasts
			d.operation(d.at, "revoke %s", name)
			d.operation(d.at+lasts, "rejoin %s", name)
		}
	}},
	{"forgotten", func(d *drawing) {
		// It comes back as if nothing had been, and nobody talks to it.
		if len(d.names) < 5 || len(d.run.Dead) > 0 {
			return
		}
		if name := d.host(time.Hour); name != "" {
			d.run.Dead = append(d.run.Dead, name)
			d.operation(d.at, "kill %s", name)
			d.operation(d.at+d.c.Between(10*time.Second, time.Minute), "forget %s", name)
			d.operation(d.at+d.c.Between(time.Minute, 2*time.Minute), "start %s", name)
		}
	}},
	{"wiped disk", func(d *drawing) {
		// What a majority held must be held by the rest: one at a time, with time to
		// heal, and nothing else wrong. A voter whose build is too old for the fleet has
		// stopped, for as long as nobody upgrades it.
		healing := d.wiped != 0 && d.at < d.wiped+wipeHeals
		if healing || d.back || d.most >= len(d.names) || len(d.names) < 3 {
			return
		}
		for _, until := range d.busy {
			if until > d.at-time.Minute {
				return
			}
		}
		if name := d.host(2 * time.Minute); name != "" && len(d.run.Dead) == 0 {
			d.wiped = d.at
			for _, other := range d.names {
				d.busy[other] = max(d.busy[other], d.at+3*time.Minute)
			}
			d.operation(d.at, "wipe %s", name)
			d.operation(d.at+5*time.Second, "start %s", name)
		}
	}},
}

// fleetKinds are faults of more than one host, or of what is around them.
var fleetKinds = []kind{
	{"one-way cut", func(d *drawing) {
		lasts := d.lasts()
		a, b := d.c.IntN(len(d.names)), d.c.IntN(len(d.names))
		if name := d.host(lasts); a != b && name != "" {
			d.operation(d.at, "cut-oneway %s %s", d.names[a], d.names[b])
			d.operation(d.at+lasts, "heal %s %s", d.names[a], d.names[b])
		}
	}},
	{"pair cut", func(d *drawing) {
		lasts := d.lasts()
		a, b := d.c.IntN(len(d.names)), d.c.IntN(len(d.names))
		if name := d.host(lasts); a != b && name != "" {
			d.operation(d.at, "cut %s %s", d.names[a], d.names[b])
			d.operation(d.at+lasts, "heal %s %s", d.names[a], d.names[b])
		}
	}},
	{"zone lost", func(d *drawing) {
		lasts := d.lasts()
		zone := d.run.Config.Hosts[d.c.IntN(len(d.names))].Zone
		n := 0
		for _, h := range d.run.Config.Hosts {
			if h.Zone == zone || d.busy[h.Name] > d.at {
				n++
			}
		}
		if n > d.most {
			return
		}
		for _, h := range d.run.Config.Hosts {
			if h.Zone == zone {
				d.busy[h.Name] = max(d.busy[h.Name], d.at+lasts+time.Second)
			}
		}
		var names []string // hosts may move to other zones
		for _, h := range d.run.Config.Hosts {
			if h.Zone == zone {
				names = append(names, h.Name)
			}
		}
		d.operation(d.at, "kill %s", strings.Join(names, " "))
		d.operation(d.at+lasts, "start %s", strings.Join(names, " "))
	}},
	{"power lost everywhere", func(d *drawing) {
		if d.most < len(d.names) {
			return
		}
		d.operation(d.at, "kill all")
		for _, name := range d.names {
			d.operation(d.at+d.lasts(), "start %s", name)
		}
	}},
	{"registry down", func(d *drawing) {
		d.operation(d.at, "registry-down")
		d.operation(d.at+d.lasts(), "registry-up")
	}},
	{"bad network", func(d *drawing) {
		d.operation(d.at, "network-conditions %s", virtual.Pick(d.c, "loss=0.05", "loss=0.2", "delay=50ms jitter=20ms",
			"dup=0.2", "delay=1ms jitter=30ms tail=0.01", "delay=200ms jitter=100ms loss=0.02"))
		d.operation(d.at+d.lasts(), "network-conditions")
	}},
	{"container exits", func(d *drawing) { d.operation(d.at, "exit %d", d.c.IntN(3)) }},
	{"task fails checks", func(d *drawing) { d.operation(d.at, "fail-checks for=%s", d.lasts()) }},
}

// operatorKinds are what people ask for, contradictions included.
var operatorKinds = []kind{
	{"scale", func(d *drawing) { d.operation(d.at, "scale %s %d", d.service(), d.c.IntN(8)) }},
	{"scale twice", func(d *drawing) {
		name := d.service()
		d.operation(d.at, "scale %s %d", name, d.c.IntN(8))
		d.operation(d.at+d.c.Between(0, 20*time.Millisecond), "scale %s %d", name, d.c.IntN(8))
	}},
	{"update", func(d *drawing) {
		d.operation(d.at, "update %s %s", d.service(),
			virtual.Pick(d.c, "force=1", "cpu=128", "cpu=64 check=5", "mem=128 port=none", "min=50 max=200", "check=none",
				"max=125",
				"grace=60", "grace=0", "stop-after=45s", "stop-after=0s", "containers=2", "containers=1"))
	}},
	{"bad update", func(d *drawing) {
		name := d.service()
		d.operation(d.at, "update %s %s", name, virtual.Pick(d.c, "command=exit_1", "image=nobody:1", "cpu=100000"))
		d.operation(d.at+d.lasts(), "update %s command=stay image=app:1 cpu=64", name)
	}},
	{"run", func(d *drawing) {
		d.operation(d.at, "run batch %d cpu=64 mem=64 command=for_%s", 1+d.c.IntN(3), d.lasts())
	}},
	{"stop", func(d *drawing) { d.operation(d.at, "stop %s", d.service()) }},
	{"replace", func(d *drawing) {
		d.operation(d.at, "replace %s cause=%s", d.service(),
			virtual.Pick(d.c, "drain", "rebalance", "consolidation", "deadline"))
	}},
	{"cordon", func(d *drawing) {
		name := d.names[d.c.IntN(len(d.names))]
		d.operation(d.at, "cordon %s", name)
		d.operation(d.at+d.lasts(), "uncordon %s", name)
	}},
	{"delete", func(d *drawing) {
		name := d.service()
		d.operation(d.at, "delete %s", name)
		d.operation(d.at+d.lasts(), "service %s %d cpu=64 mem=64", name, 1+d.c.IntN(5))
	}},
	{"upgrade", func(d *drawing) {
		// One agent, or all one after the other; sometimes it goes back, or the format is
		// raised at once.
		d.run.Config.Mixed = true
		if d.at < 20*time.Second {
			d.operation(d.at, "set formatSoakMs %s", virtual.Pick(d.c, "5000", "60000", "300000", "86400000"))
		}
		names := d.names
		if d.c.Is(0.5) {
			at := d.c.IntN(len(names))
			names = names[at : at+1]
		}
		at := d.at
		for _, name := range names {
			d.operation(at, "upgrade %s", name)
			at += d.lasts()
		}
		switch d.c.IntN(5) {
		case 0:
			d.operation(at, "finalize")
		case 1, 2:
			name := names[d.c.IntN(len(names))]
			if d.wiped == 0 || at >= d.wiped+wipeHeals {
				d.back = true
				d.operation(at, "rollback %s", name)
			}
		}
	}},
	{"setting", func(d *drawing) {
		d.operation(d.at, "set %s", virtual.Pick(d.c, "lostAfterMs 10000", "lostAfterMs 300000", "voters 5", "voters 3",
			"agentDownAfterMs 20000", "agentDownAfterMs 600000", "dynamicPortFirst 65400", "dynamicPortFirst 49153",
			"dynamicPortLast 65534",
			"dynamicPortLast 65535"))
	}},
	{"keys", func(d *drawing) { d.operation(d.at, rotateKeys) }},
}

const rotateKeys = "rotate-keys"

func (d *drawing) service() string { return d.family[d.c.IntN(len(d.family))] }
