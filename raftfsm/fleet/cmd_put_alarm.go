package fleet

import "math"

// PutAlarm creates or updates an alarm. Zero ExpectedModifyIndex creates and is refused
// when the name exists; otherwise the row's ModifyIndex must equal it. Refused when the
// allow-list does not have the URL.
type PutAlarm struct {
	Name                string  `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64  `cbor:"2,keyasint,omitempty"`
	URL                 string  `cbor:"3,keyasint"`
	Query               string  `cbor:"4,keyasint"`
	Above               bool    `cbor:"5,keyasint,omitempty"`
	Threshold           float64 `cbor:"6,keyasint,omitempty"`
	IntervalS           int     `cbor:"7,keyasint"`
	Times               int     `cbor:"8,keyasint"`
}

// Kind is the command's number in the log.
func (PutAlarm) Kind() Kind { return KindPutAlarm }

func (c PutAlarm) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Alarm(c.Name)
	if err := checkExpected("alarm", c.Name, c.ExpectedModifyIndex, modifyIndexOf(old)); err != nil {
		return nil, err
	}
	a := Alarm{Name: c.Name, URL: c.URL, Query: c.Query, Above: c.Above, Threshold: c.Threshold, IntervalS: c.IntervalS,
		Times: c.Times}
	if err := first(a.check(), s.checkAllowed("url", c.URL)); err != nil {
		return nil, err
	}
	if old == nil && s.alarms.Len() >= MaxAlarms {
		return nil, refuse(ErrLimit, "create alarm %s: the fleet has %d", c.Name, MaxAlarms)
	}
	a.ModifyIndex = x.index
	s.alarms.Set(a.Name, &a)
	x.touch(Subject{SubjectAlarm, a.Name})
	s.recordEvent(x, putEvent(Subject{SubjectAlarm, a.Name}, "alarm", old == nil, a.Name))
	return []string{a.Name}, nil
}

// check refuses what an alarm cannot be.
func (a *Alarm) check() error {
	if a.Name == AnalysisAlarm {
		return field("name", "%s is what ingress itself sees of a deployment", AnalysisAlarm)
	}
	if math.IsNaN(a.Threshold) || math.IsInf(a.Threshold, 0) {
		return field("threshold", "is no number")
	}
	if a.Query == "" {
		return field("query", "is empty: a PromQL expression is needed")
	}
	return first(
		checkName("name", a.Name, MaxID),
		checkURL("url", a.URL),
		checkValue("query", a.Query, maxQuery),
		checkRange("intervalSeconds", a.IntervalS, minAlarmInterval, maxAlarmInterval),
		checkRange("times", a.Times, 1, maxAlarmTimes),
	)
}

// Limits on an alarm.
const (
	maxQuery         = 2 << 10 // bytes
	minAlarmInterval = 1       // seconds
	maxAlarmInterval = 3_600   // seconds
	maxAlarmTimes    = 100     // questions in a row
)

// DeleteAlarm deletes an alarm; refused while a service or a live deployment names it.
// ExpectedModifyIndex, 0 for any, refuses it once the row has moved.
type DeleteAlarm struct {
	Name                string `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64 `cbor:"2,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (DeleteAlarm) Kind() Kind { return KindDeleteAlarm }

func (c DeleteAlarm) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Alarm(c.Name)
	if err := checkDelete("alarm", c.Name, c.ExpectedModifyIndex, modifyIndexOf(old)); err != nil {
		return nil, err
	}
	for user, config := range s.deploymentConfigs() {
		if config.Alarms.names(c.Name) {
			return nil, refuse(ErrConflict, "delete alarm %s: %s names it", c.Name, user)
		}
	}
	s.alarms.Delete(c.Name)
	x.touch(Subject{SubjectAlarm, c.Name})
	s.recordEvent(x, Event{Code: "alarm-deleted", Subject: Subject{SubjectAlarm, c.Name}, Message: c.Name + ": deleted"})
	return nil, nil
}
