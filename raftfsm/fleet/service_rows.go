package fleet

// addRevisionTo makes the next revision of a service and drops the oldest one
// that is not needed when there are too many. A new revision starts without
// failures.
func (s *State) addRevisionTo(x *applyContext, v *Service, def TaskDefID, images []ImagePin, groups []GroupBinding) {
	v.LastRevision++
	v.Revision = MakeRevisionID(v.Name, v.LastRevision)
	v.Failures, v.NotBefore, v.LastFailure = 0, 0, ""
	s.former.Delete(v.Name)
	def = s.TaskDef(def).ID // the same text in all rows: it is kept once
	s.revisions.Set(itemOfRevision(&Revision{ID: v.Revision, ModifyIndex: x.index, TaskDef: def, Images: images,
		CreatedAt: x.now, Groups: groups}))
	all := s.revisionItems(v.Name)
	for _, r := range all[:max(0, len(all)-MaxRevisions)] {
		if _, live := s.ofRevision.Get(r.row.ID); !live && r.row.ID != v.Good {
			s.revisions.Delete(r)
		}
	}
}

// replaceService puts a service whose settings may have changed in what its
// tasks' deadlines and its hosts' lists are made from.
func (s *State) replaceService(x *applyContext, old *Service, v Service) {
	if old == nil || old.GraceS == v.GraceS && old.OnDisconnect == v.OnDisconnect {
		s.putService(x, v)
		return
	}
	var tasks []*Task
	for t := range s.LiveTasksOfService(v.Name) {
		tasks = append(tasks, t)
		s.due.Delete(s.taskDeadline(t))
		s.addTaskCounts(t, s.taskCountsAt(t, s.now).minus())
	}
	s.putService(x, v)
	for _, t := range tasks {
		s.addTaskCounts(t, s.taskCountsAt(t, s.now))
		if d := s.taskDeadline(t); d.at != 0 {
			s.addDue(d)
		}
		if t.Host != "" {
			s.touchWanted(x, t.Host)
		}
	}
}
