package fleet

import (
	"iter"
	"math"

	"github.com/tidwall/btree"
)

// Index is the log index of the last entry applied.
func (s *State) Index() uint64 { return s.index }

// Now is fleet time: the highest stamp applied.
func (s *State) Now() Time { return s.now }

// Fleet returns the fleet's row, or nil before InitFleet.
func (s *State) Fleet() *Fleet { return s.fleet }

// Host returns a host, forgotten ones included, or nil.
func (s *State) Host(id HostID) *Host { return get(s.hosts, id) }

// HostByName returns the host of that name that is not forgotten, or nil.
func (s *State) HostByName(name string) *Host {
	id, ok := s.hostByName.Get(name)
	if !ok {
		return nil
	}
	return s.Host(id)
}

// HostByKey returns the host not forgotten that was admitted with this public
// key (sha256, hex), or nil.
func (s *State) HostByKey(key string) *Host {
	id, ok := s.hostByKey.Get(key)
	if !ok {
		return nil
	}
	return s.Host(id)
}

// Hosts yields all hosts by id, forgotten ones included.
func (s *State) Hosts() iter.Seq[*Host] { return values(s.hosts) }

// HostCount is the number of hosts that are not forgotten.
func (s *State) HostCount() int { return s.hostByName.Len() }

// Voter returns a voter, or nil.
func (s *State) Voter(id RaftID) *Voter { return get(s.voters, id) }

// VoterOf returns the voter row of a host that is not retiring, or nil.
func (s *State) VoterOf(host HostID) *Voter {
	for v := range s.Voters() {
		if v.Host == host && v.Phase != VoterRetiring {
			return v
		}
	}
	return nil
}

// LogsOut is the number up to which a host's logs are out of the fleet for ever:
// each was a voter's or on its way to be one, its row is gone, and a RaftID is
// never used twice. It is the committed word on which a host may delete its log;
// an older State says less, never more.
func (s *State) LogsOut(host HostID) int {
	h := s.Host(host)
	if h == nil {
		return 0
	}
	out := h.LastRaft
	for v := range s.Voters() {
		if v.Host == host {
			out = min(out, v.ID.Number()-1)
		}
	}
	return out
}

// Voters yields voters by id.
func (s *State) Voters() iter.Seq[*Voter] { return values(s.voters) }

// TaskDef returns a definition, or nil.
func (s *State) TaskDef(id TaskDefID) *TaskDef {
	family, n := id.Split()
	item, _ := s.defs.Get(defItem{family: family, number: n})
	return item.row
}

// LatestTaskDef returns the newest revision of a family, or nil.
func (s *State) LatestTaskDef(family string) *TaskDef {
	var latest *TaskDef
	s.defs.Descend(defItem{family: family, number: math.MaxInt}, func(d defItem) bool {
		if d.family == family {
			latest = d.row
		}
		return false
	})
	return latest
}

// TaskDefs yields definitions by family, then revision.
func (s *State) TaskDefs() iter.Seq[*TaskDef] {
	return func(yield func(*TaskDef) bool) {
		s.defs.Scan(func(d defItem) bool { return yield(d.row) })
	}
}

// Service returns a service, or nil.
func (s *State) Service(name string) *Service { return get(s.services, name) }

// Services yields services by name.
func (s *State) Services() iter.Seq[*Service] { return values(s.services) }

// ServiceCount is the number of services.
func (s *State) ServiceCount() int { return s.services.Len() }

// Goals returns how many tasks a service is to have, or nil where no planner has said
// so since the service last changed.
func (s *State) Goals(service string) *Goals { return get(s.goals, service) }

// Revision returns a revision, or nil.
func (s *State) Revision(id RevisionID) *Revision {
	service, n := id.Split()
	item, _ := s.revisions.Get(revisionItem{service: service, number: n})
	return item.row
}

// Revisions yields the kept revisions of a service, oldest first.
func (s *State) Revisions(service string) iter.Seq[*Revision] {
	return func(yield func(*Revision) bool) {
		s.revisions.Ascend(revisionItem{service: service}, func(r revisionItem) bool {
			return r.service == service && yield(r.row)
		})
	}
}

// Token returns a token, or nil.
func (s *State) Token(id TokenID) *Token { return get(s.tokens, id) }

// Tokens yields tokens by id.
func (s *State) Tokens() iter.Seq[*Token] { return values(s.tokens) }

// Receipt returns a kept receipt, or nil.
func (s *State) Receipt(token string) *ReceiptRow {
	r := get(s.receipts, token)
	if r == nil || r.At.Add(ReceiptKept) <= s.now {
		return nil
	}
	return r
}

// EventsAfter yields events with a sequence number above seq, oldest first.
func (s *State) EventsAfter(seq uint64) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		if seq == math.MaxUint64 {
			return
		}
		s.events.Ascend(seq+1, func(_ uint64, e *Event) bool { return yield(e) })
	}
}

// LastEvent is the sequence number of the newest event.
func (s *State) LastEvent() uint64 { return s.lastEvent }

// Condition returns why a planner does not act on a subject, or nil.
func (s *State) Condition(subject Subject, by string) *Condition {
	item, _ := s.conditions.Get(conditionItem{subject: subject, by: by})
	return item.row
}

// ConditionsOf yields why planners do not act on a subject, by planner.
func (s *State) ConditionsOf(subject Subject) iter.Seq[*Condition] {
	return func(yield func(*Condition) bool) {
		s.conditions.Ascend(conditionItem{subject: subject}, func(i conditionItem) bool {
			return i.subject == subject && yield(i.row)
		})
	}
}

// HasCondition reports whether any planner says something about a subject.
func (s *State) HasCondition(subject Subject) bool {
	for range s.ConditionsOf(subject) {
		return true
	}
	return false
}

// Conditions yields all conditions by subject and planner.
func (s *State) Conditions() iter.Seq[*Condition] {
	return func(yield func(*Condition) bool) {
		s.conditions.Scan(func(i conditionItem) bool { return yield(i.row) })
	}
}

func values[K ordered, R any](m *btree.Map[K, *R]) iter.Seq[*R] {
	return func(yield func(*R) bool) {
		m.Scan(func(_ K, row *R) bool { return yield(row) })
	}
}
