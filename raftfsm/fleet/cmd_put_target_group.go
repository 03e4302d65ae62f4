package fleet

import "fmt"

// PutTargetGroup creates or updates a target group. Zero ExpectedModifyIndex creates and
// is refused when the name exists; otherwise the row's ModifyIndex, which changes of its
// targets leave alone, must equal it. Refused when it is of another protocol than its
// rules' listeners take, or than the other group of its service.
type PutTargetGroup struct {
	Name                 TargetGroupName `cbor:"1,keyasint"`
	ExpectedModifyIndex  uint64          `cbor:"2,keyasint,omitempty"`
	Protocol             GroupProtocol   `cbor:"3,keyasint"`
	Check                TargetCheck     `cbor:"4,keyasint"`
	DeregistrationDelayS int             `cbor:"5,keyasint,omitempty"`
	SlowStartS           int             `cbor:"6,keyasint,omitempty"`
	StickyS              int             `cbor:"7,keyasint,omitempty"`
	AnyZone              bool            `cbor:"8,keyasint,omitempty"`
	ProxyProtocol        bool            `cbor:"9,keyasint,omitempty"`
	Owner                string          `cbor:"10,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (PutTargetGroup) Kind() Kind { return KindPutTargetGroup }

func (c PutTargetGroup) apply(s *State, x *applyContext) ([]string, error) {
	old := s.TargetGroup(c.Name)
	if err := checkExpected("target group", string(c.Name), c.ExpectedModifyIndex, modifyIndexOf(old)); err != nil {
		return nil, err
	}
	g := TargetGroup{
		Name: c.Name, Protocol: c.Protocol, Check: c.Check, DeregistrationDelayS: c.DeregistrationDelayS,
		SlowStartS: c.SlowStartS, StickyS: c.StickyS, AnyZone: c.AnyZone, ProxyProtocol: c.ProxyProtocol, Owner: c.Owner,
	}
	if err := checkGroupFields(&g); err != nil {
		return nil, err
	}
	if old == nil && s.groups.Len() >= MaxTargetGroups {
		return nil, refuse(ErrLimit, "create target group %s: the fleet has %d target groups", g.Name, MaxTargetGroups)
	}
	if old != nil {
		g.TargetsModifyIndex = old.TargetsModifyIndex
		if err := s.checkGroupFits(old, &g); err != nil {
			return nil, err
		}
	}
	s.putTargetGroup(x, g)
	s.recordEvent(x, putEvent(Subject{SubjectTargetGroup, string(g.Name)}, "target-group", old == nil,
		fmt.Sprintf("%s: %s", g.Name, g.Protocol)))
	return []string{string(g.Name)}, nil
}

// checkGroupFits refuses another protocol where what names the group counts on the one
// it has.
func (s *State) checkGroupFits(old, g *TargetGroup) error {
	if old.Protocol == g.Protocol {
		return nil
	}
	if user, used := s.groupUsers.Get(g.Name); used {
		for _, lb := range s.Service(user).LoadBalancers {
			if lb.AlternateGroup != "" && (lb.Group == g.Name || lb.AlternateGroup == g.Name) {
				return refuse(ErrConflict, "target group %s: it is %s as the other group of service %s", g.Name, old.Protocol, user)
			}
		}
	}
	for r := range s.RulesTo(g.Name) {
		if l := s.Listener(r.Listener); l.Protocol.PerRequest() != g.Protocol.PerRequest() {
			return refuse(ErrConflict, "target group %s: rule %s forwards to it, and its listener is of %s", g.Name, r.ID,
				l.Protocol)
		}
	}
	return nil
}
