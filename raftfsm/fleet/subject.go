package fleet

import (
	"cmp"
	"slices"
	"strings"
)

// Subject is what a condition, an event, a deadline or a change is about. In the log,
// in snapshots and in the API it is text, "kind:name": "service:web", "host:h-3f",
// "task:9c"; a kind that has one subject alone is its name: "fleet".
//
// Conditions, deadlines and changes name hosts by id. Events, which people read, name
// them as people do.
type Subject struct {
	Kind SubjectKind
	Name string
}

// SubjectKind says what a Subject names. The numbers are of this process alone.
type SubjectKind uint8

// The kinds of subject. To add one: a constant here and a line in subjectKinds, with
// the format that brings it: see Gate.
const (
	// SubjectUnknown is of a build that knows more: Name is the whole text.
	SubjectUnknown SubjectKind = iota
	// SubjectFleet is the fleet as a whole: settings, format or keys.
	SubjectFleet
	SubjectHost
	SubjectService
	SubjectTask
	SubjectTaskDef
	SubjectToken
	SubjectPlanner
	// SubjectWanted is what a host is sent, as against its row.
	SubjectWanted
	// SubjectVoters is the list of voters.
	SubjectVoters
	// SubjectEvents is the ring of events.
	SubjectEvents
	// SubjectEffects is the list of effects.
	SubjectEffects
	// SubjectCapacity is all work that waits for room on hosts: there may be more of it.
	SubjectCapacity
	SubjectListener
	SubjectRule
	SubjectTargetGroup
	// SubjectRoutes is what all hosts are sent of traffic.
	SubjectRoutes
	SubjectEntryAddress
	// SubjectDeployment is a deployment's row. Its planner looks at the service, which is
	// touched with it.
	SubjectDeployment
	SubjectAlarm
	// SubjectHookTargets is the allow-list of hooks and alarms.
	SubjectHookTargets

	subjectKindCount = iota + nextSubjectKinds
)

// subjectKind describes a kind.
type subjectKind struct {
	text  string
	one   bool // there is one subject of this kind, without a name
	since int  // the format of a fleet from which on a command may name one; 0 means 1
}

var subjectKinds = [subjectKindCount]subjectKind{
	SubjectFleet:    {text: "fleet", one: true},
	SubjectHost:     {text: "host"},
	SubjectService:  {text: "service"},
	SubjectTask:     {text: "task"},
	SubjectTaskDef:  {text: "taskdef"},
	SubjectToken:    {text: "token"},
	SubjectPlanner:  {text: "planner"},
	SubjectWanted:   {text: "wanted"},
	SubjectVoters:   {text: "voters", one: true},
	SubjectEvents:   {text: "events", one: true},
	SubjectEffects:  {text: "effects", one: true},
	SubjectCapacity: {text: "room", one: true},

	SubjectListener:    {text: "listener", since: 2},
	SubjectRule:        {text: "rule", since: 2},
	SubjectTargetGroup: {text: "targetgroup", since: 2},
	SubjectRoutes:      {text: "routes", one: true, since: 2},

	SubjectEntryAddress: {text: "entryaddress", since: 2},

	SubjectDeployment:  {text: "deployment", since: 2},
	SubjectAlarm:       {text: "alarm", since: 2},
	SubjectHookTargets: {text: "hooktargets", one: true, since: 2},
}

// SubjectKinds yields all kinds that have a name.
func SubjectKinds() []SubjectKind {
	var kinds []SubjectKind
	for k := SubjectUnknown + 1; k < subjectKindCount; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// String is the kind as it stands before the colon.
func (k SubjectKind) String() string {
	if k < subjectKindCount {
		return subjectKinds[k].text
	}
	return ""
}

// needs is the format of a fleet from which on a command may name the subject.
func (s Subject) needs() int { return subjectKinds[s.Kind].since }

// FleetSubject is the fleet as a whole.
func FleetSubject() Subject { return Subject{Kind: SubjectFleet} }

// HostSubject is a host by its id.
func HostSubject(id HostID) Subject { return Subject{SubjectHost, string(id)} }

// ServiceSubject is a service.
func ServiceSubject(name string) Subject { return Subject{SubjectService, name} }

// TaskSubject is a task.
func TaskSubject(id TaskID) Subject { return Subject{SubjectTask, string(id)} }

// PlannerSubject is a planner, by the name its commands carry.
func PlannerSubject(by string) Subject { return Subject{SubjectPlanner, by} }

// CapacitySubject is all work that waits for room on hosts.
func CapacitySubject() Subject { return Subject{Kind: SubjectCapacity} }

// subjectOf is a host as events name it.
func subjectOf(h *Host) Subject { return Subject{SubjectHost, h.Name} }

// ParseSubject is the inverse of String. A text of no known kind is kept as it is.
func ParseSubject(text string) Subject {
	kind, name, named := strings.Cut(text, ":")
	i := slices.IndexFunc(subjectKinds[:], func(k subjectKind) bool { return k.text == kind })
	if i <= 0 || named != (name != "" || !subjectKinds[i].one) {
		return Subject{Name: text}
	}
	return Subject{SubjectKind(i), name}
}

// String is the subject's text.
func (s Subject) String() string {
	switch kind := s.Kind.String(); {
	case kind == "":
		return s.Name
	case s.bare():
		return kind
	default:
		return kind + ":" + s.Name
	}
}

// size is the length of the subject's text.
func (s Subject) size() int {
	n := len(s.Kind.String()) + len(s.Name)
	if s.Kind.String() != "" && !s.bare() {
		n++
	}
	return n
}

func (s Subject) bare() bool { return s.Name == "" && subjectKinds[s.Kind].one }

// compare orders subjects by kind, as text, and by name.
func (s Subject) compare(o Subject) int {
	if s.Kind != o.Kind {
		return cmp.Compare(s.Kind.String(), o.Kind.String())
	}
	return cmp.Compare(s.Name, o.Name)
}

// MarshalText writes the subject as text, also in CBOR.
func (s Subject) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads any text; see ParseSubject.
func (s *Subject) UnmarshalText(text []byte) error {
	*s = ParseSubject(string(text))
	return nil
}
