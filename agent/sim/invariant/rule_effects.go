package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// effect is something that is to be done outside the log, as its commands have it.
type effect struct {
	id       fleet.EffectID
	tries    int // that may have begun
	most     int
	ended    bool
	handed   bool // an attempt is under way
	attempts []attempt
}

// attempt is one that was handed to a host; the first is number 1.
type attempt struct {
	host  fleet.HostID
	begun bool
	over  bool // a verdict is committed that only its host can know, or that it never began
}

// fence is how new the leader of a request is.
type fence struct{ epoch, index uint64 }

func (f fence) before(o fence) bool {
	return f.epoch < o.epoch || f.epoch == o.epoch && f.index < o.index
}

// EffectRun is an attempt at an effect that begins on a host, for a leader.
type EffectRun struct {
	Host         fleet.HostID
	Session      uint64 // in which it was handed to the host
	ID           fleet.EffectID
	Attempt      int
	Epoch, Index uint64 // of the leader
}

// EffectHeard says that a host has taken a leader's request, whatever came of it.
func (c *Checker) EffectHeard(host fleet.HostID, n, epoch, index uint64) {
	k := session{host, n}
	if f := (fence{epoch, index}); c.fences[k].before(f) {
		c.fences[k] = f
	}
}

// EffectBegun says that a host begins an attempt.
func (c *Checker) EffectBegun(r EffectRun) {
	e := c.model.effects[r.ID]
	known := e != nil && r.Attempt >= 1 && r.Attempt <= len(e.attempts) && e.attempts[r.Attempt-1].host == r.Host
	if !c.hold(effectIntended, known, func() string {
		return fmt.Sprintf("%s begins attempt %d of effect %s, which nobody has handed to it", r.Host, r.Attempt, r.ID)
	}) {
		return
	}
	f := fence{r.Epoch, r.Index}
	c.hold(effectFenced, !f.before(c.fences[session{r.Host, r.Session}]), func() string {
		return fmt.Sprintf("%s begins attempt %d of effect %s for a leader of index %d, and has heard one of %d",
			r.Host, r.Attempt, r.ID, r.Index, c.fences[session{r.Host, r.Session}].index)
	})
	a := &e.attempts[r.Attempt-1]
	c.hold(effectOnce, !a.begun && !a.over, func() string {
		return fmt.Sprintf("%s begins attempt %d of effect %s (begun before: %v, its outcome is committed: %v)",
			r.Host, r.Attempt, r.ID, a.begun, a.over)
	})
	a.begun = true
}

// applyEffect is apply for commands about effects.
func (c *Checker) applyEffect(item *fleet.Item) {
	switch cmd := item.Command.(type) {
	case fleet.IntendEffect:
		c.intend(cmd)
	case fleet.HandEffect:
		c.handEffect(cmd)
	case fleet.FinishEffect:
		c.finishEffect(cmd)
	case fleet.WithdrawEffect:
		if e := c.model.effects[cmd.ID]; c.open(e, "withdraws", 0) {
			e.ended, e.handed = true, false
		}
	default:
		if kind := cmd.Kind(); !notModelled[kind] {
			panic(fmt.Sprintf("%s is a new kind of command: have the model follow it, or name it in notModelled", kind))
		}
	}
}

// open judges a command about an effect: it must be there and not have ended.
func (c *Checker) open(e *effect, what string, attempt int) bool {
	return c.hold(effectEndsOnce, e != nil && !e.ended, func() string {
		return fmt.Sprintf("a command that is not refused %s attempt %d of an effect that is not open: %+v", what, attempt, e)
	})
}

func (c *Checker) handEffect(cmd fleet.HandEffect) {
	e := c.model.effects[cmd.ID]
	if !c.open(e, "hands", cmd.Attempt) {
		return
	}
	c.hold(effectEndsOnce, !e.handed && cmd.Attempt == len(e.attempts)+1 && e.tries < e.most, func() string {
		return fmt.Sprintf("attempt %d of effect %s is handed after %d, one under way: %v; %d of %d tries",
			cmd.Attempt, cmd.ID, len(e.attempts), e.handed, e.tries, e.most)
	})
	e.handed = true
	e.tries++
	e.attempts = append(e.attempts, attempt{host: cmd.Host})
}

func (c *Checker) finishEffect(cmd fleet.FinishEffect) {
	e := c.model.effects[cmd.ID]
	if !c.open(e, "finishes", cmd.Attempt) {
		return
	}
	expires := cmd.Verdict == fleet.VerdictExpired
	if !c.hold(effectEndsOnce, cmd.Attempt == len(e.attempts) && (e.handed || expires), func() string {
		return fmt.Sprintf("attempt %d of effect %s is %s, the newest is %d, under way: %v",
			cmd.Attempt, cmd.ID, cmd.Verdict, len(e.attempts), e.handed)
	}) {
		return
	}
	e.handed = false
	if expires {
		e.ended = true
		return
	}
	a := &e.attempts[cmd.Attempt-1]
	switch cmd.Verdict {
	case fleet.VerdictNotBegun:
		c.hold(effectOnce, !a.begun, func() string {
			return fmt.Sprintf("attempt %d of effect %s is said not to have begun, and has", cmd.Attempt, cmd.ID)
		})
		e.tries--
		a.over = true
	case fleet.VerdictUnknown: // its host may be late
	default:
		a.over = true
	}
	e.ended = cmd.Verdict == fleet.VerdictDone || cmd.Verdict == fleet.VerdictFailed || e.tries >= e.most
}

// pruneEffects drops what State dropped: only effects that have ended.
func (c *Checker) pruneEffects(after *fleet.State) {
	for id, e := range c.model.effects {
		if after.Effect(id) == nil {
			c.hold(effectEndsOnce, e.ended, func() string { return fmt.Sprintf("effect %s was pruned before it ended", id) })
			delete(c.model.effects, id)
		}
	}
}

// effectsAgree compares all effects with State's rows.
func (c *Checker) effectsAgree(s *fleet.State) error {
	for id, e := range c.model.effects {
		row := s.Effect(id)
		if row == nil || row.Open() == e.ended || row.Attempt != len(e.attempts) ||
			(row.Status == fleet.EffectHanded) != e.handed {
			return fmt.Errorf("effect %s: %+v, its commands say %+v", id, row, *e)
		}
	}
	return nil
}
