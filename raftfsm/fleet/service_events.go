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
	for s.ringOf(name).full() {
		s.dropServiceEvent(s.oldestServiceEvent(name))
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

// ringSize is how many events the ring of a service holds, and their eventSize.
type ringSize struct{ events, bytes int }

// full reports whether it holds more than a ring may.
func (r ringSize) full() bool { return r.events > MaxServiceEvents || r.bytes > MaxServiceEventBytes }

func (s *State) ringOf(service string) ringSize {
	size, _ := s.serviceRings.Get(service)
	return size
}

func (s *State) resizeRing(e *Event, events int) {
	name, _ := e.service()
	bytes := events * eventSize(e)
	size := s.ringOf(name)
	if size = (ringSize{size.events + events, size.bytes + bytes}); size == (ringSize{}) {
		s.serviceRings.Delete(name)
	} else {
		s.serviceRings.Set(name, size)
	}
	s.serviceEventMemory += bytes
}

func (s *State) indexServiceEvent(e *Event) {
	s.serviceEventsByAge.Set(e)
	s.resizeRing(e, 1)
}

func (s *State) dropServiceEvent(e *Event) {
	s.serviceEvents.Delete(itemOfServiceEvent(e))
	s.serviceEventsByAge.Delete(e)
	s.resizeRing(e, -1)
}

func (s *State) dropServiceEvents(name string) {
	for e := range s.serviceRing(name) {
		s.dropServiceEvent(e)
	}
}

// serviceRing yields the ring of a service, oldest first. It may change meanwhile.
func (s *State) serviceRing(name string) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		var own []*Event
		s.serviceEvents.Ascend(serviceEventItem{service: name}, func(i serviceEventItem) bool {
			if i.service == name {
				own = append(own, i.row)
			}
			return i.service == name
		})
		for _, e := range own {
			if !yield(e) {
				return
			}
		}
	}
}

// oldestServiceEvent is the first of a ring that holds any.
func (s *State) oldestServiceEvent(name string) (oldest *Event) {
	s.serviceEvents.Ascend(serviceEventItem{service: name}, func(i serviceEventItem) bool {
		oldest = i.row
		return false
	})
	return oldest
}

// EventsOfService yields what is kept of a service's events with a number above seq,
// oldest first: of its own ring, then all that the ring of the fleet has.
func (s *State) EventsOfService(name string, seq uint64) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		oldest, _, ok := s.events.Min()
		for e := range s.serviceRing(name) {
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
	if size := s.ringOf(name); s.oldestServiceEvent(name) == e {
		b.must(!size.full(), "service %s: %d events of %d bytes are kept", name, size.events, size.bytes)
	}
}
