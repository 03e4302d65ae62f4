package fleet

import "slices"

// NoteDeployment says what was observed of a deployment. What is left out stands, and
// what stands already changes nothing. Refused when it names an alarm that the
// deployment has not.
type NoteDeployment struct {
	ID                  DeploymentID `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64       `cbor:"2,keyasint"`
	// Shifted says that every host that is not known to be dead serves routes at
	// WeightsIndex, which must be the deployment's.
	Shifted      bool   `cbor:"3,keyasint,omitempty"`
	WeightsIndex uint64 `cbor:"4,keyasint,omitempty"`
	// Tripped says that the circuit breaker has counted enough.
	Tripped bool `cbor:"5,keyasint,omitempty"`
	// Alarms are states that take the place of those with the same name. Since and AskedAt
	// are not looked at; an empty Effect says that the answer is in.
	Alarms []AlarmState `cbor:"6,keyasint,omitempty"`
	// Healthy is how many tasks of the target are healthy: more than were noted before is
	// progress.
	Healthy *int `cbor:"7,keyasint,omitempty"`
	// Short says whether fewer tasks of the target are healthy than it needs: see
	// Deployment.ShortSince.
	Short *bool `cbor:"8,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (NoteDeployment) Kind() Kind { return KindNoteDeployment }

func (c NoteDeployment) apply(s *State, x *applyContext) ([]string, error) {
	d, err := s.expectedDeployment(c.ID, c.ExpectedModifyIndex, "note")
	if err != nil {
		return nil, err
	}
	if c.Shifted && c.WeightsIndex != d.WeightsIndex {
		return nil, refuse(ErrMoved, "note deployment %s: weights are of %d, not %d", d.ID, d.WeightsIndex, c.WeightsIndex)
	}
	n := *d
	n.Alarms = slices.Clone(d.Alarms)
	for _, a := range c.Alarms {
		if err := n.noteAlarm(a, x.now); err != nil {
			return nil, err
		}
	}
	if c.Shifted && n.ShiftedAt == 0 {
		n.ShiftedAt = x.now
	}
	n.Breaker.Tripped = n.Breaker.Tripped || c.Tripped
	if c.Healthy != nil {
		if *c.Healthy > n.Healthy {
			n.HealthyAt = x.now
		}
		n.Healthy = *c.Healthy
	}
	if c.Short != nil && *c.Short != (n.ShortSince != 0) {
		n.ShortSince = 0
		if *c.Short {
			n.ShortSince = x.now
		}
	}
	if n.ShiftedAt == d.ShiftedAt && n.Healthy == d.Healthy && n.ShortSince == d.ShortSince && n.Breaker == d.Breaker &&
		slices.Equal(n.Alarms, d.Alarms) {
		return nil, nil
	}
	s.putDeployment(x, n)
	return nil, nil
}

func (d *Deployment) noteAlarm(a AlarmState, now Time) error {
	if a.Status < AlarmInsufficientData || a.Status > AlarmFires {
		return field("alarms", "%s is %s: allowed are %q", quoted(a.Name), a.Status, []string(alarmStatusNames[1:]))
	}
	for i := range d.Alarms {
		is := &d.Alarms[i]
		if is.Name != a.Name {
			continue
		}
		if is.Status != a.Status {
			is.Status, is.Since = a.Status, now
		}
		is.Ignored, is.Firing, is.Answer = a.Ignored, a.Firing, tidy(a.Answer, MaxReason)
		if a.Effect == "" {
			is.Effect = ""
		}
		return nil
	}
	return refuse(ErrNotFound, "deployment %s: alarm %s", d.ID, quoted(a.Name))
}
