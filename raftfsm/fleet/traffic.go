package fleet

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Listener returns a listener, or nil.
func (s *State) Listener(name ListenerName) *Listener { return get(s.listeners, name) }

// Listeners yields listeners by name.
func (s *State) Listeners() iter.Seq[*Listener] { return values(s.listeners) }

// Rule returns a rule, or nil.
func (s *State) Rule(id RuleID) *Rule { return get(s.rules, id) }

// RulesOf yields the rules of a listener by name.
func (s *State) RulesOf(listener ListenerName) iter.Seq[*Rule] {
	return func(yield func(*Rule) bool) {
		s.rules.Ascend(MakeRuleID(listener, ""), func(_ RuleID, r *Rule) bool { return r.Listener == listener && yield(r) })
	}
}

// Rules yields all rules by id.
func (s *State) Rules() iter.Seq[*Rule] { return values(s.rules) }

// TargetGroup returns a target group, or nil.
func (s *State) TargetGroup(name TargetGroupName) *TargetGroup { return get(s.groups, name) }

// TargetGroups yields target groups by name.
func (s *State) TargetGroups() iter.Seq[*TargetGroup] { return values(s.groups) }

// ServiceOfGroup is the service that names a target group; ok is false for none.
func (s *State) ServiceOfGroup(name TargetGroupName) (service string, ok bool) {
	return s.groupUsers.Get(name)
}

// ServiceOfRule is the service that names a rule; ok is false for none.
func (s *State) ServiceOfRule(id RuleID) (service string, ok bool) { return s.ruleUsers.Get(id) }

// RulesTo yields the rules that forward to a target group, by id. O(rules).
func (s *State) RulesTo(group TargetGroupName) iter.Seq[*Rule] {
	return func(yield func(*Rule) bool) {
		for r := range s.Rules() {
			if r.Action.forwardsTo(group) && !yield(r) {
				return
			}
		}
	}
}

func (a *Action) forwardsTo(group TargetGroupName) bool {
	return a.Forward != nil && slices.ContainsFunc(a.Forward.Groups, func(w GroupWeight) bool { return w.Group == group })
}

// forwardsAs reports whether two actions forward the same shares to the same groups.
func (a *Action) forwardsAs(b *Action) bool {
	return a.Forward != nil && b.Forward != nil && slices.Equal(a.Forward.Groups, b.Forward.Groups)
}

// ListenerAt returns the listener that takes a port of every host, or nil.
func (s *State) ListenerAt(port int) *Listener {
	name, has := s.listenerPorts.Get(port)
	if !has {
		return nil
	}
	return s.Listener(name)
}

// groupTask is a task in a target group.
type groupTask struct {
	group TargetGroupName
	task  *Task
}

func lessGroupTask(a, b groupTask) bool {
	if a.group != b.group {
		return a.group < b.group
	}
	return a.task.ID < b.task.ID
}

// lessGroupChange orders target groups by when they, or their targets, changed last.
func lessGroupChange(a, b *TargetGroup) bool {
	if am, bm := a.changedAt(), b.changedAt(); am != bm {
		return am < bm
	}
	return a.Name < b.Name
}

// changedAt is the log index of the last change of the group or of its targets.
func (g *TargetGroup) changedAt() uint64 { return max(g.ModifyIndex, g.TargetsModifyIndex) }

// groupsChangedAfter yields target groups that changed after an index of the log. It
// costs nothing for the others.
func (s *State) groupsChangedAfter(index uint64) iter.Seq[*TargetGroup] {
	return func(yield func(*TargetGroup) bool) {
		s.groupsByChange.Ascend(&TargetGroup{ModifyIndex: index + 1}, func(g *TargetGroup) bool { return yield(g) })
	}
}

// Targets are the targets of a group, by task: its tasks that run, where what is known
// lets them be reached. O(tasks in the group).
//
// A task is one from RUNNING on until it is STOPPED. Its host's checks say whether it is
// healthy; while it is to stop, or ends, it drains. On a host that is silent it is
// unhealthy: others come first, but where too few are left it is tried, since a host
// may be silent and its tasks well. It is none on a host that is lost, nor after its
// host's machine restarted, until it runs again. An agent that is down changes nothing.
func (s *State) Targets(group TargetGroupName) []Target {
	var list []Target
	var revision *Revision
	var host *Host
	s.targets.Ascend(groupTask{group, &Task{}}, func(i groupTask) bool {
		if i.group != group {
			return false
		}
		t := i.task
		if revision == nil || revision.ID != t.Revision {
			revision = s.Revision(t.Revision)
		}
		if host == nil || host.ID != t.Host {
			host = s.Host(t.Host)
		}
		if t.isTarget() && t.targetOn(host) {
			list = append(list, t.target(group, revision, host))
		}
		return true
	})
	return list
}

// InGroup yields the tasks not STOPPED that are, or will be, targets of a group, by id.
func (s *State) InGroup(group TargetGroupName) iter.Seq[*Task] {
	return func(yield func(*Task) bool) {
		s.targets.Ascend(groupTask{group, &Task{}}, func(i groupTask) bool { return i.group == group && yield(i.task) })
	}
}

// isTarget reports whether a task in a group is a target of it as far as its own row
// says.
func (t *Task) isTarget() bool { return t.Last >= TaskRunning && !t.Stopped() }

