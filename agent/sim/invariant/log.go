package invariant

import (
	"time"

	"skein/raftfsm/fleet"
)

// latestStamp is the last moment that State takes for a time (year 9999).
const latestStamp fleet.Time = 253_402_300_799_000

// Entry is an entry of the log as it was committed and applied.
type Entry struct {
	Index, Term uint64
	Leader      fleet.RaftID // empty: not known
	// Planned is the index of the State that a planner had when it made the entry;
	// 0 when nobody planned, or nobody knows. What happened between is not held
	// against the planner.
	Planned uint64
	Entry   fleet.Entry
	Results []fleet.Result
	After   *fleet.State // after the entry; rows are read, nothing derived
}

// logbook is what is remembered of the log itself.
type logbook struct {
	index, term uint64
	leader      fleet.RaftID  // the newest that is known
	termFrom    time.Duration // when the first entry of the term came
	leaders     map[uint64]fleet.RaftID
	votes       map[ballot]fleet.RaftID
	wiped       map[fleet.RaftID]bool
	stuck       map[fleet.RaftID]bool // takes no snapshot
	cut         bool                  // by an operator: machines may know of what it lost
	receipts    map[string]receipt
	byAge       []string // tokens, oldest first
}

func newLogbook() logbook {
	return logbook{
		leaders:  map[uint64]fleet.RaftID{},
		votes:    map[ballot]fleet.RaftID{},
		wiped:    map[fleet.RaftID]bool{},
		stuck:    map[fleet.RaftID]bool{},
		receipts: map[string]receipt{},
	}
}

// Committed takes in an entry; each once, in the order of the log.
func (c *Checker) Committed(e Entry) {
	c.tick()
	c.order(&e)
	if e.Term != c.log.term {
		c.log.termFrom = c.now()
	}
	c.log.index, c.log.term = e.Index, e.Term
	m := &c.model
	if e.Entry.At > m.now && e.Entry.At <= latestStamp {
		if m.now > 0 && e.Entry.At.Sub(m.now) > c.now()-m.nowAt+clockJump {
			m.jumpedAt = c.now()
		}
		m.now, m.nowAt = e.Entry.At, c.now()
	}
	c.settle()
	for i := range e.Entry.Items {
		c.item(&e, i)
	}
	c.spread(&e)
	c.surplus(&e)
	c.rollouts(&e)
	c.compare(e.After)
}

// item takes in one command of an entry.
func (c *Checker) item(e *Entry, i int) {
	item, result := &e.Entry.Items[i], &e.Results[i]
	c.format(item, result)
	if result.Err != nil || item.Command == nil {
		return
	}
	if item.Receipt != nil && c.repeated(e, item, result) {
		return
	}
	if c.model.planning = isPlanner(item.By); c.model.planning {
		c.model.pass = e.Planned
	}
	c.apply(e, item, result)
	c.model.planning, c.model.pass = false, 0
}

// planners are the authors whose stops are our own decisions (DESIGN
// "Planners"). Everybody else is an operator, a host or the keeper.
var planners = map[string]bool{
	"hosts": true, "entry": true, "deploy": true, "service": true, "drain": true, "patch": true, "balance": true,
	"consolidate": true, "placement": true, "pool": true, "lead": true, "leader": true,
}

func isPlanner(by string) bool { return planners[by] }

