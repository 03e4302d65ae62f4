package fleet

import (
	"fmt"
)

// PutSetting changes one setting by its name (see SettingNames); the value is
// checked against what is allowed.
type PutSetting struct {
	Name  string `cbor:"1,keyasint"`
	Value int64  `cbor:"2,keyasint"`
}

// Kind is the command's number in the log.
func (PutSetting) Kind() Kind { return KindPutSetting }

func (c PutSetting) apply(s *State, x *applyContext) ([]string, error) {
	f := *s.fleet
	was, err := f.Settings.set(c.Name, c.Value)
	if err != nil {
		return nil, err
	}
	if was == c.Value {
		return nil, nil
	}
	if err := s.checkDynamicPorts(c.Name, f.Settings); err != nil {
		return nil, err
	}
	silent := s.silentHosts()
	for _, h := range silent {
		s.due.Delete(s.hostDeadline(h))
	}
	s.putFleet(x, f)
	for _, h := range silent {
		s.addDue(s.hostDeadline(h))
	}
	s.recordEvent(x,
		Event{Code: "setting-changed", Subject: FleetSubject(), Message: fmt.Sprintf("%s: %d -> %d", c.Name, was, c.Value)})
	return nil, nil
}

func (s *State) silentHosts() []*Host {
	var silent []*Host
	for h := range s.Hosts() {
		if h.State == HostSilent {
			silent = append(silent, h)
		}
	}
	return silent
}
