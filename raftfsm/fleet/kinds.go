package fleet

import (
	"fmt"
	"reflect"
	"slices"
)

// The kinds of command, by number in the log. To add one, see DESIGN.md.
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

	KindPutListener       Kind = 38
	KindDeleteListener    Kind = 39
	KindPutRule           Kind = 40
	KindDeleteRule        Kind = 41
	KindSetWeights        Kind = 42
	KindPutTargetGroup    Kind = 43
	KindDeleteTargetGroup Kind = 44
	KindExposeService     Kind = 45

	KindPutEntryAddress    Kind = 46
	KindDeleteEntryAddress Kind = 47
	KindAssignEntryAddress Kind = 48

	KindAdvanceDeployment  Kind = 49
	KindNoteDeployment     Kind = 50
	KindBeginHook          Kind = 51
	KindFinishHook         Kind = 52
	KindAskAlarm           Kind = 53
	KindRollBackDeployment Kind = 54
	KindFinishDeployment   Kind = 55
	KindOrderDeployment    Kind = 56
	KindPutAlarm           Kind = 57
	KindDeleteAlarm        Kind = 58
	KindPutHookTarget      Kind = 59
	KindDeleteHookTarget   Kind = 60
)

// kindEntry describes a kind. The codec, the gate of formats and what tells of commands
// derive from it.
type kindEntry struct {
	name   string
	since  int // the format of a fleet from which on it may be proposed
	decode func(into func(any) error) (Command, error)
}

var registry = map[Kind]kindEntry{
	KindInitFleet:       command[InitFleet]("init-fleet", 1),
	KindPutToken:        command[PutToken]("put-token", 1),
	KindDeleteToken:     command[DeleteToken]("delete-token", 1),
	KindAdmitHost:       command[AdmitHost]("admit-host", 1),
	KindOpenSession:     command[OpenSession]("open-session", 1),
	KindSilenceHost:     command[SilenceHost]("silence-host", 1),
	KindLoseHost:        command[LoseHost]("lose-host", 1),
	KindReturnHost:      command[ReturnHost]("return-host", 1),
	KindCordonHost:      command[CordonHost]("cordon-host", 1),
	KindUncordonHost:    command[UncordonHost]("uncordon-host", 1),
	KindForgetHost:      command[ForgetHost]("forget-host", 1),
	KindRevokeCert:      command[RevokeCert]("revoke-cert", 1),
	KindRegisterTaskDef: command[RegisterTaskDef]("register-taskdef", 1),
	KindPutService:      command[PutService]("put-service", 1),
	KindScaleService:    command[ScaleService]("scale-service", 1),
	KindDeleteService:   command[DeleteService]("delete-service", 1),
	KindRunTasks:        command[RunTasks]("run-tasks", 1),
	KindCreateTasks:     command[CreateTasks]("create-tasks", 1),
	KindAssignTasks:     command[AssignTasks]("assign-tasks", 1),
	KindStopTasks:       command[StopTasks]("stop-tasks", 1),
	KindReport:          command[Report]("report", 1),
	KindExpireTasks:     command[ExpireTasks]("expire-tasks", 1),
	KindSetVoter:        command[SetVoter]("set-voter", 1),
	KindRemoveVoter:     command[RemoveVoter]("remove-voter", 1),
	KindPutSealedKeys:   command[PutSealedKeys]("put-sealed-keys", 1),
	KindPutSetting:      command[PutSetting]("put-setting", 1),
	KindRaiseFormat:     command[RaiseFormat]("raise-format", 1),
	KindPutCondition:    command[PutCondition]("put-condition", 1),
	KindPrune:           command[Prune]("prune", 1),
	KindReplaceTasks:    command[ReplaceTasks]("replace-tasks", 1),
	KindPlaceTasks:      command[PlaceTasks]("place-tasks", 1),
	KindNoteLeader:      command[NoteLeader]("note-leader", 1),
	KindIntendEffect:    command[IntendEffect]("intend-effect", 1),
	KindHandEffect:      command[HandEffect]("hand-effect", 1),
	KindFinishEffect:    command[FinishEffect]("finish-effect", 1),
	KindWithdrawEffect:  command[WithdrawEffect]("withdraw-effect", 1),
	KindPutGoals:        command[PutGoals]("put-goals", 1),

	KindPutListener:       command[PutListener]("put-listener", 2),
	KindDeleteListener:    command[DeleteListener]("delete-listener", 2),
	KindPutRule:           command[PutRule]("put-rule", 2),
	KindDeleteRule:        command[DeleteRule]("delete-rule", 2),
	KindSetWeights:        command[SetWeights]("set-weights", 2),
	KindPutTargetGroup:    command[PutTargetGroup]("put-target-group", 2),
	KindDeleteTargetGroup: command[DeleteTargetGroup]("delete-target-group", 2),
	KindExposeService:     command[ExposeService]("expose-service", 2),

	KindPutEntryAddress:    command[PutEntryAddress]("put-entry-address", 2),
	KindDeleteEntryAddress: command[DeleteEntryAddress]("delete-entry-address", 2),
	KindAssignEntryAddress: command[AssignEntryAddress]("assign-entry-address", 2),

	KindAdvanceDeployment:  command[AdvanceDeployment]("advance-deployment", 2),
	KindNoteDeployment:     command[NoteDeployment]("note-deployment", 2),
	KindBeginHook:          command[BeginHook]("begin-hook", 2),
	KindFinishHook:         command[FinishHook]("finish-hook", 2),
	KindAskAlarm:           command[AskAlarm]("ask-alarm", 2),
	KindRollBackDeployment: command[RollBackDeployment]("roll-back-deployment", 2),
	KindFinishDeployment:   command[FinishDeployment]("finish-deployment", 2),
	KindOrderDeployment:    command[OrderDeployment]("order-deployment", 2),
	KindPutAlarm:           command[PutAlarm]("put-alarm", 2),
	KindDeleteAlarm:        command[DeleteAlarm]("delete-alarm", 2),
	KindPutHookTarget:      command[PutHookTarget]("put-hook-target", 2),
	KindDeleteHookTarget:   command[DeleteHookTarget]("delete-hook-target", 2),
}

// command describes a command type.
func command[C Command](name string, since int) kindEntry {
	gatedCommands[reflect.TypeFor[C]()] = gated(reflect.TypeFor[C]())
	return kindEntry{name, since, func(into func(any) error) (Command, error) {
		var c C
		if err := into(&c); err != nil {
			return nil, err
		}
		return c, nil
	}}
}

// Since is the format of a fleet from which on commands of the kind may be proposed.
func (k Kind) Since() int { return registry[k].since }

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
