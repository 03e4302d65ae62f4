package sim

import (
	"slices"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
)

// stream is a host's stream of wanted state, at its voter's end. It holds no
// queue: one frame is under way, and the next is what differs by then.
type stream struct {
	voter   *agent
	to      *agent
	attempt uint64
	session uint64

	begun  bool
	epoch  uint64
	index  uint64 // of the last frame sent
	sent   map[fleet.TaskID]wantedVersion
	defs   map[fleet.TaskDefID]bool
	flying bool
	dirty  bool
	closed bool
}

// wantedVersion is what may change of a wanted task.
type wantedVersion struct {
	modifyIndex   uint64
	desired, last fleet.TaskStatus
	stopAfterMs   int64
	graceS        int
}

// resendFrame is how long a frame may be under way before it is sent again: TCP
// would do the same.
const resendFrame = 250 * time.Millisecond

// push sends what differs from what was sent, if nothing is under way.
func (s *stream) push() {
	switch {
	case s.closed || s.voter.node == nil:
		return
	case s.flying:
		s.dirty = true
		return
	}
	w := s.voter.node.State().Wanted(s.to.id)
	if h := s.voter.node.State().Host(s.to.id); w.Session != s.session || h.State == fleet.HostLost {
		s.end(fleet.ErrOldSession)
		return
	}
	f, any := s.frame(w)
	if !any {
		return
	}
	s.flying, s.dirty = true, false
	s.send(f)
}

// send sends a frame until it has been taken.
func (s *stream) send(f converge.Frame) {
	if s.closed || s.voter.life.Over() {
		return
	}
	a := s.to
	s.voter.w.net.Send(s.voter.id, a.id, func() {
		if !s.flying || s.closed || a.life.Over() {
			return
		}
		err := a.link.frame(s, f)
		s.staleAgain(f)
		a.w.net.Send(a.id, s.voter.id, func() { s.taken(f, err) })
	})
	s.voter.life.After(resendFrame, func() {
		if s.flying && s.index == f.Index && !s.closed {
			s.send(f)
		}
	})
}

// staleAgain delivers a frame once more, when it is old.
func (s *stream) staleAgain(f converge.Frame) {
	w, a := s.voter.w, s.to
	if !w.chance.Is(w.cfg.Tuning.StaleFrame) {
		return
	}
	a.life.After(w.chance.Between(time.Second, time.Minute), func() {
		w.sometimes("an old frame comes again")
		_ = a.link.deliver(f) // a refusal is what is hoped for
	})
}

// taken goes on after a frame, at the voter.
func (s *stream) taken(f converge.Frame, err error) {
	if s.closed || !s.flying || s.index != f.Index {
		return
	}
	s.flying = false
	if err != nil {
		s.end(err)
		return
	}
	if s.voter.w.chance.Is(s.voter.w.cfg.Tuning.StreamCut) {
		s.voter.w.sometimes("a stream breaks after a frame")
		s.end(errNoAnswer)
		return
	}
	if s.dirty {
		s.push()
	}
}

// end ends the stream and tells the host why.
func (s *stream) end(why error) {
	s.close()
	s.voter.w.detectors.Cut(s.to.id, s.voter.id)
	a := s.to
	s.voter.w.net.Send(s.voter.id, a.id, func() {
		if !a.life.Over() && a.link.stream == s {
			a.link.lose(why, 0)
		}
	})
	// If that word gets lost, the silence tells.
	a.life.After(voterSilence, a.link.look)
}

func (s *stream) close() {
	if !s.closed {
		s.closed = true
		s.voter.serves.forget(s)
	}
}

// frame makes the frame that brings the host from what was sent to w; any is
// false when there is nothing to say.
func (s *stream) frame(w fleet.Wanted) (f converge.Frame, any bool) {
	f = converge.Frame{Fleet: w.Fleet, Epoch: w.Epoch, Index: w.Index, Session: w.Session, LeaderAge: s.voter.leaderAge()}
	if !s.begun || s.epoch != w.Epoch {
		s.begun, s.epoch = true, w.Epoch
		s.sent, s.defs = map[fleet.TaskID]wantedVersion{}, map[fleet.TaskDefID]bool{}
		f.Complete, f.Tasks, f.TaskDefs = true, w.Tasks, w.TaskDefs
		s.remember(w)
		return f, true
	}
	f.Since = s.index
	for i := range w.Tasks {
		if t := &w.Tasks[i]; s.sent[t.ID] != markOf(t) {
			f.Tasks = append(f.Tasks, *t)
		}
	}
	listed := make(map[fleet.TaskID]bool, len(w.Tasks))
	for i := range w.Tasks {
		listed[w.Tasks[i].ID] = true
	}
	for id := range s.sent {
		if !listed[id] {
			f.Removed = append(f.Removed, id)
		}
	}
	slices.Sort(f.Removed)
	for _, def := range w.TaskDefs {
		if !s.defs[def.ID] {
			f.TaskDefs = append(f.TaskDefs, def)
		}
	}
	if len(f.Tasks)+len(f.Removed) == 0 {
		return f, false
	}
	s.remember(w)
	return f, true
}

func (s *stream) remember(w fleet.Wanted) {
	s.index = w.Index
	clear(s.sent)
	for i := range w.Tasks {
		s.sent[w.Tasks[i].ID] = markOf(&w.Tasks[i])
	}
	clear(s.defs)
	for _, def := range w.TaskDefs {
		s.defs[def.ID] = true
	}
}

func markOf(t *fleet.WantedTask) wantedVersion {
	return wantedVersion{modifyIndex: t.ModifyIndex, desired: t.Desired, last: t.Last, stopAfterMs: t.StopAfterMs, graceS: t.GraceS}
}
