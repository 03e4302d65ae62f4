package plan

import (
	"cmp"
	"slices"

	"skein/raftfsm/fleet"
)

// The codes of conditions.
const (
	CodeRefused       = "command-refused"        // the fold refused a planner's command: a bug of ours
	CodeStuck         = "stuck-by-configuration" // the bounds of a service let nothing start or stop
	CodeNoHost        = "no-host-fits"           // tasks wait for room
	CodeNoEntryHost   = "no-host-for-entry"      // nobody can be given an entry address
	CodeEntryConflict = "entry-address-conflict" // a neighbour says that an entry address is its own
	CodeEntryFailed   = "entry-address-failed"   // its holder cannot answer for an entry address
	CodeEntryWaits    = "entry-address-waits"    // its holder must give an entry address away, and cannot yet
	CodeTasksCutOff   = "may-run-cut-off"        // replacements wait for the end of tasks nobody hears
	CodeBackOff       = "crash-back-off"         // starts of a service keep failing
	CodeStarting      = "not-steady"             // tasks of a service start or are replaced
	CodeLeaderCutOff  = "leader-cut-off"         // the leader hears less than half of the fleet
	CodeMassSilence   = "mass-silence"           // hosts are silenced one by one
	CodePowerReturn   = "power-returned"         // most hosts have just booted
	CodeDeployStopped = "deployment-stopped"     // a deployment ended where it was: its service has no tasks that start
	CodeDeployAlarm   = "deployment-alarm"       // a deployment waits for alarms
	CodeDeployPerson  = "deployment-person"      // a deployment waits for a person
	CodeDeployHook    = "deployment-hook"        // a deployment waits for the verdict of a hook
	CodeDeployRoutes  = "deployment-routes"      // a deployment waits for hosts that serve other weights
	CodeDeployTasks   = "deployment-tasks"       // a deployment waits for tasks to become healthy, or to stop
	CodeDeployTime    = "deployment-time"        // a deployment waits between steps, or bakes
	CodeFlapping      = "host-flapping"          // a host comes and goes
	CodeAgentDown     = "agent-down"             // a host's machine answers, its agent does not
	CodeAgentBack     = "agent-back"             // an end
	CodeClock         = "clock-differs"          // the leader's clock is off
	CodeSteady        = "steady-state"           // an end: the service is as it should be
	CodeSilenceOver   = "silence-within-bounds"  // an end of the three about silence
	CodeClockAgrees   = "clock-agrees"           // an end
)

// telling lists the codes of conditions that stand, most telling first: what a person
// must mend, then what keeps back work, then what passes by itself.
var telling = []string{
	CodeRefused, CodeLeaderCutOff, CodeClock, CodeStuck, CodeDeployStopped, CodeDeployAlarm, CodeDeployPerson,
	CodeNoEntryHost, CodeEntryConflict, CodeEntryFailed, CodeNoHost, CodeMassSilence, CodePowerReturn, CodeTasksCutOff,
	CodeBackOff, CodeDeployHook, CodeDeployRoutes, CodeEntryWaits, CodeFlapping, CodeAgentDown, CodeDeployTasks,
	CodeDeployTime, CodeStarting,
}

// rank is a code's place among those that are telling. One that is not known, of a
// newer agent, comes before CodeStarting, which says least.
func rank(code string) int {
	if i := slices.Index(telling, code); i >= 0 {
		return 2 * i
	}
	return 2*(len(telling)-1) - 1
}

// ConditionsOf returns what all planners say about a subject, most telling first.
func ConditionsOf(s *fleet.State, subject fleet.Subject) []*fleet.Condition {
	all := slices.Collect(s.ConditionsOf(subject))
	slices.SortStableFunc(all, func(a, b *fleet.Condition) int { return cmp.Compare(rank(a.Code), rank(b.Code)) })
	return all
}
