package fleet

import (
	"fmt"

	"github.com/tidwall/btree"
)

// tables are the rows themselves: what a snapshot holds.
type tables struct {
	hosts      *btree.Map[HostID, *Host]
	voters     *btree.Map[RaftID, *Voter]
	defs       *btree.BTreeG[defItem]
	services   *btree.Map[string, *Service]
	former     *btree.Map[string, *FormerService]
	revisions  *btree.BTreeG[revisionItem]
	tasks      *btree.Map[TaskID, *Task]
	tokens     *btree.Map[TokenID, *Token]
	receipts   *btree.Map[string, *ReceiptRow]
	events     *btree.Map[uint64, *Event]
	conditions *btree.BTreeG[conditionItem]

	serviceEvents *btree.BTreeG[serviceEventItem] // service_events.go
	effects       *btree.Map[EffectID, *Effect]
	goals         *btree.Map[string, *Goals] // by service

	entries   *btree.Map[string, *EntryAddress]
	listeners *btree.Map[ListenerName, *Listener]
	rules     *btree.Map[RuleID, *Rule]
	groups    *btree.Map[TargetGroupName, *TargetGroup]

	deployments *btree.BTreeG[deploymentItem]
	alarms      *btree.Map[string, *Alarm]
	hookTargets *btree.Map[string, *HookTarget]
}

// nouns describes every table once. Clones, snapshots, checks and the building of
// indices range over it, so that a noun which is listed here is complete. The
// order is that of the numbers, and of a snapshot: a row names only rows of tables
// before its own.
//
// The list is filled by init because checks and indices read tables.
var nouns []noun

