package fleet

import (
	"sync"

	"github.com/tidwall/btree"
)

// State is the fleet's replicated truth. The zero value is not usable: see New.
//
// It is a set of tables (tables.go) with derived indices (indices.go), all of
// them copy-on-write trees of immutable rows: a row is never changed once it is
// in a table, it is replaced.
type State struct {
	// cloneMu orders clones of one State: copying a tree marks its source. Readers
	// never look at that mark, so they need no lock.
	cloneMu sync.Mutex

	index     uint64
	now       Time
	fleet     *Fleet
	lastEvent uint64

	tables
	indices
}

// New returns a State without a fleet.
func New() *State { return &State{tables: newTables(), indices: newIndices()} }

// Clone returns a snapshot in O(1); later writes to either leave the other as it
// is. Any number of goroutines may clone and read a State that nobody writes.
func (s *State) Clone() *State {
	s.cloneMu.Lock()
	defer s.cloneMu.Unlock()
	return &State{
		index:     s.index,
		now:       s.now,
		fleet:     s.fleet,
		lastEvent: s.lastEvent,
		tables:    s.tables.copy(),
		indices:   s.indices.copy(),
	}
}

// get returns a row of a table of pointers, or nil.
func get[K ordered, R any](m *btree.Map[K, *R], key K) *R {
	row, _ := m.Get(key)
	return row
}

// ordered are the key types of tables.
type ordered interface{ ~string | ~uint64 | ~int }
