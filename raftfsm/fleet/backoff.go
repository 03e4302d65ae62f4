package fleet

import (
	"fmt"
	"time"
)

// Crash back-off. A start failed when its task ended by itself without having
// been RUNNING for LastingRun. Failures of one round count once: only a task
// made after the last back-off ended makes the next one, of double length. A
// task of the newest round that lasts, or a new revision, starts afresh. (ECS
// throttles only tasks that never reach RUNNING, up to 27 minutes: ECS guide, service throttle logic;
// a container that starts and exits at once deserves the same.)
const (
	LastingRun  = 10 * time.Second
	BackoffBase = time.Second
	BackoffCap  = 5 * time.Minute // of a crash loop
)

// backoff is the pause after n failed rounds, n from 1.
func backoff(n int) time.Duration {
	pause := BackoffBase
	for ; n > 1 && pause < BackoffCap; n-- {
		pause *= 2
	}
	return min(pause, BackoffCap)
}

// NotBefore is when the next task of a revision of the service may be started; 0: at once.
func (s *State) NotBefore(v *Service, revision RevisionID) Time {
	if revision == v.Revision {
		return v.NotBefore
	}
	if r := s.Revision(revision); r != nil && r.Starts != nil {
		return r.Starts.NotBefore
	}
	return 0
}

// noteStartsOf is what is known of a revision that is not its service's current one: it is blue,
// or green after a rollback. While neither is started nobody asks.
func (s *State) noteStartsOf(x *applyContext, t *Task, failure string) {
	old := s.Revision(t.Revision)
	var starts RevisionStarts
	switch {
	case old == nil || old.Starts == nil && failure == "":
		return
	case old.Starts != nil:
		starts = *old.Starts
	}
	if t.CreatedAt < starts.NotBefore {
		return // of an earlier round
	}
	r := *old
	if r.Starts = nil; failure != "" {
		starts.Failures++
		starts.NotBefore, starts.LastFailure = x.now.Add(backoff(starts.Failures)), failure
		r.Starts = &starts
	}
	s.revisions.Set(itemOfRevision(&r))
	x.touch(ServiceSubject(t.Service))
}

// ofRound reports whether the task was made in the newest round of starts of
// its service's current revision.
func (v *Service) ofRound(t *Task) bool {
	return t.Revision == v.Revision && t.CreatedAt >= v.NotBefore
}

// noteFailedStart counts a failure of a task that just ended by itself.
func (s *State) noteFailedStart(x *applyContext, t *Task, why string) {
	old := s.Service(t.Service)
	if old == nil || old.Status != ServiceActive {
		return
	}
	why = clip(fmt.Sprintf("task %s: %s", t.ID.short(), why), MaxReason)
	if t.Revision != old.Revision {
		if g := s.Goals(t.Service); g != nil && s.format() >= formatOfRoutes {
			if _, started := g.Of(t.Revision); started {
				s.noteStartsOf(x, t, why)
			}
		}
		return
	}
	if !old.ofRound(t) {
		return
	}
	v := *old
	failed, _ := s.FailedStarts(old, x.now)
	v.Failures = failed + 1
	v.NotBefore = x.now.Add(backoff(v.Failures))
	v.LastFailure = why
	s.noteStarts(x, v)
}

// noteLastingStart forgets failures once a task of the newest round lasted.
func (s *State) noteLastingStart(x *applyContext, t *Task) {
	old := s.Service(t.Service)
	if old != nil && t.Revision != old.Revision {
		s.noteStartsOf(x, t, "")
		return
	}
	if old == nil || old.Failures == 0 || !old.ofRound(t) {
		return
	}
	v := *old
	v.Failures, v.NotBefore, v.LastFailure = 0, 0, ""
	s.noteStarts(x, v)
}

// FailedStarts is how many rounds of starts of a service have failed in a row, and
// when a task of the newest round will have lasted if it goes on (0 where none
// runs). Once it has, they are 0 in a row, though nothing was reported since.
func (s *State) FailedStarts(v *Service, now Time) (rounds int, over Time) {
	if v.Failures == 0 {
		return 0, 0
	}
	for t := range s.LiveTasksOfService(v.Name) {
		if t.Last != TaskRunning || !v.ofRound(t) {
			continue
		}
		if lasts := t.StartedAt.Add(LastingRun); over == 0 || lasts < over {
			over = lasts
		}
	}
	if over != 0 && over <= now {
		return 0, over
	}
	return v.Failures, over
}

// lasted reports whether a running task has been RUNNING for LastingRun.
func (t *Task) lasted(now Time) bool {
	return t.Last == TaskRunning && now.Sub(t.StartedAt) >= LastingRun
}
