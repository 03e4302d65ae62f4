package fleet

import "iter"

// Table is the number of a table in a snapshot. Numbers are never reused.
type Table uint8

// The tables, in the order of a snapshot: a row names only rows of tables
// before its own.
const (
	TableMeta Table = iota + 1
	TableFleet
	TableHosts
	TableVoters
	TableTaskDefs
	TableServices
	TableFormerServices
	TableRevisions
	TableTasks
	TableTokens
	TableReceipts
	TableEvents
	TableConditions
	TableServiceEvents
	TableEffects
	TableGoals
	TableListeners
	TableRules
	TableTargetGroups
	TableEntryAddresses
	TableDeployments
	TableAlarms
	TableHookTargets
)

// Since is the format of a fleet from which on the table has rows.
func (t Table) Since() int {
	if t >= TableListeners {
		return formatOfRoutes
	}
	return 1
}

// Meta is the one row about the State itself.
type Meta struct {
	Index     uint64 `cbor:"1,keyasint"`
	Now       Time   `cbor:"2,keyasint"`
	LastEvent uint64 `cbor:"3,keyasint,omitempty"`
}

// Tables yields the numbers of all tables, in the order of a snapshot.
func Tables() iter.Seq[Table] {
	return func(yield func(Table) bool) {
		for i := range nouns {
			if !yield(nouns[i].table) {
				return
			}
		}
	}
}

// NewRow returns a pointer to an empty row of a table; ok is false for a number
// that this build does not know.
func NewRow(t Table) (row any, ok bool) {
	n := nounOf(t)
	if n == nil {
		return nil, false
	}
	return n.newRow(), true
}

// nounOf returns what describes a table, or nil for a number without one.
func nounOf(t Table) *noun {
	if t < TableMeta || int(t) > len(nouns) {
		return nil
	}
	return &nouns[t-TableMeta]
}

// Rows yields every row by table and key: all that a snapshot holds. Two States
// with the same rows are the same.
func (s *State) Rows() iter.Seq2[Table, any] {
	return func(yield func(Table, any) bool) {
		for i := range nouns {
			n := &nouns[i]
			if !n.rows(s, func(row any) bool { return yield(n.table, row) }) {
				return
			}
		}
	}
}