func init() {
	nouns = []noun{
		metaNoun(),
		fleetNoun(),
		mapNoun(TableHosts, func(t *tables) **btree.Map[HostID, *Host] { return &t.hosts }, hooks[Host, HostID]{
			key: func(h *Host) HostID { return h.ID }, check: (*State).checkHost,
			index: func(s *State, h *Host) { s.indexHost(nil, h) },
		}),
		mapNoun(TableVoters, func(t *tables) **btree.Map[RaftID, *Voter] { return &t.voters }, hooks[Voter, RaftID]{
			key: func(v *Voter) RaftID { return v.ID }, check: (*State).checkVoter,
		}),
		treeNoun(TableTaskDefs, func(t *tables) **btree.BTreeG[defItem] { return &t.defs }, lessDef, hooks[TaskDef, defItem]{
			key: itemOfDef, check: (*State).checkTaskDefRow,
		}),
		mapNoun(TableServices, func(t *tables) **btree.Map[string, *Service] { return &t.services }, hooks[Service, string]{
			key: func(v *Service) string { return v.Name }, check: (*State).checkService,
			index: func(s *State, v *Service) {
				s.dueService(nil, v)
				s.indexUses(nil, v)
			},
		}),
		mapNoun(TableFormerServices, func(t *tables) **btree.Map[string, *FormerService] { return &t.former },
			hooks[FormerService, string]{
				key: func(v *FormerService) string { return v.Name },
			}),
		treeNoun(TableRevisions, func(t *tables) **btree.BTreeG[revisionItem] { return &t.revisions }, lessRevision,
			hooks[Revision, revisionItem]{
				key: itemOfRevision, check: (*State).checkRevision,
			}),
		mapNoun(TableTasks, func(t *tables) **btree.Map[TaskID, *Task] { return &t.tasks }, hooks[Task, TaskID]{
			key: func(t *Task) TaskID { return t.ID }, checkAll: (*State).checkTasks, indexAll: (*State).indexTasks,
			share: (*sharedTexts).shareTask,
		}),
		mapNoun(TableTokens, func(t *tables) **btree.Map[TokenID, *Token] { return &t.tokens }, hooks[Token, TokenID]{
			key: func(t *Token) TokenID { return t.ID },
		}),
		mapNoun(TableReceipts, func(t *tables) **btree.Map[string, *ReceiptRow] { return &t.receipts },
			hooks[ReceiptRow, string]{
				key: func(r *ReceiptRow) string { return r.Token }, index: func(s *State, r *ReceiptRow) { s.receiptsByAge.Set(r) },
			}),
		mapNoun(TableEvents, func(t *tables) **btree.Map[uint64, *Event] { return &t.events }, hooks[Event, uint64]{
			key: func(e *Event) uint64 { return e.Seq }, index: func(s *State, e *Event) { s.eventMemory += eventSize(e) },
		}),
		treeNoun(TableConditions, func(t *tables) **btree.BTreeG[conditionItem] { return &t.conditions }, lessCondition,
			hooks[Condition, conditionItem]{
				key: itemOfCondition, check: (*State).checkCondition,
				index: func(s *State, w *Condition) { s.dueCondition(nil, w) },
			}),
		treeNoun(TableServiceEvents, func(t *tables) **btree.BTreeG[serviceEventItem] { return &t.serviceEvents },
			lessServiceEvent, hooks[Event, serviceEventItem]{
				key: itemOfServiceEvent, check: (*State).checkServiceEvent, index: (*State).indexServiceEvent,
			}),
		mapNoun(TableEffects, func(t *tables) **btree.Map[EffectID, *Effect] { return &t.effects }, hooks[Effect, EffectID]{
			key: func(e *Effect) EffectID { return e.ID }, check: (*State).checkEffect,
			index: func(s *State, e *Effect) { s.indexEffect(nil, e) },
		}),
		mapNoun(TableGoals, func(t *tables) **btree.Map[string, *Goals] { return &t.goals }, hooks[Goals, string]{
			key: func(g *Goals) string { return g.Service }, check: (*State).checkGoals,
		}),
		mapNoun(TableListeners, func(t *tables) **btree.Map[ListenerName, *Listener] { return &t.listeners },
			hooks[Listener, ListenerName]{
				key: func(l *Listener) ListenerName { return l.Name }, check: (*State).checkListener,
				index: func(s *State, l *Listener) { s.indexListener(nil, l) },
			}),
		mapNoun(TableRules, func(t *tables) **btree.Map[RuleID, *Rule] { return &t.rules }, hooks[Rule, RuleID]{
			key: func(r *Rule) RuleID { return r.ID }, check: (*State).checkRule,
		}),
		mapNoun(TableTargetGroups, func(t *tables) **btree.Map[TargetGroupName, *TargetGroup] { return &t.groups },
			hooks[TargetGroup, TargetGroupName]{
				key: func(g *TargetGroup) TargetGroupName { return g.Name }, check: (*State).checkTargetGroup,
				index: func(s *State, g *TargetGroup) { s.groupsByChange.Set(g) },
			}),
		mapNoun(TableEntryAddresses, func(t *tables) **btree.Map[string, *EntryAddress] { return &t.entries },
			hooks[EntryAddress, string]{key: (*EntryAddress).Name, check: (*State).checkEntryAddress}),
		treeNoun(TableDeployments, func(t *tables) **btree.BTreeG[deploymentItem] { return &t.deployments }, lessDeployment,
			hooks[Deployment, deploymentItem]{
				key: itemOfDeployment, check: (*State).checkDeployment,
				index: func(s *State, d *Deployment) { s.indexDeployment(nil, d) },
			}),
		mapNoun(TableAlarms, func(t *tables) **btree.Map[string, *Alarm] { return &t.alarms }, hooks[Alarm, string]{
			key: func(a *Alarm) string { return a.Name }, check: (*State).checkAlarmRow,
		}),
		mapNoun(TableHookTargets, func(t *tables) **btree.Map[string, *HookTarget] { return &t.hookTargets },
			hooks[HookTarget, string]{
				key: func(h *HookTarget) string { return h.Target },
			}),
	}
}

// noun is what is done alike with every table.
type noun struct {
	table  Table
	newRow func() any
	empty  func(*tables)          // makes the tree; nil for a single row
	copy   func(to, from *tables) // in O(1); nil for a single row
	rows   func(*State, func(row any) bool) bool
	load   func(s *State, t *sharedTexts, row any) error // rows come in the order of rows
	check  func(*State, *violations)                     // every row by itself, and the rows it names; nil for nothing
	index  func(*State)                                  // puts every row into the indices; nil for none
}

// hooks are what differs between tables.
type hooks[R, K any] struct {
	key   func(*R) K
	check func(*State, *violations, *R)
	index func(*State, *R)
	// checkAll checks all rows, and indexAll puts them into the indices, where that is
	// quicker than one by one.
	checkAll func(*State, *violations)
	indexAll func(*State)
	share    func(*sharedTexts, *R) // makes the texts of a row that is read those of other rows
}

// mapNoun describes a table of rows by their key.
func mapNoun[K ordered, R any](table Table, tree func(*tables) **btree.Map[K, *R], h hooks[R, K]) noun {
	return rowNoun(table, h, func(s *State, visit func(*R) bool) bool {
		whole := true
		(*tree(&s.tables)).Scan(func(_ K, row *R) bool {
			whole = visit(row)
			return whole
		})
		return whole
	}, noun{
		empty: func(t *tables) { *tree(t) = new(btree.Map[K, *R]) },
		copy:  func(to, from *tables) { *tree(to) = (*tree(from)).Copy() },
	}, func(s *State, row *R) { (*tree(&s.tables)).Load(h.key(row), row) })
}