// apply changes the model as a command says.
func (c *Checker) apply(e *Entry, item *fleet.Item, result *fleet.Result) {
	switch cmd := item.Command.(type) {
	case fleet.InitFleet:
		c.admit(cmd.Host.ID, cmd.Host.Name, cmd.Host.Zone)
		c.model.format, c.model.keys = max(cmd.Format, 1), cmd.SealedKeys.Version
		c.model.everRaft[cmd.RaftID] = true
		c.model.voters[cmd.RaftID] = fleet.VoterVoting
	case fleet.AdmitHost:
		c.admitHost(e, cmd, result)
	case fleet.OpenSession:
		c.openSession(cmd)
	case fleet.SilenceHost:
		c.silenceHost(cmd)
	case fleet.LoseHost:
		c.loseHost(cmd)
	case fleet.ReturnHost:
		c.returnHost(cmd)
	case fleet.CordonHost:
		c.cordon(cmd.Host, true)
	case fleet.UncordonHost:
		c.cordon(cmd.Host, false)
	case fleet.ForgetHost:
		c.forgetHost(cmd)
	case fleet.ExpireTasks:
		c.expireTasks(cmd)
	case fleet.PutSetting:
		switch cmd.Name {
		case fleet.SettingLostAfter:
			c.model.lostAfter = fleet.Time(cmd.Value)
		case fleet.SettingVoters:
			c.model.setVoters = int(cmd.Value)
		}
	case fleet.PutSealedKeys:
		c.putKeys(cmd)
	case fleet.RaiseFormat:
		c.raised(cmd, e.After)
	case fleet.SetVoter:
		c.setVoter(item.By, cmd)
	case fleet.RemoveVoter:
		delete(c.model.voters, cmd.ID)
	case fleet.RevokeCert:
		if h := c.model.hosts[cmd.Host]; h != nil {
			h.revoked, h.shunned = true, true
		}
	case fleet.Prune:
		c.prune(cmd, e.After)
	default:
		c.applyWork(e, item, result)
	}
}

// applyWork is apply for commands about services and tasks.
func (c *Checker) applyWork(e *Entry, item *fleet.Item, result *fleet.Result) {
	switch cmd := item.Command.(type) {
	case fleet.RegisterTaskDef:
		c.model.defs[fleet.TaskDefID(result.IDs[0])] = define(&cmd.Def)
	case fleet.PutService:
		c.putService(cmd, fleet.RevisionID(result.IDs[0]))
		c.bindNew(cmd, e.After, result)
		c.replaced(e.After, cmd.Name)
	case fleet.ScaleService:
		if s := c.model.services[cmd.Name]; s != nil {
			s.scale(c.log.index, cmd.Desired)
		}
	case fleet.DeleteService:
		c.model.traffic = true
		c.replaced(e.After, cmd.Name)
		if s := c.model.services[cmd.Name]; s != nil {
			c.bind(s, e.After)
			c.forgotten(s.deployment, e.After)
		}
		c.deleteService(cmd)
	case fleet.ExposeService:
		c.putService(cmd.Service, fleet.RevisionID(result.IDs[0]))
		c.bindNew(cmd.Service, e.After, result)
	case fleet.PutGoals:
		c.putGoals(cmd, item.By)
	case fleet.RunTasks:
		c.createTasks(cmd.Tasks, nil, "", c.model.defs[cmd.TaskDef])
	case fleet.CreateTasks:
		if s := c.model.services[serviceOf(cmd.Revision)]; s != nil {
			c.createTasks(cmd.Tasks, s, cmd.Revision, s.defs[cmd.Revision])
			if c.model.planning {
				c.starts(s, cmd.Revision, e.Planned)
			}
			c.withinGoals(s, cmd.Revision)
			c.startsOf(s, cmd.Revision)
		}
	case fleet.AssignTasks:
		c.assignTasks(cmd)
	case fleet.ReplaceTasks:
		c.replaceTasks(cmd)
	case fleet.PlaceTasks:
		for _, share := range accepted(cmd, result) {
			c.assignTasks(share)
		}
	case fleet.StopTasks:
		c.stopTasks(e, cmd)
	case fleet.Report:
		c.report(cmd)
	default:
		c.applyDeployment(e, item)
	}
}

// notModelled are the kinds of command that change nothing of the model.
var notModelled = map[fleet.Kind]bool{
	fleet.KindPutToken: true, fleet.KindDeleteToken: true, fleet.KindPutCondition: true, fleet.KindNoteLeader: true,
	// Traffic is derived from tasks that are modelled; of rules the shares are.
	fleet.KindDeleteListener: true, fleet.KindPutTargetGroup: true, fleet.KindDeleteTargetGroup: true,
	// What deployments are asked, and what they may name, touches no task.
	fleet.KindPutAlarm: true, fleet.KindDeleteAlarm: true, fleet.KindPutHookTarget: true,
	fleet.KindDeleteHookTarget: true,
	// Nobody has entry addresses here: runtime/entry is not simulated.
	fleet.KindPutEntryAddress: true, fleet.KindDeleteEntryAddress: true, fleet.KindAssignEntryAddress: true,
}
