package fleet

import (
	"github.com/tidwall/btree"
)

// tables are the rows themselves: what a snapshot holds.
type tables struct {
	hosts     *btree.Map[HostID, *Host]
	voters    *btree.Map[RaftID, *Voter]
	defs      *btree.BTreeG[defItem]
	services  *btree.Map[string, *Service]
	former    *btree.Map[string, *FormerService]
	revisions *btree.BTreeG[revisionItem]
	tasks     *btree.Map[TaskID, *Task]
	tokens    *btree.Map[TokenID, *Token]
	receipts  *btree.Map[string, *ReceiptRow]
	decisions *btree.Map[uint64, *Decision]
	waits     *btree.Map[string, *Wait]
}

// defItem keys a definition by family and number, since ids sort "a:10" before
// "a:9".
type defItem struct {
	family string
	number int
	row    *TaskDef
}

func lessDef(a, b defItem) bool {
	if a.family != b.family {
		return a.family < b.family
	}
	return a.number < b.number
}

// revisionItem keys a revision by service and number.
type revisionItem struct {
	service string
	number  int
	row     *Revision
}

func lessRevision(a, b revisionItem) bool {
	if a.service != b.service {
		return a.service < b.service
	}
	return a.number < b.number
}

// unlocked makes trees without a lock of their own: see State.cloneMu.
func unlocked[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

func newTables() tables {
	return tables{
		hosts:     new(btree.Map[HostID, *Host]),
		voters:    new(btree.Map[RaftID, *Voter]),
		defs:      unlocked(lessDef),
		services:  new(btree.Map[string, *Service]),
		former:    new(btree.Map[string, *FormerService]),
		revisions: unlocked(lessRevision),
		tasks:     new(btree.Map[TaskID, *Task]),
		tokens:    new(btree.Map[TokenID, *Token]),
		receipts:  new(btree.Map[string, *ReceiptRow]),
		decisions: new(btree.Map[uint64, *Decision]),
		waits:     new(btree.Map[string, *Wait]),
	}
}

func (t *tables) copy() tables {
	return tables{
		hosts:     t.hosts.Copy(),
		voters:    t.voters.Copy(),
		defs:      t.defs.Copy(),
		services:  t.services.Copy(),
		former:    t.former.Copy(),
		revisions: t.revisions.Copy(),
		tasks:     t.tasks.Copy(),
		tokens:    t.tokens.Copy(),
		receipts:  t.receipts.Copy(),
		decisions: t.decisions.Copy(),
		waits:     t.waits.Copy(),
	}
}

func (t *tables) putDef(d *TaskDef) {
	family, n := d.ID.Split()
	t.defs.Set(defItem{family, n, d})
}

func (t *tables) putRevision(r *Revision) {
	service, n := r.ID.Split()
	t.revisions.Set(revisionItem{service, n, r})
}
