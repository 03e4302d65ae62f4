package entry

import (
	"cmp"
	"fmt"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// By names this planner in events and conditions.
const By = "entry"

const (
	// RelayFor is how long connections that began at a former holder go on after a move.
	RelayFor = fleet.EntryRelay
	// SettleFor is how long an address stays before it is moved for evenness alone.
	SettleFor = time.Minute
	// RefusedFor is how long the agent of a holder may be seen down, as in a quick restart,
	// before the address is given to another: its ingress is down with it.
	RefusedFor = 500 * time.Millisecond
)

// Next plans all entry addresses of the fleet, in the order of their names: they are few,
// and what moves one may concern the others. Equal inputs give equal plans.
func Next(in plan.Input) plan.Plan {
	p := planner{in: in, held: map[fleet.HostID]int{}, zones: map[string]int{}}
	for e := range in.State.EntryAddresses() {
		p.count(e.Holder, 1)
	}
	if last := in.State.LastLeader(); last != nil {
		p.leader = last.Host
	}
	var staying []*fleet.EntryAddress
	for e := range in.State.EntryAddresses() {
		p.out.Visited++
		if p.stays(e) {
			staying = append(staying, e)
		}
	}
	for _, e := range staying { // evenness is judged when all have moved that must
		p.stay(e, in.State.Host(e.Holder))
	}
	return p.out
}

type planner struct {
	in     plan.Input
	out    plan.Plan
	held   map[fleet.HostID]int // addresses, with those that this plan gives
	zones  map[string]int
	leader fleet.HostID
	open   []*fleet.Host // hosts that may be given an address, whatever its subnet; nil: not looked at yet
}

func (p *planner) count(id fleet.HostID, n int) {
	if h := p.in.State.Host(id); h != nil {
		p.held[id] += n
		p.zones[h.Zone] += n
	}
}

// standing is how a holder stands to its address.
type standing uint8

const (
	fits   standing = iota
	leaves          // it can hand over
	gone            // there is nobody to hand over
)

// stays gives away an address whose holder is gone or must leave.
func (p *planner) stays(e *fleet.EntryAddress) bool {
	holder := p.in.State.Host(e.Holder)
	how, why := p.stand(e, holder)
	switch {
	case how == fits:
		p.watch(e, holder)
		return true
	case how == gone:
		p.give(e, why, 0)
	case how == leaves && p.relaying(e) && p.seen(holder) == plan.LivenessAlive && !p.leaving(holder) && !p.mayReturn(e):
		p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: fleet.EntryAddressSubject(e.Name()),
			Code: plan.CodeEntryWaits, Message: fmt.Sprintf("%s: it is handed over at %s, when connections of the move before "+
				"may be cut: one former holder is relayed to", why, e.FormerUntil)})
		p.out.WakeAt(e.FormerUntil, fleet.EntryAddressSubject(e.Name())) // or the first move's connections are cut
	default:
		p.give(e, why, p.relayUntil(e))
	}
	return false
}

// stand judges a holder. One that is unknown or suspect is never a reason to act.
func (p *planner) stand(e *fleet.EntryAddress, holder *fleet.Host) (standing, string) {
	if holder == nil {
		return gone, "nobody holds it"
	}
	seen := p.in.Liveness.Of(holder.ID)
	switch {
	case holder.State != fleet.HostReady:
		return gone, fmt.Sprintf("%s is %s", holder.Name, holder.State)
	case seen.Liveness == plan.LivenessSilent:
		return gone, holder.Name + " is silent"
	case !e.CanHold(holder):
		return gone, holder.Name + " cannot hold it any more"
	case seen.Liveness == plan.LivenessRefused && seen.For >= RefusedFor:
		return leaves, "the agent of " + holder.Name + " is down"
	case seen.Leaving:
		return leaves, "the agent of " + holder.Name + " is being stopped"
	case p.fails(e, holder) != nil && p.in.Now >= e.Since.Add(SettleFor):
		return leaves, holder.Name + " cannot hold it: " + p.fails(e, holder).Why
	case holder.Draining():
		return leaves, holder.Name + " is to be emptied"
	case holder.Cordon != nil:
		return leaves, holder.Name + " is cordoned"
	}
	return fits, ""
}

