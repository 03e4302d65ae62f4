package fleet

import (
	"iter"
	"slices"
	"strings"
)

// PutHookTarget adds an entry to what hooks and alarms may name: see HookTarget. One that
// is there changes nothing.
type PutHookTarget struct {
	Target string `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (PutHookTarget) Kind() Kind { return KindPutHookTarget }

func (c PutHookTarget) apply(s *State, x *applyContext) ([]string, error) {
	if err := checkHookTarget("target", c.Target); err != nil {
		return nil, err
	}
	if get(s.hookTargets, c.Target) != nil {
		return []string{c.Target}, nil
	}
	if s.hookTargets.Len() >= MaxHookTargets {
		return nil, refuse(ErrLimit, "allow hook target %s: the fleet has %d", quoted(c.Target), MaxHookTargets)
	}
	s.hookTargets.Set(c.Target, &HookTarget{Target: c.Target, ModifyIndex: x.index})
	x.touch(Subject{Kind: SubjectHookTargets})
	s.recordEvent(x, Event{Code: "hook-target-allowed", Subject: Subject{Kind: SubjectHookTargets},
		Message: "hooks and alarms may name " + shownTarget(c.Target)})
	return []string{c.Target}, nil
}

// DeleteHookTarget takes an entry from what hooks and alarms may name; refused while a
// service, a live deployment or an alarm needs it.
type DeleteHookTarget struct {
	Target string `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (DeleteHookTarget) Kind() Kind { return KindDeleteHookTarget }

func (c DeleteHookTarget) apply(s *State, x *applyContext) ([]string, error) {
	old := get(s.hookTargets, c.Target)
	if old == nil {
		return nil, refuse(ErrNotFound, "hook target %s", quoted(c.Target))
	}
	s.hookTargets.Delete(c.Target)
	if user := s.needsHookTarget(old); user != "" {
		s.hookTargets.Set(c.Target, old)
		return nil, refuse(ErrConflict, "delete hook target %s: %s needs it", quoted(c.Target), user)
	}
	x.touch(Subject{Kind: SubjectHookTargets})
	s.recordEvent(x, Event{Code: "hook-target-deleted", Subject: Subject{Kind: SubjectHookTargets},
		Message: "hooks and alarms may not name " + shownTarget(c.Target) + " any more"})
	return nil, nil
}

// needsHookTarget names who needs a target that the allow-list lacks now; empty for nobody.
// Most need another, which one comparison tells: only what it allowed is looked up among all.
func (s *State) needsHookTarget(gone *HookTarget) string {
	for user, config := range s.deploymentConfigs() {
		for i := range config.Hooks {
			if h := &config.Hooks[i]; gone.allowsHook(h) && s.checkHookAllowed("", h) != nil {
				return user
			}
		}
	}
	for a := range s.Alarms() {
		if gone.allows(a.URL) && s.checkAllowed("", a.URL) != nil {
			return "alarm " + a.Name
		}
	}
	return ""
}

// deploymentConfigs yields how deployments of services are done, and how the live ones
// are, with who has it. O(services).
func (s *State) deploymentConfigs() iter.Seq2[string, *DeploymentConfig] {
	return func(yield func(string, *DeploymentConfig) bool) {
		for v := range s.Services() {
			if !yield("service "+v.Name, &v.Deployment) {
				return
			}
		}
		for d := range s.LiveDeployments() {
			if !yield("deployment "+string(d.ID), &d.Config) {
				return
			}
		}
	}
}

func (a *Alarms) names(alarm string) bool { return slices.Contains(a.Names, alarm) }

// taskTarget begins entries of the allow-list that are families of task definitions.
const taskTarget = "task:"

func checkHookTarget(at, v string) error {
	if family, is := strings.CutPrefix(v, taskTarget); is {
		return checkName(at, family, MaxName)
	}
	return checkURL(at, v)
}

// checkURL refuses what is no plain URL of a server: the allow-list compares texts, so a
// URL that says one thing in two ways is none.
func checkURL(at, v string) error {
	rest, secure := strings.CutPrefix(v, "https://")
	if !secure {
		var plain bool
		if rest, plain = strings.CutPrefix(v, "http://"); !plain {
			return field(at, "%s is no URL that begins with https:// or http://", quoted(v))
		}
	}
	if len(v) > maxURL {
		return field(at, "is %d bytes long: at most %d are allowed", len(v), maxURL)
	}
	authority, path, _ := strings.Cut(rest, "/")
	if authority == "" || strings.ContainsAny(authority, "@?#%\\") {
		return field(at, "%s has no plain host, such as hooks.example or hooks.example:8443", quoted(v))
	}
	for _, c := range []byte(v) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\\\"<>^`{|}#", c) >= 0 {
			return field(at, "%s holds %q, which has to be escaped", quoted(v), c)
		}
	}
	path, _, _ = strings.Cut(path, "?")
	for part := range strings.SplitSeq(strings.ToLower(path), "/") {
		if part == "." || part == ".." || strings.Contains(part, "%2e") || strings.Contains(part, "%2f") {
			return field(at, "%s leads up in its path", quoted(v))
		}
	}
	return nil
}

