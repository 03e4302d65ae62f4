//go:build nextformat

package fleet

// nextFormats is one in a build with the tag nextformat: it reads a format more than
// the code has, and stands for the agent to come, so that tests have fleets of two
// builds. Such a build has a field more in what embeds NextFields and in every message
// and file (see wire), a kind of command and a kind of subject more. Nothing of it is
// ever released.
const nextFormats = 1

// NextFields are the fields that the next format adds to what embeds them.
type NextFields struct {
	Next string `cbor:"9999,keyasint,omitempty" since:"next"`
}

// Next is what an agent of this build says in them.
func Next() NextFields { return NextFields{Next: "of the next format"} }

// KindMarkTaskDef is far above the kinds that will be.
const KindMarkTaskDef Kind = 60_000

// MarkTaskDef gives a task definition the field that only agents of the next format
// know, and that they must not skip.
type MarkTaskDef struct {
	ID   TaskDefID `cbor:"1,keyasint"`
	Next string    `cbor:"2,keyasint"`
}

// Kind is the command's number in the log.
func (MarkTaskDef) Kind() Kind { return KindMarkTaskDef }

func (c MarkTaskDef) apply(s *State, x *applyContext) ([]string, error) {
	old := s.TaskDef(c.ID)
	if old == nil {
		return nil, refuse(ErrNotFound, "mark %s", quoted(string(c.ID)))
	}
	if err := checkText("next", c.Next, MaxName); err != nil {
		return nil, err
	}
	def := *old
	def.Next = c.Next
	def.ModifyIndex = x.index
	s.defs.Set(itemOfDef(&def))
	return nil, nil
}

// SubjectNext is a kind of subject that only agents of the next format know.
const (
	nextSubjectKinds = 1
	SubjectNext      = SubjectKind(subjectKindCount - 1)
)

func init() {
	subjectKinds[SubjectNext] = subjectKind{text: "next", since: FormatVersion}
	registry[KindMarkTaskDef] = command[MarkTaskDef]("mark-taskdef", FormatVersion)
}