// watch looks again at a holder whose agent is down when it has been for too long.
func (p *planner) watch(e *fleet.EntryAddress, holder *fleet.Host) {
	if seen := p.in.Liveness.Of(holder.ID); seen.Liveness == plan.LivenessRefused {
		p.out.WakeAt(p.in.Now.Add(RefusedFor-seen.For), fleet.EntryAddressSubject(e.Name()))
	}
}

func (p *planner) seen(h *fleet.Host) plan.Liveness { return p.in.Liveness.Of(h.ID).Liveness }

// relaying reports whether connections of an earlier move still go on.
func (p *planner) relaying(e *fleet.EntryAddress) bool {
	return e.Former != "" && p.in.Now < e.FormerUntil
}

func (p *planner) leaving(h *fleet.Host) bool { return p.in.Liveness.Of(h.ID).Leaving }

// trouble is what a host says that it has with an address; nil: nothing.
func (p *planner) trouble(e *fleet.EntryAddress, h *fleet.Host) *plan.EntryTrouble {
	all := p.in.Liveness.Of(h.ID).Troubles
	for i := range all {
		if all[i].Addr == e.Prefix.Addr() {
			return &all[i]
		}
	}
	return nil
}

// fails is the trouble that another host would not have: no neighbour's.
func (p *planner) fails(e *fleet.EntryAddress, h *fleet.Host) *plan.EntryTrouble {
	if t := p.trouble(e, h); t != nil && t.Other == "" {
		return t
	}
	return nil
}

// mayReturn reports whether the former holder can have the address again, whose
// connections from before the move are its own then.
func (p *planner) mayReturn(e *fleet.EntryAddress) bool {
	former := p.in.State.Host(e.Former)
	return p.relaying(e) && former != nil && p.isOpen(former) && e.CanHold(former)
}

// relayUntil is until when the holder is to be the former one; 0 where another still is,
// since there is one at most.
func (p *planner) relayUntil(e *fleet.EntryAddress) fleet.Time {
	if p.relaying(e) && !p.mayReturn(e) {
		return 0
	}
	return p.in.Now.Add(RelayFor)
}

// give moves the address to the best other host, and says so where there is none.
func (p *planner) give(e *fleet.EntryAddress, why string, relayUntil fleet.Time) {
	if p.out.Full() {
		return
	}
	best := p.best(e)
	if p.mayReturn(e) {
		best = p.in.State.Host(e.Former)
	}
	if best == nil {
		if e.Former != "" && !p.relaying(e) {
			p.assign(e, e.Holder, 0, "")
		}
		p.out.SetCondition(p.in, By, fleet.PutCondition{
			Subject: fleet.EntryAddressSubject(e.Name()), Code: plan.CodeNoEntryHost,
			Message: fmt.Sprintf("%s, and no other host can: want one that is ready, heard, not cordoned, in %s", why,
				e.Prefix.Masked()),
		})
		return
	}
	p.out.ClearCondition(p.in, By, fleet.EntryAddressSubject(e.Name()))
	if p.relaying(e) && relayUntil == 0 && p.endsRelay(e) {
		p.assign(e, e.Holder, 0, "")
		relayUntil = p.in.Now.Add(RelayFor)
	}
	p.assign(e, best.ID, relayUntil, why)
}

// endsRelay: what began at a holder that leaves is more, and newer, than what still goes on
// at the one before it, and there is one former holder at most.
func (p *planner) endsRelay(e *fleet.EntryAddress) bool {
	holder := p.in.State.Host(e.Holder)
	return holder != nil && p.seen(holder) == plan.LivenessAlive && p.leaving(holder)
}

func (p *planner) assign(e *fleet.EntryAddress, to fleet.HostID, relayUntil fleet.Time, why string) {
	p.count(e.Holder, -1)
	p.count(to, 1)
	p.out.Add(fleet.Item{By: By, Command: fleet.AssignEntryAddress{
		Addr: e.Prefix.Addr(), ExpectedHolder: e.Holder, Holder: to, FormerUntil: relayUntil, Why: why,
	}})
}

