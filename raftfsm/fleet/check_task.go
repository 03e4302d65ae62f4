package fleet

// checkTasks checks all tasks.
func (s *State) checkTasks(b *violations) {
	defs, hosts, revisions := newLookup(s.defFacts), newLookup(s.Host), newLookup(s.revisionFacts)
	for t := range s.Tasks() {
		s.checkTask(b, t, defs.get(t.TaskDef), hosts.get(t.Host), revisions.get(t.Revision))
	}
}

// checkTaskRow checks one task.
func (s *State) checkTaskRow(b *violations, t *Task) {
	s.checkTask(b, t, s.defFacts(t.TaskDef), s.Host(t.Host), s.revisionFacts(t.Revision))
}

// checkTask checks a task by itself, and that what it names is there. A table
// rather than calls: reading a snapshot checks a million of them.
func (s *State) checkTask(b *violations, t *Task, def defFacts, host *Host, revision revisionFacts) {
	live := t.Service != "" && !t.Stopped()
	named := revision.there && (t.Service == revision.service || s.Service(t.Service) != nil)
	for _, rule := range [...]struct {
		holds bool
		text  string
	}{
		{def.there, "its task definition is there"},
		{t.Desired == TaskRunning || t.Desired == TaskStopped, "it is to be RUNNING or STOPPED"},
		{t.Last >= TaskProvisioning && t.Last <= TaskStopped, "its status is one"},
		{t.Last <= TaskRunning || t.Desired == TaskStopped, "past RUNNING it is to stop"},
		{t.Stopped() == (t.StoppedAt != 0), "it has a time of stop when it is STOPPED"},
		{(t.Desired == TaskStopped) == (t.StoppingAt != 0), "it has a time of stopping when it is to stop"},
		{t.Stop == nil || t.Desired == TaskStopped && t.Stop.Cause.Known(), "a cause of its stop is one, and it is to stop"},
		{t.Replace == nil || t.Service != "" && t.Replace.Cause.Known(), "to be replaced, it is a service's and has a cause"},
		{!t.Unconfirmed || t.Stopped() && t.Host != "", "unconfirmed it is STOPPED and has a host"},
		{(t.Host == "") == (t.AssignedAt == 0), "it has a time of assignment when it has a host"},
		{t.Host != "" || t.Stopped() || t.Last == TaskProvisioning && t.Desired == TaskRunning,
			"without a host it is PROVISIONING or STOPPED"},
		{t.ModifyIndex <= s.index, "it did not change after the index"},
		{t.Service == revision.service, "its revision is one of its service"},
		{!t.Held() || host != nil && host.State != HostForgotten, "its host is there"},
		{!t.Held() || host == nil || t.Session <= host.Session.N, "its session began"},
		{!live || named, "its service and revision are there"},
		{!def.there || t.Host == "" || len(t.Ports) == def.ports, "it has a port for each mapping"},
	} {
		if !rule.holds {
			b.add("task %s: broken: %s: %+v", t.ID, rule.text, *t)
		}
	}
	s.checkTargets(b, t)
}

// portCount is how many ports a task of the definition has.
func (d *TaskDef) portCount() int {
	n := 0
	for i := range d.Containers {
		n += len(d.Containers[i].PortMappings)
	}
	return n
}
