package fleet

// lookup remembers what it found: a million tasks name few definitions, revisions,
// services and hosts, and tasks that stand together name the same.
type lookup[K comparable, V any] struct {
	find  func(K) V
	found map[K]V
	any   bool // key and value are those of the last get
	key   K
	value V
}

func newLookup[K comparable, V any](find func(K) V) *lookup[K, V] {
	return &lookup[K, V]{find: find, found: map[K]V{}}
}

func (l *lookup[K, V]) get(key K) V {
	if l.any && key == l.key {
		return l.value
	}
	value, known := l.found[key]
	if !known {
		value = l.find(key)
		l.found[key] = value
	}
	l.any, l.key, l.value = true, key, value
	return value
}

// defFacts is what checks and indices of tasks need to know of a definition.
type defFacts struct {
	there       bool
	reservation Resources
	checked     bool
	ports       int // that a task of it has
}

func (s *State) defFacts(id TaskDefID) defFacts {
	def := s.TaskDef(id)
	if def == nil {
		return defFacts{}
	}
	return defFacts{there: true, reservation: def.Reservation(), checked: def.Checked(), ports: def.portCount()}
}

// revisionFacts is what checks of tasks need to know of a revision.
type revisionFacts struct {
	service string // whose it is by its id
	there   bool   // the revision is, and that service
}

func (s *State) revisionFacts(id RevisionID) revisionFacts {
	service := serviceOf(id)
	return revisionFacts{service: service, there: s.Revision(id) != nil && s.Service(service) != nil}
}
