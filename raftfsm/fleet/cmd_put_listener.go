package fleet

import (
	"fmt"
	"net/netip"
)

// PutListener creates or updates a listener. Zero ExpectedModifyIndex creates, with the
// action of its default rule, and is refused when the name exists; otherwise the row's
// ModifyIndex must equal it, and Default must be nil: the default rule is changed as any
// rule is. Refused when the port is another listener's, the agent's own or a task's on
// any host, when the alias is another's at that port, or when a rule does not fit the protocol.
type PutListener struct {
	Name                ListenerName      `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64            `cbor:"2,keyasint,omitempty"`
	Port                int               `cbor:"3,keyasint"`
	Protocol            ListenerProtocol  `cbor:"4,keyasint"`
	Certificates        []CertificateFile `cbor:"5,keyasint,omitempty"`
	ProxyProtocol       bool              `cbor:"6,keyasint,omitempty"`
	IdleTimeoutS        int               `cbor:"7,keyasint,omitempty"`
	BodyLimit           int64             `cbor:"8,keyasint,omitempty"`
	Owner               string            `cbor:"9,keyasint,omitempty"`
	Default             *Action           `cbor:"10,keyasint,omitempty"`
	// Alias is the name by which tasks alone reach it, "b"; empty: it takes a port of every host.
	Alias string `cbor:"11,keyasint,omitempty"`
	// TrustedProxies: see Listener.
	TrustedProxies []netip.Prefix `cbor:"12,keyasint,omitempty" since:"2"`
}

// Kind is the command's number in the log.
func (PutListener) Kind() Kind { return KindPutListener }

func (c PutListener) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Listener(c.Name)
	if err := checkExpected("listener", string(c.Name), c.ExpectedModifyIndex, modifyIndexOf(old)); err != nil {
		return nil, err
	}
	l := Listener{
		Name: c.Name, Port: c.Port, Protocol: c.Protocol, Certificates: c.Certificates, ProxyProtocol: c.ProxyProtocol,
		IdleTimeoutS: c.IdleTimeoutS, BodyLimit: c.BodyLimit, Owner: c.Owner, TrustedProxies: c.TrustedProxies,
	}
	isNew := c.Alias != "" && !s.aliasKnown(c.Alias)
	if c.Alias != "" {
		l.Alias = s.aliasOf(c.Alias)
	}
	if err := first(checkListenerFields(&l), s.checkListenerPort(&l)); err != nil {
		return nil, err
	}
	rule, err := c.defaultRule(s, &l, old)
	if err != nil {
		return nil, err
	}
	s.noteAlias(l.number(), isNew)
	s.putListener(x, l)
	if rule != nil {
		s.putRule(x, *rule)
	}
	s.recordEvent(x, putEvent(Subject{SubjectListener, string(l.Name)}, "listener", old == nil,
		fmt.Sprintf("%s: %s %s", l.Name, l.Protocol, l.place())))
	return []string{string(l.Name)}, nil
}

// defaultRule is the rule that a new listener has; nil for one that is there, whose
// rules must fit what it becomes.
func (c PutListener) defaultRule(s *State, l, old *Listener) (*Rule, error) {
	if old != nil {
		if c.Default != nil {
			return nil, field("defaultAction", "is of new listeners: change rule %s", MakeRuleID(l.Name, DefaultRule))
		}
		return nil, s.checkRulesFit(l)
	}
	if c.Default == nil {
		return nil, field("defaultAction", "is missing: it says what becomes of what no rule takes")
	}
	if err := s.checkListenerCount(l); err != nil {
		return nil, err
	}
	return &Rule{ID: MakeRuleID(l.Name, DefaultRule), Listener: l.Name, Action: *c.Default, Owner: c.Owner},
		s.checkAction("defaultAction", l.Protocol, c.Default)
}

// checkRulesFit refuses a listener that one of its rules cannot be of.
func (s *State) checkRulesFit(l *Listener) error {
	for r := range s.RulesOf(l.Name) {
		if err := s.checkRuleFields(l, r); err != nil {
			return fmt.Errorf("listener %s: rule %s: %w", l.Name, r.ID, err)
		}
	}
	return nil
}

// guarded are the rows that people change by name.
type guarded interface {
	Listener | Rule | TargetGroup | Alarm
}

// modifyIndexOf is a row's; 0 where there is none.
func modifyIndexOf[R guarded](row *R) uint64 {
	if row == nil {
		return 0
	}
	switch r := any(row).(type) {
	case *Listener:
		return r.ModifyIndex
	case *Rule:
		return r.ModifyIndex
	case *TargetGroup:
		return r.ModifyIndex
	case *Alarm:
		return r.ModifyIndex
	}
	return 0
}

// checkExpected refuses by what is there under a name: expected 0 creates.
func checkExpected(noun, name string, expected, is uint64) error {
	switch {
	case expected == 0 && is != 0:
		return refuse(ErrExists, "create %s %s", noun, name)
	case expected != 0 && is == 0:
		return refuse(ErrNotFound, "update %s %s", noun, quoted(name))
	case expected != is:
		return refuse(ErrMoved, "update %s %s: it is at %d, not %d; read it again", noun, name, is, expected)
	}
	return nil
}

// checkDelete refuses by what is there under a name: expected 0 deletes any.
func checkDelete(noun, name string, expected, is uint64) error {
	switch {
	case is == 0:
		return refuse(ErrNotFound, "delete %s %s", noun, quoted(name))
	case expected != 0 && expected != is:
		return refuse(ErrMoved, "delete %s %s: it is at %d, not %d; read it again", noun, name, is, expected)
	}
	return nil
}

// putEvent says that something was created or updated.
func putEvent(subject Subject, noun string, created bool, message string) Event {
	if created {
		return Event{Code: noun + "-created", Subject: subject, Message: message + ": created"}
	}
	return Event{Code: noun + "-updated", Subject: subject, Message: message + ": updated"}
}