// item is an element of a tree that orders rows otherwise than by their id.
type item[R any] interface{ rowOf() *R }

// treeNoun describes a table of rows by an order of their own.
func treeNoun[R any, I item[R]](
	table Table, tree func(*tables) **btree.BTreeG[I], less func(a, b I) bool, h hooks[R, I],
) noun {
	return rowNoun(table, h, func(s *State, visit func(*R) bool) bool {
		whole := true
		(*tree(&s.tables)).Scan(func(i I) bool {
			whole = visit(i.rowOf())
			return whole
		})
		return whole
	}, noun{
		empty: func(t *tables) { *tree(t) = unlocked(less) },
		copy:  func(to, from *tables) { *tree(to) = (*tree(from)).Copy() },
	}, func(s *State, row *R) { (*tree(&s.tables)).Load(h.key(row)) })
}

// rowNoun completes n for rows of type R.
func rowNoun[R, K any](
	table Table, h hooks[R, K], scan func(*State, func(*R) bool) bool, n noun, put func(*State, *R),
) noun {
	n.table = table
	n.newRow = func() any { return new(R) }
	n.rows = func(s *State, yield func(any) bool) bool {
		return scan(s, func(row *R) bool { return yield(row) })
	}
	n.load = func(s *State, t *sharedTexts, row any) error {
		r, ok := row.(*R)
		if !ok {
			return fmt.Errorf("add row of table %d: %T is no row of it: %w", table, row, ErrInvalid)
		}
		if h.share != nil {
			h.share(t, r)
		}
		put(s, r)
		return nil
	}
	each := func(s *State, do func(*R)) {
		scan(s, func(row *R) bool {
			do(row)
			return true
		})
	}
	n.check = h.checkAll
	if h.check != nil {
		n.check = func(s *State, b *violations) { each(s, func(row *R) { h.check(s, b, row) }) }
	}
	n.index = h.indexAll
	if h.index != nil {
		n.index = func(s *State) { each(s, func(row *R) { h.index(s, row) }) }
	}
	return n
}

// metaNoun describes the one row about the State itself.
func metaNoun() noun {
	return rowNoun(TableMeta, hooks[Meta, struct{}]{}, func(s *State, visit func(*Meta) bool) bool {
		return visit(&Meta{Index: s.index, Now: s.now, LastEvent: s.lastEvent})
	}, noun{}, func(s *State, m *Meta) { s.index, s.now, s.lastEvent = m.Index, m.Now, m.LastEvent })
}

// fleetNoun describes the one row about the fleet.
func fleetNoun() noun {
	n := rowNoun(TableFleet, hooks[Fleet, struct{}]{}, func(s *State, visit func(*Fleet) bool) bool {
		return s.fleet == nil || visit(s.fleet)
	}, noun{}, func(s *State, f *Fleet) { s.fleet = f })
	n.check = (*State).checkFleet
	return n
}

func newTables() tables {
	var t tables
	for i := range nouns {
		if nouns[i].empty != nil {
			nouns[i].empty(&t)
		}
	}
	return t
}

func (t *tables) copy() tables {
	var to tables
	for i := range nouns {
		if nouns[i].copy != nil {
			nouns[i].copy(&to, t)
		}
	}
	return to
}

// defItem keys a definition by family and number, since ids sort "a:10" before
// "a:9".
type defItem struct {
	family string
	number int
	row    *TaskDef
}

func (i defItem) rowOf() *TaskDef { return i.row }

func itemOfDef(d *TaskDef) defItem {
	family, n := d.ID.Split()
	return defItem{family, n, d}
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

func (i revisionItem) rowOf() *Revision { return i.row }

func itemOfRevision(r *Revision) revisionItem {
	service, n := r.ID.Split()
	return revisionItem{service, n, r}
}

func lessRevision(a, b revisionItem) bool {
	if a.service != b.service {
		return a.service < b.service
	}
	return a.number < b.number
}

// conditionItem keys a condition by subject and planner.
type conditionItem struct {
	subject Subject
	by      string
	row     *Condition
}

func (i conditionItem) rowOf() *Condition { return i.row }

func itemOfCondition(w *Condition) conditionItem { return conditionItem{w.Subject, w.By, w} }

func lessCondition(a, b conditionItem) bool {
	if c := a.subject.compare(b.subject); c != 0 {
		return c < 0
	}
	return a.by < b.by
}

// unlocked makes trees without a lock of their own: see State.cloneMu.
func unlocked[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}