// stay keeps the holder: what is left of a former one ends, and a holder with more than
// its share hands over when all is quiet.
func (p *planner) stay(e *fleet.EntryAddress, holder *fleet.Host) {
	p.tell(e, holder)
	if p.out.Full() {
		return
	}
	if e.Former != "" {
		if p.relaying(e) && !p.dead(e.Former) {
			p.out.WakeAt(e.FormerUntil, fleet.EntryAddressSubject(e.Name()))
			return
		}
		p.assign(e, e.Holder, 0, "")
		return
	}
	if p.seen(holder) != plan.LivenessAlive || holder.ID != p.leader && p.held[holder.ID] < 2 {
		return // as nearly always: hosts are not looked at
	}
	best := p.best(e)
	if best == nil || p.starved(best) {
		return
	}
	why := ""
	switch {
	case holder.ID == p.leader && best.ID != p.leader:
		why = holder.Name + " leads: its death would cost an election first"
	case best.ID != p.leader && p.held[holder.ID] > p.held[best.ID]+1:
		why = fmt.Sprintf("%s holds %d, %s %d", holder.Name, p.held[holder.ID], best.Name, p.held[best.ID])
	default:
		return
	}
	if quietAt := e.Since.Add(SettleFor); p.in.Now < quietAt {
		p.out.WakeAt(quietAt, fleet.EntryAddressSubject(e.Name()))
		return
	}
	p.assign(e, best.ID, p.in.Now.Add(RelayFor), why)
}

// tell says what trouble the holder has with the address. What failed is tried elsewhere
// after a while; a neighbour that has the address has it wherever we hold it.
func (p *planner) tell(e *fleet.EntryAddress, holder *fleet.Host) {
	subject := fleet.EntryAddressSubject(e.Name())
	t := p.trouble(e, holder)
	switch {
	case t == nil:
		p.out.ClearCondition(p.in, By, subject)
	case t.Other != "":
		p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeEntryConflict,
			Message: fmt.Sprintf("a neighbour of %s with the link address %s says that %s is its own, and %s leaves it to it: "+
				"take it from that machine, or take another entry address", holder.Name, t.Other, e.Name(), holder.Name)})
	default:
		p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeEntryFailed,
			Message: holder.Name + " cannot hold it: " + t.Why})
		p.out.WakeAt(e.Since.Add(SettleFor), subject)
	}
}

// dead reports whether a former holder can serve nobody any more.
func (p *planner) dead(id fleet.HostID) bool {
	h := p.in.State.Host(id)
	return h == nil || h.State != fleet.HostReady || p.seen(h) == plan.LivenessSilent
}

func (p *planner) starved(h *fleet.Host) bool { return p.in.Liveness.Of(h.ID).Starved }

// best is the host, other than the holder, that may be given the address; nil where there
// is none. One that is not starved comes first, though a starved one is better than nobody;
// then one that does not lead, since with a leader would die who moves the address; then the
// one with the fewest addresses, in the zone with the fewest, no voter.
func (p *planner) best(e *fleet.EntryAddress) *fleet.Host {
	if p.open == nil {
		p.open = []*fleet.Host{}
		for h := range p.in.State.Hosts() {
			if p.isOpen(h) {
				p.open = append(p.open, h)
			}
		}
	}
	var best *fleet.Host
	for _, h := range p.open {
		if h.ID != e.Holder && e.CanHold(h) && (best == nil || p.compare(h, best) < 0) {
			best = h
		}
	}
	return best
}

// isOpen reports whether a host may be given an address, whatever its subnet.
func (p *planner) isOpen(h *fleet.Host) bool {
	return h.Placeable() && p.seen(h) == plan.LivenessAlive && !p.leaving(h)
}

func (p *planner) compare(a, b *fleet.Host) int {
	return cmp.Or(
		first(!p.starved(a), !p.starved(b)),
		first(a.ID != p.leader, b.ID != p.leader),
		cmp.Compare(p.held[a.ID], p.held[b.ID]),
		cmp.Compare(p.zones[a.Zone], p.zones[b.Zone]),
		first(p.in.State.VoterOf(a.ID) == nil, p.in.State.VoterOf(b.ID) == nil),
		cmp.Compare(a.ID, b.ID))
}

// first puts what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