// checkAllowed refuses a URL that no entry of the allow-list is the beginning of.
func (s *State) checkAllowed(at, url string) error {
	for h := range s.HookTargets() {
		if h.allows(url) {
			return nil
		}
	}
	return field(at, "%s is not among the allowed hook targets; who may call it adds it first: skein hook-target allow %s",
		quoted(url), clip(url, 128))
}

// CheckHookURL refuses a URL that hooks and alarms may not name now: who calls it asks
// again, since the allow-list may have changed.
//
// The refusal is kept and shown to all, so it names the server and not the URL, which may
// hold a secret.
func (s *State) CheckHookURL(url string) error {
	if s.checkAllowed("", url) == nil {
		return nil
	}
	return field("hookTargetArn", "%s is no longer among the allowed hook targets with its path; who may call it adds it "+
		"again: skein hook-target allow", quoted(shownTarget(url)))
}

// shownTarget is a target as all may see it: of a URL its server, since the path may be a secret.
func shownTarget(target string) string {
	scheme, rest, isURL := strings.Cut(target, "://")
	end := strings.IndexAny(rest, "/?#")
	if !isURL || end < 0 {
		return target
	}
	return scheme + "://" + rest[:end] + "/***"
}

// allows reports whether a URL begins with the entry, which ends where a part of the URL
// does: https://a.example allows https://a.example/x and not https://a.example.org. A server
// without a path is asked for /, so that both ways to write it are one.
func (h *HookTarget) allows(url string) bool {
	url = withPath(url)
	rest, begins := strings.CutPrefix(url, h.Target)
	return begins && (rest == "" || strings.HasSuffix(h.Target, "/") || rest[0] == '/' || rest[0] == '?')
}

// withPath is a URL whose path is not empty.
func withPath(url string) string {
	scheme, rest, is := strings.Cut(url, "://")
	if end := strings.IndexAny(rest, "/?"); is && end < 0 {
		return url + "/"
	} else if is && rest[end] == '?' {
		return scheme + "://" + rest[:end] + "/" + rest[end:]
	}
	return url
}

// allowsHook reports whether the entry is one by which a hook may name its target.
func (h *HookTarget) allowsHook(hook *Hook) bool {
	switch {
	case hook.Webhook != nil:
		return h.allows(hook.Webhook.URL)
	case hook.Task != nil:
		return h.Target == hook.Task.allowedBy()
	}
	return false
}

// allowedBy is the entry of the allow-list that the task's family needs.
func (t *TaskHookTarget) allowedBy() string {
	family, _ := t.TaskDef.Split()
	return taskTarget + family
}

// checkHookAllowed refuses a hook whose target the allow-list has not.
func (s *State) checkHookAllowed(at string, h *Hook) error {
	if h.Webhook != nil {
		return s.checkAllowed(at+".hookTargetArn", h.Webhook.URL)
	}
	if h.Task == nil {
		return nil
	}
	if allowed := h.Task.allowedBy(); get(s.hookTargets, allowed) == nil {
		family, _ := h.Task.TaskDef.Split()
		return field(at+".hookTargetArn", "task family %s is not among the allowed hook targets; who may run it adds it "+
			"first: skein hook-target allow %s", quoted(family), clip(allowed, 128))
	}
	return nil
}
