package fleet

import "iter"

// Each service has a small ring of its own events beside that of the fleet, so that
// what was done about it can still be read when a busy fleet has pushed it out of the
// large one. A ring outlives its service by as long as the service's name is kept.

// serviceEventItem keys an event by service and number.
type serviceEventItem struct {
	service string
	seq     uint64
	row     *Event
}

func (i serviceEventItem) rowOf() *Event { return i.row }

func itemOfServiceEvent(e *Event) serviceEventItem {
	name, _ := e.service()
	return serviceEventItem{name, e.Seq, e}
}

func lessServiceEvent(a, b serviceEventItem) bool {
	if a.service != b.service {
		return a.service < b.service
	}
	return a.seq < b.seq
}

func lessEventAge(a, b *Event) bool { return a.Seq < b.Seq }

// service is the service that an event is about.
func (e *Event) service() (name string, ok bool) {
	if e.Subject.Kind != SubjectService {
		return "", false
	}
	return e.Subject.Name, true
}

// keepForService puts an event into the ring of its service. Where the rings of all
// services are too large together, the oldest event of any goes.
func (s *State) keepForService(e *Event) {
	name, ok := e.service()
	if !ok || !s.namesService(name) {
		return
	}
	s.serviceEvents.Set(itemOfServiceEvent(e))
	s.indexServiceEvent(e)
	own, size := s.serviceRing(name)
	for len(own) > MaxServiceEvents || size > MaxServiceEventBytes {
		s.dropServiceEvent(own[0])
		size -= eventSize(own[0])
		own = own[1:]
	}
	for s.serviceEventMemory > MaxServiceEventMemory {
		oldest, _ := s.serviceEventsByAge.Min()
		s.dropServiceEvent(oldest)
	}
}

// namesService reports whether a service is there, or was lately.
func (s *State) namesService(name string) bool {
	return s.Service(name) != nil || get(s.former, name) != nil
}

func (s *State) indexServiceEvent(e *Event) {
	s.serviceEventsByAge.Set(e)
	s.serviceEventMemory += eventSize(e)
}

func (s *State) dropServiceEvent(e *Event) {
	s.serviceEvents.Delete(itemOfServiceEvent(e))
	s.serviceEventsByAge.Delete(e)
	s.serviceEventMemory -= eventSize(e)
}

func (s *State) dropServiceEvents(name string) {
	own, _ := s.serviceRing(name)
	for _, e := range own {
		s.dropServiceEvent(e)
	}
}

// serviceRing is the ring of a service, oldest first, and its size.
func (s *State) serviceRing(name string) (own []*Event, size int) {
	s.serviceEvents.Ascend(serviceEventItem{service: name}, func(i serviceEventItem) bool {
		if i.service != name {
			return false
		}
		own, size = append(own, i.row), size+eventSize(i.row)
		return true
	})
	return own, size
}

// EventsOfService yields what is kept of a service's events with a number above seq,
// oldest first: of its own ring, then all that the ring of the fleet has.
func (s *State) EventsOfService(name string, seq uint64) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		oldest, _, ok := s.events.Min()
		own, _ := s.serviceRing(name)
		for _, e := range own {
			if e.Seq > seq && (!ok || e.Seq < oldest) && !yield(e) {
				return
			}
		}
		for e := range s.EventsAfter(seq) {
			if of, about := e.service(); about && of == name && !yield(e) {
				return
			}
		}
	}
}

func (s *State) checkServiceEvent(b *violations, e *Event) {
	name, about := e.service()
	b.must(about && s.namesService(name), "event %d is kept for %s, which is no service", e.Seq, e.Subject)
	if own, size := s.serviceRing(name); own[0] == e {
		b.must(len(own) <= MaxServiceEvents && size <= MaxServiceEventBytes, "service %s: %d events of %d bytes are kept",
			name, len(own), size)
	}
}
