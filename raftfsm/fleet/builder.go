package fleet

import "fmt"

// Builder makes a State from the rows of a snapshot. Not for concurrent use.
type Builder struct {
	s     *State
	table Table
	// texts holds one copy of each text that many tasks share.
	texts map[string]string
}

// NewBuilder returns a Builder without rows.
func NewBuilder() *Builder { return &Builder{s: New(), texts: map[string]string{}} }

// Add puts a row, as made by NewRow, into its table. Rows must come as Rows
// yields them. The row belongs to the State afterwards.
func (b *Builder) Add(t Table, row any) error {
	if t < b.table {
		return fmt.Errorf("add row of table %d after table %d: %w", t, b.table, ErrInvalid)
	}
	b.table = t
	s := b.s
	switch row := row.(type) {
	case *Meta:
		s.index, s.now, s.lastDecision = row.Index, row.Now, row.LastDecision
	case *Fleet:
		s.fleet = row
	case *Host:
		s.hosts.Set(row.ID, row)
	case *Voter:
		s.voters.Set(row.ID, row)
	case *TaskDef:
		s.putDef(row)
	case *Service:
		s.services.Set(row.Name, row)
	case *FormerService:
		s.former.Set(row.Name, row)
	case *Revision:
		s.putRevision(row)
	case *Task:
		b.share(row)
		s.tasks.Load(row.ID, row)
	case *Token:
		s.tokens.Set(row.ID, row)
	case *ReceiptRow:
		s.receipts.Set(row.Token, row)
	case *Decision:
		s.decisions.Set(row.Seq, row)
	case *Wait:
		s.waits.Set(row.About, row)
	default:
		return fmt.Errorf("add row of table %d: %T is no row: %w", t, row, ErrInvalid)
	}
	return nil
}

// share makes a task's texts those of the rows it names.
func (b *Builder) share(t *Task) {
	t.Service = b.text(t.Service)
	t.Revision = RevisionID(b.text(string(t.Revision)))
	t.TaskDef = TaskDefID(b.text(string(t.TaskDef)))
	t.Host = HostID(b.text(string(t.Host)))
	t.Group = b.text(t.Group)
	t.StartedBy = b.text(t.StartedBy)
	t.Reason = b.text(t.Reason)
}

func (b *Builder) text(v string) string {
	if v == "" {
		return ""
	}
	if kept, ok := b.texts[v]; ok {
		return kept
	}
	b.texts[v] = v
	return v
}

// State builds the indices and returns the State, or what is broken in it. The
// Builder is of no use afterwards.
func (b *Builder) State() (*State, error) {
	s := b.s
	if err := s.checkRows(); err != nil {
		return nil, err
	}
	s.index0()
	if err := s.checkSums(); err != nil {
		return nil, err
	}
	return s, nil
}

// index0 builds all indices of a State that has only rows, which name only rows
// that are there.
func (s *State) index0() {
	s.indices = newIndices()
	for h := range s.Hosts() {
		s.indexHost(nil, h)
	}
	for v := range s.Services() {
		s.dueService(nil, v)
	}
	for t := range s.Tasks() {
		s.indexTask(nil, t)
	}
	for r := range values(s.receipts) {
		s.receiptsByAge.Set(r)
	}
	for d := range s.DecisionsAfter(0) {
		s.decisionMem += decisionSize(d)
	}
	for w := range s.Waits() {
		s.dueWait(nil, w)
	}
}
