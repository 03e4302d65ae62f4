package fleet

import (
	"fmt"
	"reflect"
	"slices"
)

// The kinds of command, by number in the log. To add one: the next number here,
// a line in registry, a file with type, doc and apply.
const (
	KindInitFleet       Kind = 1
	KindPutToken        Kind = 2
	KindDeleteToken     Kind = 3
	KindAdmitHost       Kind = 4
	KindOpenSession     Kind = 5
	KindSilenceHost     Kind = 6
	KindLoseHost        Kind = 7
	KindReturnHost      Kind = 8
	KindCordonHost      Kind = 9
	KindUncordonHost    Kind = 10
	KindForgetHost      Kind = 11
	KindRevokeCert      Kind = 12
	KindRegisterTaskDef Kind = 13
	KindPutService      Kind = 14
	KindScaleService    Kind = 15
	KindDeleteService   Kind = 16
	KindRunTasks        Kind = 17
	KindCreateTasks     Kind = 18
	KindAssignTasks     Kind = 19
	KindStopTasks       Kind = 20
	KindReport          Kind = 21
	KindExpireTasks     Kind = 22
	KindSetVoter        Kind = 23
	KindRemoveVoter     Kind = 24
	KindPutSealedKeys   Kind = 25
	KindPutSetting      Kind = 26
	KindRaiseFormat     Kind = 27
	KindPutCondition    Kind = 28
	KindPrune           Kind = 29
	KindReplaceTasks    Kind = 30
	KindPlaceTasks      Kind = 31
	KindIntendEffect    Kind = 32
	KindHandEffect      Kind = 33
	KindFinishEffect    Kind = 34
	KindWithdrawEffect  Kind = 35
	KindPutGoals        Kind = 36
	KindNoteLeader      Kind = 37
)

// kindEntry is what the codec must know of a kind.
type kindEntry struct {
	name   string
	decode func(into func(any) error) (Command, error)
}

var registry = map[Kind]kindEntry{
	KindInitFleet:       command[InitFleet]("init-fleet"),
	KindPutToken:        command[PutToken]("put-token"),
	KindDeleteToken:     command[DeleteToken]("delete-token"),
	KindAdmitHost:       command[AdmitHost]("admit-host"),
	KindOpenSession:     command[OpenSession]("open-session"),
	KindSilenceHost:     command[SilenceHost]("silence-host"),
	KindLoseHost:        command[LoseHost]("lose-host"),
	KindReturnHost:      command[ReturnHost]("return-host"),
	KindCordonHost:      command[CordonHost]("cordon-host"),
	KindUncordonHost:    command[UncordonHost]("uncordon-host"),
	KindForgetHost:      command[ForgetHost]("forget-host"),
	KindRevokeCert:      command[RevokeCert]("revoke-cert"),
	KindRegisterTaskDef: command[RegisterTaskDef]("register-taskdef"),
	KindPutService:      command[PutService]("put-service"),
	KindScaleService:    command[ScaleService]("scale-service"),
	KindDeleteService:   command[DeleteService]("delete-service"),
	KindRunTasks:        command[RunTasks]("run-tasks"),
	KindCreateTasks:     command[CreateTasks]("create-tasks"),
	KindAssignTasks:     command[AssignTasks]("assign-tasks"),
	KindStopTasks:       command[StopTasks]("stop-tasks"),
	KindReport:          command[Report]("report"),
	KindExpireTasks:     command[ExpireTasks]("expire-tasks"),
	KindSetVoter:        command[SetVoter]("set-voter"),
	KindRemoveVoter:     command[RemoveVoter]("remove-voter"),
	KindPutSealedKeys:   command[PutSealedKeys]("put-sealed-keys"),
	KindPutSetting:      command[PutSetting]("put-setting"),
	KindRaiseFormat:     command[RaiseFormat]("raise-format"),
	KindPutCondition:    command[PutCondition]("put-condition"),
	KindPrune:           command[Prune]("prune"),
	KindReplaceTasks:    command[ReplaceTasks]("replace-tasks"),
	KindPlaceTasks:      command[PlaceTasks]("place-tasks"),
	KindNoteLeader:      command[NoteLeader]("note-leader"),
	KindIntendEffect:    command[IntendEffect]("intend-effect"),
	KindHandEffect:      command[HandEffect]("hand-effect"),
	KindFinishEffect:    command[FinishEffect]("finish-effect"),
	KindWithdrawEffect:  command[WithdrawEffect]("withdraw-effect"),
	KindPutGoals:        command[PutGoals]("put-goals"),
}

// command registers a command type under its name.
func command[C Command](name string) kindEntry {
	gatedCommands[reflect.TypeFor[C]()] = gated(reflect.TypeFor[C]())
	return kindEntry{name, func(into func(any) error) (Command, error) {
		var c C
		if err := into(&c); err != nil {
			return nil, err
		}
		return c, nil
	}}
}

// String is the kind's name: "create-tasks".
func (k Kind) String() string {
	if entry, ok := registry[k]; ok {
		return entry.name
	}
	return fmt.Sprintf("command kind %d", uint16(k))
}

// Kinds lists the registered kinds in the order of their numbers.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(registry))
	for k := range registry {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// DecodeCommand makes the command of a kind: into fills a pointer to its zero
// value. ok is false for a kind that this build does not know.
func DecodeCommand(k Kind, into func(any) error) (c Command, ok bool, err error) {
	entry, ok := registry[k]
	if !ok {
		return nil, false, nil
	}
	c, err = entry.decode(into)
	return c, true, err
}
