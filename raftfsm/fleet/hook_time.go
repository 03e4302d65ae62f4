package fleet

import (
	"slices"
	"time"
)

// defaultHookTime is how long a hook may take where it does not say. Source: ECS API,
// DeploymentLifecycleHook (timeoutInMinutes).
const defaultHookTime = 24 * time.Hour

// probeTime is how long the probe may take.
const probeTime = 10 * time.Minute

// lateHand is how late a first call must be handed for its time to begin anew: most are
// within some milliseconds, and need no write.
const lateHand = time.Second

// hookTime is how long a hook may take at one stage, all calls together, from the first call.
func (c *DeploymentConfig) hookTime(name string) time.Duration {
	hook := c.Hook(name)
	switch {
	case hook == nil:
		return probeTime
	case hook.TimeoutS > 0:
		return time.Duration(hook.TimeoutS) * time.Second
	}
	return defaultHookTime
}

// handedCall begins the time of a hook when its first call is handed to somebody: until then
// it was asked nothing.
func (s *State) handedCall(x *applyContext, e *Effect) {
	if e.Attempt != 1 || e.Subject.Kind != SubjectService || x.now.Sub(e.CreatedAt) < lateHand {
		return
	}
	d := s.LiveDeployment(e.Subject.Name)
	if d == nil {
		return
	}
	at := slices.IndexFunc(d.Hooks, func(r HookRun) bool { return r.Effect == e.ID && r.Open() })
	if at < 0 || d.Hooks[at].Calls > 1 || d.Hooks[at].Task != "" {
		return
	}
	n := *d
	n.Hooks = slices.Clone(d.Hooks)
	r := &n.Hooks[at]
	r.ExpiresAt = max(r.ExpiresAt, x.now.Add(n.Config.hookTime(r.Hook)))
	s.putDeployment(x, n)
}

// extendHooks adds the time that the fleet was without a leader to that of all hooks that have
// no verdict: nobody could call them, hear them, or continue them meanwhile.
func (s *State) extendHooks(x *applyContext, without time.Duration) {
	for _, d := range filter(s.LiveDeployments(), (*Deployment).awaitsHook) {
		n := *d
		n.Hooks = slices.Clone(d.Hooks)
		for i := range n.Hooks {
			if r := &n.Hooks[i]; r.Open() {
				r.ExpiresAt = r.ExpiresAt.Add(min(without, x.now.Sub(r.BeganAt)))
			}
		}
		s.putDeployment(x, n)
	}
}

func (d *Deployment) awaitsHook() bool {
	return slices.ContainsFunc(d.Hooks, func(r HookRun) bool { return r.Open() })
}
