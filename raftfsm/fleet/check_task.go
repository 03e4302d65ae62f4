package fleet

// checkTaskRow checks a task by itself, and that what it names is there. A table
// rather than calls: reading a snapshot checks a million of them.
func (s *State) checkTaskRow(b *violations, t *Task) {
	def, host := s.TaskDef(t.TaskDef), s.Host(t.Host)
	live := t.Service != "" && !t.Stopped()
	for _, rule := range [...]struct {
		holds bool
		text  string
	}{
		{def != nil, "its task definition is there"},
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
		{t.Service == serviceOf(t.Revision), "its revision is one of its service"},
		{!t.Held() || host != nil && host.State != HostForgotten, "its host is there"},
		{!t.Held() || host == nil || t.Session <= host.Session.N, "its session began"},
		{!live || s.Service(t.Service) != nil && s.Revision(t.Revision) != nil, "its service and revision are there"},
		{def == nil || t.Host == "" || len(t.Ports) == def.portCount(), "it has a port for each mapping"},
	} {
		if !rule.holds {
			b.add("task %s: broken: %s: %+v", t.ID, rule.text, *t)
		}
	}
}

// portCount is how many ports a task of the definition has.
func (d *TaskDef) portCount() int {
	n := 0
	for i := range d.Containers {
		n += len(d.Containers[i].PortMappings)
	}
	return n
}
