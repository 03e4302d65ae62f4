package ingress

import (
	"context"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/route"
)

// keepEvery is how often the keeper looks while there is something to look at.
const keepEvery = 250 * time.Millisecond

// keep opens ports that could not be opened, tries targets that were taken out, and closes
// what has been idle for too long. It sleeps while there is none of that.
func (e *Engine) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.nudge:
		case <-timer.C:
		}
		// Set before the look: what comes after the look has begun finds it unset, or is seen.
		e.keeping.Store(false)
		if e.keepOnce() {
			e.keeping.Store(true)
			timer.Reset(keepEvery)
		}
	}
}

func (e *Engine) wakeKeeper() {
	select {
	case e.nudge <- struct{}{}:
	default:
	}
}

// keepOnce reports whether there is more to do.
func (e *Engine) keepOnce() bool {
	mono := e.config.Clock.Mono()
	more := e.keepListeners(mono)
	more = e.memory.Trim(mono) || more
	for _, t := range e.memory.Targets() {
		ejection := t.Ejected()
		if ejection == nil {
			continue
		}
		more = true
		if mono >= ejection.Next && !t.Leaving() {
			e.try(t)
		}
	}
	return more
}

func (e *Engine) keepListeners(mono time.Duration) (more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed && mono >= e.rebindAt {
		e.rebindAt = mono + rebindEvery
		for _, l := range e.listeners {
			_ = l.bind() // its failure is in Status
		}
	}
	for _, l := range e.listeners {
		if _, bound := l.bound(); !bound {
			more = true
		}
	}
	if mono >= e.claimBy {
		e.giveUpInherited()
	}
	more = more || len(e.inherited) > 0
	if e.leaves {
		for _, l := range e.listeners {
			more = l.closeIdle(mono) > 0 || more
		}
	}
	for l := range e.leaving {
		if l.closeIdle(mono) > 0 {
			more = true
		} else {
			delete(e.leaving, l)
		}
	}
	return more
}

// try connects to a target that was taken out, and lets it in again if that succeeds.
func (e *Engine) try(t *route.Target) {
	if !t.Trying() {
		return
	}
	e.running.Go(func() {
		defer t.Tried()
		ctx, cancel := context.WithTimeout(e.ctx, connectTimeout)
		defer cancel()
		conn, err := t.Pool.Dial(ctx)
		if e.ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Eject(e.config.Clock.Now(), e.config.Clock.Mono(), err.Error())
			return
		}
		t.Pool.Put(conn, e.config.Clock.Mono())
		t.Readmit(e.config.Clock.Mono())
		e.refresh(t.Group)
		e.config.Log.Info("target readmitted", "group", string(t.Group), "task", string(t.Noun.Task),
			"address", t.Noun.Addr.String())
	})
}

// eject takes a target out that could not be connected to.
func (e *Engine) eject(t *route.Target, err error) {
	if t.Leaving() || e.ctx.Err() != nil {
		return
	}
	if t.Eject(e.config.Clock.Now(), e.config.Clock.Mono(), err.Error()) {
		e.config.Log.Warn("target ejected", "group", string(t.Group), "task", string(t.Noun.Task),
			"address", t.Noun.Addr.String(), "err", err)
	}
	e.refresh(t.Group)
	e.wakeKeeper()
}

func (e *Engine) refresh(name fleet.TargetGroupName) {
	if g := e.table.Load().Groups[name]; g != nil {
		g.Refresh()
	}
}

// tidy makes sure that what was just put into a pool is closed some day.
func (e *Engine) tidy() {
	if !e.keeping.Load() {
		e.wakeKeeper()
	}
}
