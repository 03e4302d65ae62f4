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
	TableDecisions
	TableWaits
	lastTable = TableWaits
)

// Meta is the one row about the State itself.
type Meta struct {
	Index        uint64 `cbor:"1,keyasint"`
	Now          Time   `cbor:"2,keyasint"`
	LastDecision uint64 `cbor:"3,keyasint,omitempty"`
}

// NewRow returns a pointer to an empty row of a table; ok is false for a number
// that this build does not know.
func NewRow(t Table) (row any, ok bool) {
	switch t {
	case TableMeta:
		return new(Meta), true
	case TableFleet:
		return new(Fleet), true
	case TableHosts:
		return new(Host), true
	case TableVoters:
		return new(Voter), true
	case TableTaskDefs:
		return new(TaskDef), true
	case TableServices:
		return new(Service), true
	case TableFormerServices:
		return new(FormerService), true
	case TableRevisions:
		return new(Revision), true
	case TableTasks:
		return new(Task), true
	case TableTokens:
		return new(Token), true
	case TableReceipts:
		return new(ReceiptRow), true
	case TableDecisions:
		return new(Decision), true
	case TableWaits:
		return new(Wait), true
	default:
		return nil, false
	}
}

// Rows yields every row by table and key: all that a snapshot holds. Two States
// with the same rows are the same.
func (s *State) Rows() iter.Seq2[Table, any] {
	return func(yield func(Table, any) bool) {
		if !yield(TableMeta, &Meta{Index: s.index, Now: s.now, LastDecision: s.lastDecision}) {
			return
		}
		if s.fleet != nil && !yield(TableFleet, s.fleet) {
			return
		}
		_ = rows(TableHosts, s.Hosts(), yield) &&
			rows(TableVoters, s.Voters(), yield) &&
			rows(TableTaskDefs, s.TaskDefs(), yield) &&
			rows(TableServices, s.Services(), yield) &&
			rows(TableFormerServices, values(s.former), yield) &&
			rows(TableRevisions, s.allRevisions(), yield) &&
			rows(TableTasks, s.Tasks(), yield) &&
			rows(TableTokens, s.Tokens(), yield) &&
			rows(TableReceipts, values(s.receipts), yield) &&
			rows(TableDecisions, s.DecisionsAfter(0), yield) &&
			rows(TableWaits, s.Waits(), yield)
	}
}

func rows[R any](t Table, all iter.Seq[*R], yield func(Table, any) bool) bool {
	for r := range all {
		if !yield(t, r) {
			return false
		}
	}
	return true
}

func (s *State) allRevisions() iter.Seq[*Revision] {
	return func(yield func(*Revision) bool) {
		s.revisions.Scan(func(r revisionItem) bool { return yield(r.row) })
	}
}
