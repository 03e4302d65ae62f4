package strictjson

import (
	"fmt"
	"strings"
)

// Handling is what becomes of a field.
type Handling uint8

// The fates.
const (
	Used    Handling = iota + 1 // does what its owner says it does
	Mapped                      // done in another way; a warning says which
	Ignored                     // accepted, not done; a warning says so
	Refused                     // the document is refused unless the value asks for nothing
)

// String is the fate in one word.
func (f Handling) String() string {
	switch f {
	case Used:
		return "used"
	case Mapped:
		return "mapped"
	case Ignored:
		return "ignored"
	case Refused:
		return "refused"
	default:
		return fmt.Sprintf("fate(%d)", uint8(f))
	}
}

// Field is one row of a table. Path joins names with dots and marks lists with
// "[]": "containerDefinitions[].image". Why says how it is mapped, or why it is
// not done and what to do instead; a used field needs none.
type Field struct {
	Path     string
	Handling Handling
	Why      string
}

// Table is every field that a kind of document may hold. What has no row does
// not exist.
type Table struct {
	name   string
	fields []Field
	root   *node
}

type node struct {
	field    Field
	list     bool
	names    []string // in the table's order
	children map[string]*node
}

// NewTable builds a table. A row before its parent's, given twice, or without
// a needed reason is a bug in this program and panics.
func NewTable(name string, fields []Field) *Table {
	t := &Table{name: name, fields: fields, root: &node{children: map[string]*node{}}}
	for _, f := range fields {
		if f.Handling != Used && f.Why == "" {
			panic(fmt.Sprintf("table %s: %s needs a reason", name, f.Path))
		}
		parent, leaf := t.root, f.Path
		if at := strings.LastIndexByte(f.Path, '.'); at >= 0 {
			parent, leaf = t.find(f.Path[:at]), f.Path[at+1:]
		}
		leaf, list := strings.CutSuffix(leaf, "[]")
		if parent == nil || parent.children[leaf] != nil {
			panic(fmt.Sprintf("table %s: %s has no parent row or is given twice", name, f.Path))
		}
		parent.names = append(parent.names, leaf)
		parent.children[leaf] = &node{field: f, list: list, children: map[string]*node{}}
	}
	return t
}

// Fields are the rows, in order.
func (t *Table) Fields() []Field { return t.fields }

// Lookup returns the row of a path, list marks included or not.
func (t *Table) Lookup(path string) (Field, bool) {
	n := t.find(path)
	if n == nil || n == t.root {
		return Field{}, false
	}
	return n.field, true
}

func (t *Table) find(path string) *node {
	at := t.root
	for name := range strings.SplitSeq(path, ".") {
		if at = at.children[strings.TrimSuffix(name, "[]")]; at == nil {
			return nil
		}
	}
	return at
}

// Audit holds a document against the table: unknown and refused fields become
// refusals, mapped and ignored ones warnings. Strict refuses all but used
// fields, whatever their value. Types are the readers' business.
func (t *Table) Audit(doc Value, strict bool, p *Problems) {
	(&audit{table: t, strict: strict, problems: p}).object(doc, t.root, "")
}

type audit struct {
	table    *Table
	strict   bool
	problems *Problems
}

func (a *audit) object(v Value, at *node, path string) {
	for _, m := range v.members {
		full := Join(path, m.Name)
		n := at.children[m.Name]
		if n == nil {
			hint := ""
			if !a.problems.full() { // nobody would read it, and it takes time
				hint = a.table.hint(at, m.Name)
			}
			a.problems.Refuse(full, "unknown field%s", hint)
			continue
		}
		a.judge(n, m.Value, full)
		if n.field.Handling == Used || n.field.Handling == Mapped {
			a.descend(n, m.Value, full)
		}
	}
}

func (a *audit) descend(n *node, v Value, path string) {
	if len(n.children) == 0 {
		return
	}
	if !n.list {
		a.object(v, n, path)
		return
	}
	for i, item := range v.items {
		a.object(item, n, fmt.Sprintf("%s[%d]", path, i))
	}
}

func (a *audit) judge(n *node, v Value, path string) {
	switch {
	case n.field.Handling == Used || v.kind == Null:
	case a.strict:
		a.problems.Refuse(path, "%s: %s; strict accepts only fields that are used", n.field.Handling, n.field.Why)
	case v.Idle():
	case n.field.Handling == Refused:
		a.problems.Refuse(path, "%s", n.field.Why)
	case n.field.Handling == Ignored:
		a.problems.Warn(path, "ignored: %s", n.field.Why)
	default:
		a.problems.Warn(path, "%s", n.field.Why)
	}
}
