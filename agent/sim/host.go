package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"skein/agent/converge"
	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
)

// host is a simulated machine: what survives its agent, and what survives its
// power.
type host struct {
	w        *World
	number   int
	id       fleet.HostID
	name     string
	zone     string
	capacity fleet.Resources
	build    int // the format that its agent reads

	// In memory: gone with the power.
	boot       int
	life       *virtual.Run // of the machine; nil while it is off
	containers *fake.Containers
	network    *fake.Network
	cgroups    *fake.Cgroups
	runtime    runtimeState
	hungCalls  []func() // that a hanging runtime will still carry out
	hungWrites []func() // that a stalled disk will

	// On disk.
	journal []converge.Record
	wanted  *converge.SavedWanted
	routes  *converge.SavedRoutes
	wrote   int // the build that wrote both
	// wantedBefore is the copy before wanted; behind says that since wanted was written a
	// newer copy or the journal could not be read.
	wantedBefore *converge.SavedWanted
	behind       bool
	log          *simlog.Disk // of its voter's log; nil for none
	roster       trust.Roster
	nonce        uint64
	disk         diskState

	skew    time.Duration // of its wall clock
	starved bool          // late by its own measure
	slow    float64       // so many times
	cuts    int           // under way, that part it from several others
	pairs   int           // under way, from one other each
	agent   *agent        // nil while none runs

	listeners map[fleet.HostID]bool // hosts that have their stream from this one

	started map[string]int        // container and boot -> starts that took effect
	faulty  map[fleet.TaskID]bool // fails its health checks
}

type runtimeState uint8

const (
	runtimeUp runtimeState = iota
	runtimeDown
	runtimeHangs
)

type diskState uint8

const (
	diskWell diskState = iota
	diskFull
	diskStalled
)

var (
	errDiskFull = errors.New("no space left on device")
	errInjected = errors.New("injected failure")
)

func hostName(n int) string { return fmt.Sprintf("h%d", n) }

func newHost(w *World, n int, m Machine) *host {
	h := &host{
		w: w, number: n, id: fleet.HostID(fmt.Sprintf("h-%016x", n)), name: m.Name, zone: m.Zone, capacity: m.Capacity,
		build: buildNow, wrote: buildNow,
		listeners: map[fleet.HostID]bool{}, started: map[string]int{}, faulty: map[fleet.TaskID]bool{},
	}
	h.containers = fake.NewContainers(func() time.Time { return w.wall().Std() })
	h.network = fake.NewNetwork(h.containers.Alive)
	h.cgroups = fake.NewCgroups()
	return h
}

func (h *host) addr() netip.AddrPort { return addrOf(h.number) }

func addrOf(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 7700)
}

// admission is what the host shows when it joins.
func (h *host) admission() fleet.Admission {
	return fleet.Admission{ID: h.id, Name: h.name, Zone: h.zone, Addr: h.addr(), PublicKey: fmt.Sprintf("%064x", h.number)}
}

func (h *host) bootID() string { return fmt.Sprintf("boot-%d-%d", h.number, h.boot) }

// wallClock is what this host takes for the time.
func (h *host) wallClock() fleet.Time { return h.w.wall().Add(h.skew) }

// on reports whether the machine has power.
func (h *host) on() bool { return h.life != nil }

// powerOn boots the machine; its agent starts a moment later.
func (h *host) powerOn() {
	if h.on() {
		return
	}
	h.boot++
	h.life = h.w.net.PowerOn(h.id)
	h.runtime = runtimeUp
	h.w.note("%s boots", h.name)
	h.life.After(h.w.chance.Between(200*time.Millisecond, time.Second), h.startAgent)
}

// powerOff is sudden: everything in memory is gone, and what was not durable.
func (h *host) powerOff() {
	if !h.on() {
		return
	}
	h.w.note("%s loses power", h.name)
	h.w.net.Set(h.id, virtual.Off)
	h.life, h.hungCalls, h.hungWrites = nil, nil, nil
	h.agent = nil
	h.containers.Reboot()
	h.network.Reboot()
	h.cgroups.Reboot()
	h.containers.Changed() // nobody is there to be told
	h.w.watch.machineOff(h)
	if h.log != nil {
		h.log.Lose()
	}
	if h.disk == diskStalled {
		h.disk = diskWell
	}
}

// killAgent ends the agent alone; containers run on.
func (h *host) killAgent() {
	if h.agent == nil {
		return
	}
	h.w.note("agent of %s dies", h.name)
	h.w.net.Set(h.id, virtual.Down)
	h.agent = nil
}

// freeze has the machine stand still, with everything on it.
func (h *host) freeze() {
	if h.on() && h.w.net.Condition(h.id) == virtual.Up {
		h.w.note("%s stands still", h.name)
		h.w.net.Set(h.id, virtual.Frozen)
	}
}

func (h *host) thaw() {
	if h.w.net.Condition(h.id) == virtual.Frozen {
		h.w.note("%s goes on", h.name)
		h.w.net.Set(h.id, virtual.Up)
	}
}

// frozen reports whether the machine stands still.
func (h *host) frozen() bool { return h.w.net.Condition(h.id) == virtual.Frozen }

// after runs f on the machine, whichever agent runs there by then, unless it
// loses its power first.
func (h *host) after(d time.Duration, f func()) { h.life.After(h.w.net.Takes(h.id, d), f) }

// setRuntime has the container runtime answer, or not.
func (h *host) setRuntime(s runtimeState) {
	if h.runtime == s {
		return
	}
	h.runtime = s
	if s == runtimeUp {
		hung := h.hungCalls
		h.hungCalls = nil
		for _, call := range hung {
			call()
		}
		h.changed()
	}
	if h.agent != nil {
		h.agent.seeRuntime()
	}
}

// changed tells the agent that containers may have changed, and looks after
// those that end by themselves.
func (h *host) changed() {
	if h.runtime != runtimeUp {
		return
	}
	ids := h.containers.Changed()
	if len(ids) > 0 {
		h.w.watch.look(h, ids)
		if a := h.agent; a != nil {
			a.life.After(h.w.chance.Between(time.Millisecond, 5*time.Millisecond), func() {
				a.step(converge.ContainerChanged{ID: ids[0]})
			})
		}
	}
	h.armEnds()
}

// armEnds looks again when the next container ends by itself.
func (h *host) armEnds() {
	at, ok := h.containers.NextDue()
	if !ok || !h.on() {
		return
	}
	h.life.After(max(at.Sub(h.w.wall().Std()), 0)+time.Millisecond, func() {
		h.containers.Step()
		h.changed()
	})
}

// exit ends a container from inside.
func (h *host) exit(container string, code int) {
	h.containers.Exit(container, code, false)
	h.changed()
}

// setDisk has the disk take writes, refuse them or keep them waiting.
func (h *host) setDisk(s diskState) {
	was := h.disk
	h.disk = s
	if h.log != nil {
		h.log.Stall(s == diskStalled)
		h.log.Full(s == diskFull)
	}
	if was == diskStalled && s != diskStalled {
		h.releaseWrites()
	}
}