// targetOn reports whether a task may be there, where its host is at hand.
func (t *Task) targetOn(host *Host) bool {
	return host != nil && host.State != HostLost && host.State != HostForgotten && t.Session >= host.BootSession
}

// target is the task as a target of a group, which it is one of.
func (t *Task) target(group TargetGroupName, r *Revision, host *Host) Target {
	v := Target{
		Task: t.ID, Addr: netip.AddrPortFrom(host.Addr.Addr(), uint16(t.hostPort(r.binding(group)))), Revision: t.Revision,
		Host: host.ID, Zone: host.Zone,
	}
	told := t.Targets[t.targetIndex(group)]
	v.State, v.Since, v.Reason = told.State, told.Since, told.Reason
	switch {
	case t.Desired == TaskStopped:
		v.State, v.Since, v.Reason = TargetDraining, t.StoppingAt, t.Reason
	case !host.Reachable():
		v.State, v.Since, v.Reason = TargetUnhealthy, host.StateSince, "host "+host.Name+" is "+host.State.String()
	case v.State == TargetHealthy:
		v.Reason = ""
	}
	return v
}

// hostPort is the port of a task's host that leads to a container's port.
func (t *Task) hostPort(b GroupBinding) int {
	for _, p := range t.Ports {
		if p.Container == b.Container && p.ContainerPort == b.ContainerPort && p.Protocol == TCP {
			return p.HostPort
		}
	}
	return 0
}

// binding is how the revision's tasks are bound to one of its groups.
func (r *Revision) binding(group TargetGroupName) GroupBinding {
	for _, b := range r.Groups {
		if b.Group == group {
			return b
		}
	}
	return GroupBinding{}
}

// targetIndex is where a task has what is told of it in a group; -1 where it is in none.
func (t *Task) targetIndex(group TargetGroupName) int {
	return slices.IndexFunc(t.Targets, func(v TaskTarget) bool { return v.Group == group })
}

// newTargets are the targets of a revision's new tasks, which share them.
func (r *Revision) newTargets() []TaskTarget {
	var list []TaskTarget
	for _, b := range r.Groups {
		list = append(list, TaskTarget{Group: b.Group, State: TargetInitial})
	}
	return list
}

// targetsAre reports whether all of a task's targets are in a state; so are those of a
// task that is in no group.
func (t *Task) targetsAre(state TargetState) bool {
	return !slices.ContainsFunc(t.Targets, func(v TaskTarget) bool { return v.State != state })
}

// anyTarget reports whether one of a task's targets is in a state.
func (t *Task) anyTarget(state TargetState) bool {
	return slices.ContainsFunc(t.Targets, func(v TaskTarget) bool { return v.State == state })
}

// reportTargets takes in what a host says of a task's targets. What it leaves out stands,
// but begins anew where the task was started again.
func (t *Task) reportTargets(old *Task, said *TaskReport, now Time) {
	if len(t.Targets) == 0 {
		return
	}
	targets := slices.Clone(old.Targets)
	for i := range targets {
		is := &targets[i]
		if said.begins(old) && is.State != TargetInitial {
			*is = TaskTarget{Group: is.Group, State: TargetInitial, Since: now}
		}
		for _, r := range said.Targets {
			if r.Group != is.Group {
				continue
			}
			if r.State != is.State || is.Since == 0 {
				is.State, is.Since = r.State, now
			}
			is.Reason = clip(r.Reason, maxTargetReason)
		}
	}
	if !slices.Equal(targets, old.Targets) {
		t.Targets = targets
	}
}

// Matches reports whether the code of an answer, of HTTP or of gRPC, is one of a target
// that is well.
func (c *TargetCheck) Matches(protocol GroupProtocol, code int) bool {
	matcher := c.Matcher
	switch {
	case matcher != "":
	case protocol == GroupGRPC:
		matcher = "0"
	default:
		matcher = "200-399"
	}
	for part := range strings.SplitSeq(matcher, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		low, errLow := strconv.Atoi(from)
		high, errHigh := strconv.Atoi(to)
		if errLow == nil && errHigh == nil && low <= code && code <= high {
			return true
		}
	}
	return false
}

// Routes are all that the ingress of a host is to serve.
func (s *State) Routes() Routes {
	r := s.ruleTable()
	for g := range s.TargetGroups() {
		r.Groups = append(r.Groups, GroupTargets{*g, s.Targets(g.Name)})
	}
	return r
}

// Empty reports whether there is nothing to serve, nor to be served.
func (r Routes) Empty() bool { return len(r.Listeners)+len(r.Rules)+len(r.Groups) == 0 }

// ruleTable are the listeners, rules and services of Routes.
func (s *State) ruleTable() Routes {
	var r Routes
	for l := range s.Listeners() {
		r.Listeners = append(r.Listeners, *l)
	}
	for rule := range s.Rules() {
		r.Rules = append(r.Rules, *rule)
	}
	slices.SortStableFunc(r.Rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Order(), b.Order()))
	})
	r.Services = s.routedServices()
	return r
}

// Order is a rule's place among those of its listener.
func (r *Rule) Order() int {
	if r.ID.Default() {
		return MaxPriority + 1
	}
	return r.Priority
}
