package fleet

import "fmt"

// Builder makes a State from the rows of a snapshot. Not for concurrent use.
type Builder struct {
	s     *State
	table Table
	texts sharedTexts
}

// NewBuilder returns a Builder without rows.
func NewBuilder() *Builder { return &Builder{s: New(), texts: sharedTexts{}} }

// Add puts a row, as made by NewRow, into its table. Rows must come as Rows
// yields them. The row belongs to the State afterwards.
func (b *Builder) Add(t Table, row any) error {
	n := nounOf(t)
	if n == nil {
		return fmt.Errorf("add row of table %d: there is no such table: %w", t, ErrInvalid)
	}
	if err := b.enter(t); err != nil {
		return err
	}
	return n.load(b.s, &b.texts, row)
}

// AddTask is Add for a task whose texts, but for its id, are from Text.
func (b *Builder) AddTask(t *Task) error {
	if err := b.enter(TableTasks); err != nil {
		return err
	}
	b.s.tasks.Load(t.ID, t)
	return nil
}

// Text returns the one copy of a text that many rows have.
func (b *Builder) Text(text []byte) string {
	if kept, ok := b.texts[string(text)]; ok {
		return kept
	}
	return b.texts.one(string(text))
}

func (b *Builder) enter(t Table) error {
	if t < b.table {
		return fmt.Errorf("add row of table %d after table %d: %w", t, b.table, ErrInvalid)
	}
	b.table = t
	return nil
}

// sharedTexts holds one copy of each text that many rows share.
type sharedTexts map[string]string

// shareTask makes a task's texts those of the rows it names.
func (x *sharedTexts) shareTask(t *Task) {
	t.Service = x.one(t.Service)
	t.Revision = RevisionID(x.one(string(t.Revision)))
	t.TaskDef = TaskDefID(x.one(string(t.TaskDef)))
	t.Host = HostID(x.one(string(t.Host)))
	t.Group = x.one(t.Group)
	t.StartedBy = x.one(t.StartedBy)
	t.Reason = x.one(t.Reason)
	if t.Stop != nil {
		t.Stop.By = x.one(t.Stop.By)
	}
	if t.Replace != nil {
		t.Replace.By = x.one(t.Replace.By)
	}
	for i := range t.Containers {
		t.Containers[i].Name = x.one(t.Containers[i].Name)
	}
	for i := range t.Ports {
		t.Ports[i].Container = x.one(t.Ports[i].Container)
	}
	for i := range t.Images {
		t.Images[i].Container, t.Images[i].Digest = x.one(t.Images[i].Container), x.one(t.Images[i].Digest)
	}
	for i := range t.Exits {
		t.Exits[i].Container, t.Exits[i].Reason = x.one(t.Exits[i].Container), x.one(t.Exits[i].Reason)
	}
	for i := range t.Targets {
		t.Targets[i].Group = TargetGroupName(x.one(string(t.Targets[i].Group)))
		t.Targets[i].Reason = x.one(t.Targets[i].Reason)
	}
}

func (x *sharedTexts) one(v string) string {
	if v == "" {
		return ""
	}
	if kept, ok := (*x)[v]; ok {
		return kept
	}
	(*x)[v] = v
	return v
}

// State builds the indices and returns the State, or what is broken in it. The
// Builder is of no use afterwards.
func (b *Builder) State() (*State, error) {
	s := b.s
	if err := s.checkRows(); err != nil {
		return nil, err
	}
	s.buildIndices()
	if err := s.checkSums(); err != nil {
		return nil, err
	}
	return s, nil
}

// buildIndices builds all indices of a State that has only rows, which name only
// rows that are there.
func (s *State) buildIndices() {
	s.indices = newIndices()
	for i := range nouns {
		if nouns[i].index != nil {
			nouns[i].index(s)
		}
	}
}
