package invariant

import "skein/raftfsm/fleet"

// applyDeployment is apply for commands about deployments. Of those the model knows what
// they do to services, tasks and effects; rows tell which revision a service went back to
// and which calls of hooks were given up.
func (c *Checker) applyDeployment(e *Entry, item *fleet.Item) {
	switch cmd := item.Command.(type) {
	case fleet.AdvanceDeployment:
		c.model.traffic = true
		c.advances(cmd, e.Planned)
	case fleet.NoteDeployment:
		c.noted(cmd)
	case fleet.PutListener:
		c.written(e.After, fleet.MakeRuleID(cmd.Name, fleet.DefaultRule))
	case fleet.PutRule:
		c.written(e.After, cmd.ID)
	case fleet.DeleteRule:
		c.written(e.After, cmd.ID)
	case fleet.SetWeights:
		c.written(e.After, cmd.Rule)
	case fleet.BeginHook:
		c.callsHook(cmd)
		if cmd.Effect != nil {
			c.intend(*cmd.Effect)
		}
		if cmd.Task != nil {
			c.createTasks(cmd.Task.Tasks, nil, "", c.model.defs[cmd.Task.TaskDef])
		}
	case fleet.AskAlarm:
		c.intend(cmd.Effect)
	case fleet.FinishHook:
		if d := c.liveDeployment(cmd.ID, "finishes a hook of"); d != nil {
			c.answered(d, cmd)
			c.verdict(d, cmd.Run, cmd.Status)
		}
		c.giveUpCalls(e.After, cmd.ID)
	case fleet.RollBackDeployment:
		if d := c.liveDeployment(cmd.ID, "takes back"); d != nil {
			c.goesBack(d)
		}
		c.redirect(e.After, cmd.ID)
	case fleet.FinishDeployment:
		if d := c.liveDeployment(cmd.ID, "finishes"); d != nil {
			c.ends(d, cmd.Status)
		}
		c.redirect(e.After, cmd.ID)
	case fleet.OrderDeployment:
		c.ordered(cmd)
		c.redirect(e.After, cmd.ID)
	default:
		c.applyEffect(item)
	}
}

// bindNew takes in the groups of a service's new revision, and its deployment.
func (c *Checker) bindNew(cmd fleet.PutService, after *fleet.State, result *fleet.Result) {
	s := c.model.services[cmd.Name]
	c.bind(s, after)
	if len(result.IDs) > 1 {
		c.model.traffic = true
		c.deploys(s, fleet.DeploymentID(result.IDs[1]), cmd.Deployment, after)
	}
}

func (c *Checker) intend(cmd fleet.IntendEffect) {
	c.model.effects[cmd.ID] = &effect{id: cmd.ID, most: cmd.MaxAttempts}
}

// redirect notes that a service may have gone back to a former revision, for which no
// goals stand.
func (c *Checker) redirect(after *fleet.State, id fleet.DeploymentID) {
	c.model.traffic = true
	c.giveUpCalls(after, id)
	name, _ := id.Split()
	s, row := c.model.services[name], after.Service(name)
	if s == nil || row == nil {
		return
	}
	c.bind(s, after)
	if row.Revision == s.revision {
		return
	}
	s.revision = row.Revision
	s.failures, s.notBefore, s.roundFrom = 0, 0, 0
	now := s.newest()
	s.set(c.log.index, now.desired, now.minPer, now.maxPer)
}

// replaced notes what ends with the deployment that a change of its service ended.
func (c *Checker) replaced(after *fleet.State, service string) {
	n := 0
	for d := range after.Deployments(service) {
		if n++; n > 2 {
			return
		}
		c.giveUpCalls(after, d.ID)
	}
}

// giveUpCalls ends the effects and stops the tasks of calls of hooks that have ended.
func (c *Checker) giveUpCalls(after *fleet.State, id fleet.DeploymentID) {
	d := after.Deployment(id)
	if d == nil {
		return
	}
	for i := range d.Hooks {
		r := &d.Hooks[i]
		if r.Open() {
			continue
		}
		c.giveUpCall(after, r.Effect, r.Task)
	}
}

// forgotten gives up the calls of a deployment whose row goes with its service.
func (c *Checker) forgotten(d *deployment, after *fleet.State) {
	if d == nil || after.Deployment(d.id) != nil {
		return
	}
	for _, run := range sorted(d.calls) {
		if call := d.calls[run]; call.status == 0 {
			c.giveUpCall(after, call.effect, call.task)
		}
	}
}

// giveUpCall takes in that State has withdrawn an effect, or told a task to stop.
func (c *Checker) giveUpCall(after *fleet.State, effect fleet.EffectID, task fleet.TaskID) {
	row, e := after.Effect(effect), c.model.effects[effect]
	if row != nil && e != nil && row.Status == fleet.EffectWithdrawn {
		e.ended, e.handed = true, false
	}
	t, known := after.Task(task), c.model.tasks[task]
	if t == nil || known == nil || !known.toRun || t.StopCause() != fleet.CauseRollout {
		return
	}
	was := known.held()
	known.toRun, known.cause = false, fleet.CauseRollout
	if known.host == nil {
		c.status(known, fleet.TaskStopped)
	}
	c.changed(known, was)
}
