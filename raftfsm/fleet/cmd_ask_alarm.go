package fleet

import "slices"

// AskAlarm puts the question of a deployment's alarm: it intends the effect and notes it
// with the alarm, or does neither.
type AskAlarm struct {
	ID                  DeploymentID `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64       `cbor:"2,keyasint"`
	Alarm               string       `cbor:"3,keyasint"`
	Effect              IntendEffect `cbor:"4,keyasint"`
}

// Kind is the command's number in the log.
func (AskAlarm) Kind() Kind { return KindAskAlarm }

func (c AskAlarm) apply(s *State, x *applyContext) ([]string, error) {
	d, err := s.expectedDeployment(c.ID, c.ExpectedModifyIndex, "ask an alarm of")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(d.Alarms, func(a AlarmState) bool { return a.Name == c.Alarm })
	if i < 0 || c.Alarm == AnalysisAlarm {
		return nil, refuse(ErrNotFound, "deployment %s: alarm %s", d.ID, quoted(c.Alarm))
	}
	if e := s.Effect(d.Alarms[i].Effect); e != nil && e.Open() {
		return nil, refuse(ErrConflict, "deployment %s: alarm %s is asked by effect %s", d.ID, c.Alarm, e.ID)
	}
	if _, err := c.Effect.apply(s, x); err != nil {
		return nil, err
	}
	n := *d
	n.Alarms = slices.Clone(d.Alarms)
	n.Alarms[i].Effect, n.Alarms[i].AskedAt = c.Effect.ID, x.now
	s.putDeployment(x, n)
	return nil, nil
}
