package sim

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"skein/agent/converge"
	"skein/agent/peer/fence"
	"skein/agent/peer/link"
	"skein/agent/peer/protocol"
	"skein/agent/sim/virtual"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

func init() {
	maps.Copy(verbs, map[string]verb{
		"clone": {use: "HOST: its disk is copied into another machine, which boots", least: 1, most: 1,
			do: (*World).clone},
	})
}

// clone is a machine that boots from a copy of another's disk, with that host's
// identity. It runs the link, the fence of the log and the host loop. Its log is not
// opened: while the fence stands nothing of it reaches anybody, and that it falls while
// the original answers is a broken promise. Should it take the place of an original that
// is gone, it is switched off: a host that goes on elsewhere is not simulated.
type clone struct {
	w        *World
	original *host
	key      fleet.HostID // of the machine, in the network
	boot     string
	addr     netip.AddrPort
	life     *virtual.Run
	nonce    uint64
	roster   trust.Roster

	loop     *converge.Machine
	loopDue  *virtual.Timer
	link     *link.Machine
	linkDue  *virtual.Timer
	fence    fence.Fence
	log      *fleet.State // as the copied log has it; nil for none
	answered time.Duration
}

func (w *World) clone(d words) error {
	h := w.byName[d.objects[0]]
	if h == nil || h.agent == nil {
		return fmt.Errorf("clone: there is no host %q whose agent runs", d.objects[0])
	}
	n := len(w.order) + len(w.clones) + 1
	c := &clone{w: w, original: h, key: h.id + fleet.HostID(fmt.Sprintf("-copy%d", n)), boot: fmt.Sprintf("boot-%d-1", n),
		addr: addrOf(n), nonce: h.nonce, roster: h.agent.knownRoster()}
	if h.agent.node != nil {
		c.log = h.agent.node.State()
	}
	w.clones = append(w.clones, c)
	w.note("a copy of the disk of %s boots at %s", h.name, c.addr)
	w.net.PowerOn(c.key)
	c.life = w.net.Begin(c.key)
	c.loop = converge.NewMachine(converge.MachineConfig{
		Fleet: fleetID, Host: h.id, HostName: h.name, Zone: h.zone, Boot: c.boot, LogDir: "/log",
	}, converge.Saved{Journal: slices.Clone(h.journal), Wanted: h.savedWanted()}, c.now())
	held := c.loop.Status()
	c.link = link.NewMachine(h.id, held.Epoch, held.Index, func(d time.Duration) time.Duration {
		return w.chance.Between(0, max(d, 0))
	})
	c.step(converge.RuntimeUp{Version: "twin"},
		converge.HostChecked{Checks: []fleet.Check{{Name: "containerd and disk", OK: true, Required: true}}})
	c.stepLink(link.Tick{})
	c.keepFence()
	return nil
}

func (c *clone) now() converge.Now { return converge.Now{Wall: c.w.wall(), Mono: c.w.time.Now()} }

// off takes the power from the machine.
func (c *clone) off() { c.w.net.Set(c.key, virtual.Off) }

// alive reports whether the original can be heard.
func (c *clone) alive() bool { return c.original.agent != nil && !c.original.frozen() }

// step steps the host loop. Whatever it asks for succeeds, and nothing is found.
func (c *clone) step(events ...converge.Event) {
	for _, e := range c.loop.Step(c.now(), events) {
		switch do := e.Do.(type) {
		case converge.Create, converge.Start:
			c.w.watch.fail("clone", fmt.Sprintf("the copy of %s starts task %s", c.original.name, short(e.Task)))
			return
		case converge.ArmTimer:
			c.loopDue.Stop()
			if do.At < never {
				c.loopDue = c.life.After(do.At-c.w.time.Now(), func() { c.step(converge.Tick{}) })
			}
		default:
			if e.ID != 0 {
				done := outcomeOnClone(e)
				c.life.After(time.Millisecond, func() { c.step(done) })
			}
		}
	}
}

// outcomeOnClone is that of an effect on a machine that has all images and nothing else.
func outcomeOnClone(e converge.Effect) converge.Done {
	done := converge.Done{ID: e.ID}
	switch do := e.Do.(type) {
	case converge.List:
		done.Found = &converge.Found{}
	case converge.FindImage:
		done.Digest = do.Ref.Digest
	case converge.PrepareCgroup:
		done.Path = "/" + string(e.Task)
	}
	return done
}

func (c *clone) stepLink(event link.Event) {
	now := c.w.time.Now()
	for _, effect := range c.link.Step(now, c.roster, event) {
		switch do := effect.(type) {
		case link.OpenSession:
			c.openSession(do)
		case link.Note:
			if errors.Is(do.Err, protocol.ErrCloned) {
				c.w.sometimes("a copied disk is refused")
				c.fence.Refused(now)
				c.step(converge.Cloned{})
			}
			c.w.note("the copy of %s is not served by %s: %v", c.original.name, c.w.nameOf(do.Voter), do.Err)
		}
	}
	c.linkDue.Stop()
	c.linkDue = c.life.After(max(0, c.link.Wake(now)-now), func() { c.stepLink(link.Tick{}) })
}

// openSession asks a voter for a session, as its original.
func (c *clone) openSession(do link.OpenSession) {
	h := c.original
	c.nonce++
	ask := fleet.OpenSession{Host: h.id, Boot: c.boot, Nonce: c.nonce, Addr: c.addr, Zone: h.zone, Capacity: h.capacity,
		Version: fmt.Sprintf("sim-%d", h.build), Format: h.build}
	late := c.life.After(link.SessionTime, func() {
		c.stepLink(link.SessionOpened{Attempt: do.Attempt, Err: errNoAnswer})
	})
	voter := c.w.hosts[do.Voter]
	c.w.net.Carry(c.key, voter.id, func() {
		if voter.agent == nil {
			return
		}
		voter.agent.serves.openSession(ask, func(_ protocol.SessionGrant, nonce uint64, err error) {
			c.w.net.Carry(voter.id, c.key, func() {
				c.nonce = max(c.nonce, nonce)
				if !late.Waiting() {
					return
				}
				late.Stop()
				if err == nil {
					c.opened()
					return
				}
				c.stepLink(link.SessionOpened{Attempt: do.Attempt, Err: err})
			})
		})
	})
}

// opened is a session in place of the original's.
func (c *clone) opened() {
	c.fence.Accepted()
	if c.alive() {
		c.w.watch.fail("clone", fmt.Sprintf("a copy of %s has a session while %s is alive", c.original.name, c.original.name))
	}
	c.w.note("the copy of %s takes its place, and is switched off", c.original.name)
	c.off()
}

// keepFence asks at the address of State whether its host answers there, and sees that
// the fence stands.
func (c *clone) keepFence() {
	if c.log == nil {
		return
	}
	now, former := c.w.time.Now(), fence.Former(c.log, c.original.id, c.addr)
	if c.alive() {
		c.answered = now
	}
	if c.fence.Ask(now, former) {
		answers := c.alive() && c.w.net.Dial(c.key, c.original.id) == virtual.Connected
		c.life.After(fence.AskFor, func() { c.fence.Answered(c.w.time.Now(), former, answers) })
	}
	switch {
	case c.fence.Fenced(now, former):
		c.life.After(protocol.WatchSeldom, c.keepFence)
	case now-c.answered < fence.FormerKept:
		c.w.watch.fail("clone", fmt.Sprintf("the copied log of %s votes while %s is alive", c.original.name, c.original.name))
	default:
		c.w.note("the copied log of %s would vote: the copy is switched off", c.original.name)
		c.off()
	}
}
