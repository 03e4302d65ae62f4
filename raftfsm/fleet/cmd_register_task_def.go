package fleet

// RegisterTaskDef stores a definition as the next revision of its family; the
// ID in Def must name the family only. IDs[0] is the TaskDefID.
type RegisterTaskDef struct {
	Family string  `cbor:"1,keyasint"`
	Def    TaskDef `cbor:"2,keyasint"`
}

// Kind is the command's number in the log.
func (RegisterTaskDef) Kind() Kind { return KindRegisterTaskDef }

func (c RegisterTaskDef) apply(s *State, x *applyContext) ([]string, error) {
	if err := checkName("family", c.Family, MaxName); err != nil {
		return nil, err
	}
	if c.Def.ID != "" && c.Def.ID != TaskDefID(c.Family) {
		return nil, field("id", "is %s: the revision is given out here, so name only the family", quoted(string(c.Def.ID)))
	}
	if err := s.checkTaskDef(&c.Def); err != nil {
		return nil, err
	}
	if s.defs.Len() >= MaxTaskDefs {
		return nil, refuse(ErrLimit, "register %s: the fleet has %d task definitions", c.Family, MaxTaskDefs)
	}
	number := 1
	if latest := s.LatestTaskDef(c.Family); latest != nil {
		_, n := latest.ID.Split()
		number = n + 1
	}
	def := c.Def
	def.ID, def.ModifyIndex, def.RegisteredAt = MakeTaskDefID(c.Family, number), x.index, x.now
	s.defs.Set(itemOfDef(&def))
	s.recordEvent(x, Event{Code: "taskdef-registered", Subject: Subject{SubjectTaskDef, c.Family}, Message: "registered " +
		string(def.ID)})
	return []string{string(def.ID)}, nil
}
