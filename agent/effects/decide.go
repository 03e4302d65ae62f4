package effects

import (
	"hash/fnv"
	"strconv"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// decide proposes what is to be said about open effects: attempts that are handed,
// outcomes, and what has run out of time. Never on a State without its own commands.
func (d *Driver) decide() {
	if d.proposing || d.in.State.Index() < d.proposed || d.in.State.Fleet() == nil {
		return
	}
	hosts := d.newChoice()
	var items []fleet.Item
	for e := range d.in.State.OpenEffects() {
		if len(items) == MaxItems {
			break
		}
		if c := d.commandFor(e, hosts); c != nil {
			items = append(items, fleet.Item{By: By, Command: c})
		}
	}
	switch {
	case len(items) == 0:
	case d.in.Mono < d.pause:
		d.by(d.pause)
	default:
		for _, item := range items {
			if hand, is := item.Command.(fleet.HandEffect); is {
				d.mine[hand.ID] = hand.Attempt
			}
		}
		d.proposing = true
		d.do(Propose{Items: items})
	}
}

// commandFor is the command that an open effect needs now, or nil.
func (d *Driver) commandFor(e *fleet.Effect, hosts *choice) fleet.Command {
	if e.Status == fleet.EffectHanded {
		return d.finish(e)
	}
	switch {
	case d.in.Wall >= e.Deadline:
		return fleet.FinishEffect{ID: e.ID, Attempt: e.Attempt, Verdict: fleet.VerdictExpired, Why: e.Why}
	case d.in.Wall < e.NotBefore:
		d.byFleetTime(e.Due())
		return nil
	}
	host := hosts.pick(e)
	if host == nil {
		d.by(d.in.Mono + LookAgain)
		return nil
	}
	return fleet.HandEffect{ID: e.ID, Attempt: e.Attempt + 1, Host: host.ID, Session: host.Session.N}
}

// finish says what is known of an attempt that was handed: what its host answered, or
// that its time is over, or that its runner's agent has ended.
func (d *Driver) finish(e *fleet.Effect) fleet.Command {
	a := d.asking[e.ID]
	c := fleet.FinishEffect{ID: e.ID, Attempt: e.Attempt}
	switch {
	case a.answer != nil:
		c.Verdict, c.Outcome, c.Why = a.answer.Verdict, a.answer.Outcome, a.answer.Why
	case !d.in.State.RunnerInSession(e) && !a.doubt && a.request == 0:
		c.Verdict, c.Why = fleet.VerdictNotBegun, "its host began another session before it was asked"
	case !d.in.State.RunnerInSession(e):
		c.Verdict, c.Why = fleet.VerdictUnknown, "its host began another session before it answered"
	case d.in.Wall >= e.Due() && d.in.Wall >= e.Deadline:
		c.Verdict, c.Why = fleet.VerdictExpired, "its host gave no answer in time"
	case d.in.Wall >= e.Due():
		c.Verdict, c.Why = fleet.VerdictUnknown, "its host gave no answer in time"
	default:
		d.byFleetTime(e.Due())
		return nil
	}
	return c
}

// choice chooses hosts for the attempts of one proposal.
type choice struct {
	state    *fleet.State
	view     func() plan.FleetLiveness
	liveness *plan.FleetLiveness
	load     map[fleet.HostID]int // attempts handed
	total    int
	byRole   map[fleet.Role][]*fleet.Host
}

func (d *Driver) newChoice() *choice {
	c := &choice{
		state: d.in.State, view: d.in.Liveness, load: map[fleet.HostID]int{}, byRole: map[fleet.Role][]*fleet.Host{},
	}
	for e := range d.in.State.OpenEffects() {
		if e.Status == fleet.EffectHanded {
			c.load[e.Runner]++
			c.total++
		}
	}
	return c
}

// pick chooses the host of the next attempt: the one with the fewest, another than the
// last that was tried where there is one, and not one that is late by its own measure
// while others are not. Nil: no host may run it now.
func (c *choice) pick(e *fleet.Effect) *fleet.Host {
	if c.total >= MaxUnderWay {
		return nil
	}
	var best *fleet.Host
	var least rank
	for _, h := range c.hosts(e.Role) {
		if c.load[h.ID] >= MaxPerHost {
			continue
		}
		r := rank{h.ID == e.Runner, c.liveness.Of(h.ID).Starved, c.load[h.ID], drawOf(e, h.ID)}
		if best == nil || r.before(least) {
			best, least = h, r
		}
	}
	if best != nil {
		c.load[best.ID]++
		c.total++
	}
	return best
}

// hosts are those that fill a role and are heard in the session that State has.
func (c *choice) hosts(role fleet.Role) []*fleet.Host {
	if all, known := c.byRole[role]; known {
		return all
	}
	if c.liveness == nil {
		view := c.view()
		c.liveness = &view
	}
	var all []*fleet.Host
	consider := func(h *fleet.Host) {
		if c.state.MayRun(h, role) {
			if seen := c.liveness.Of(h.ID); seen.Liveness == plan.LivenessAlive && seen.Session == h.Session.N {
				all = append(all, h)
			}
		}
	}
	switch role.Kind {
	case fleet.RoleHost:
		consider(c.state.Host(fleet.HostID(role.Name)))
	case fleet.RoleVoter:
		for v := range c.state.Voters() {
			consider(c.state.Host(v.Host))
		}
	case fleet.RoleDriver:
		for h := range c.state.Hosts() {
			consider(h)
		}
	}
	c.byRole[role] = all
	return all
}

// rank orders hosts for an attempt, the best first.
type rank struct {
	again   bool
	starved bool
	load    int
	draw    uint32
}

func (r rank) before(o rank) bool {
	switch {
	case r.again != o.again:
		return !r.again
	case r.starved != o.starved:
		return !r.starved
	case r.load != o.load:
		return r.load < o.load
	default:
		return r.draw < o.draw
	}
}

// drawOf spreads effects over hosts that are otherwise alike, the same way each time.
func drawOf(e *fleet.Effect, host fleet.HostID) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(e.ID) + strconv.Itoa(e.Attempt) + string(host))) // never fails
	return h.Sum32()
}
