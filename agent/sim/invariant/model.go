package invariant

import (
	"hash/fnv"
	"time"

	"skein/raftfsm/fleet"
)

// model is State as a reader of its commands would keep it.
type model struct {
	now       fleet.Time
	nowAt     time.Duration // when that was
	jumpedAt  time.Duration // when it last went ahead faster than the clock
	lostAfter fleet.Time
	format    int
	keys      int // version of the sealed keys
	voters    map[fleet.RaftID]fleet.VoterPhase
	setVoters int // as the setting has it
	hosts     map[fleet.HostID]*host
	services  map[string]*service
	tasks     map[fleet.TaskID]*task
	defs      map[fleet.TaskDefID]*definition
	waiting   map[fleet.TaskID]*task // to run, without a host
	stopped   []*task                // in the order of their stops, for Prune
	settling  []settling             // RUNNING and unchecked, in the order of starts
	everTask  map[uint64]struct{}    // hashes of all task ids there ever were
	everRaft  map[fleet.RaftID]bool
	effects   map[fleet.EffectID]*effect
	wrote     map[fleet.RuleID][]fleet.GroupWeight // by people
	traffic   bool                                 // an entry is about rules or deployments

	hostsChangedAt     uint64 // index of the entry by which a host's state last changed
	hostsChangedBefore uint64 // and of the one before

	planning  bool   // a planner's command is being applied
	pass      uint64 // and Entry.Planned of its pass
	dirty     []*task
	changeSet []*host
}

func newModel() model {
	return model{
		lostAfter: fleet.Time(fleet.DefaultSettings().LostAfterMs),
		setVoters: fleet.DefaultSettings().Voters,
		voters:    map[fleet.RaftID]fleet.VoterPhase{},
		hosts:     map[fleet.HostID]*host{},
		services:  map[string]*service{},
		tasks:     map[fleet.TaskID]*task{},
		defs:      map[fleet.TaskDefID]*definition{},
		waiting:   map[fleet.TaskID]*task{},
		everTask:  map[uint64]struct{}{},
		everRaft:  map[fleet.RaftID]bool{},
		effects:   map[fleet.EffectID]*effect{},
		wrote:     map[fleet.RuleID][]fleet.GroupWeight{},
	}
}

type host struct {
	id           fleet.HostID
	name, zone   string
	state        fleet.HostState
	stateSince   fleet.Time
	silentSince  fleet.Time    // when it last fell silent; 0: never, or it has rebooted unnoticed since
	silentAt     time.Duration // the same by the checker's clock
	flaps        int           // silences in a row, each soon after a return
	everReady    bool
	cordoned     bool
	draining     bool
	revoked      bool // its certificate: nobody talks to it
	boot         string
	session      uint64
	sessionSince fleet.Time // when that was opened
	reads        int        // format, by its session
	shunned      bool       // nobody talks to it since it was revoked, or refused for its age
	bootSession  uint64
	seq          uint64
	capacity     fleet.Resources
	shrunk       bool   // capacity fell below what was reserved, and nothing made up for it yet
	roomAt       uint64 // index at which the host last got more room, or opened
	reserved     fleet.Resources
	held         map[fleet.TaskID]*task
	ports        map[port]*task
}

type port struct {
	protocol fleet.Protocol
	number   int
}

type service struct {
	name       string
	draining   bool
	grace      fleet.Time
	revision   fleet.RevisionID
	settings   []setting // newest last
	defs       map[fleet.RevisionID]*definition
	live       map[fleet.TaskID]*task                       // not STOPPED
	goals      *goals                                       // nil: none stand
	groups     map[fleet.RevisionID][]fleet.TargetGroupName // of revisions that are in any
	present    map[fleet.RevisionID]int                     // tasks that are to run and reachable
	deployment *deployment                                  // the newest; nil: there was none
	good       fleet.RevisionID                             // target of the last deployment that succeeded
	// healthy and running count tasks that are to run, RUNNING and reachable.
	healthy, running int
	falls            []fall
	changedAt        uint64        // index of the entry by which a task of it last came, went or was placed
	changedBefore    uint64        // and of the one before
	failedAt         fleet.Time    // when a task of it last ended by itself
	cutOff           fleet.Time    // shortest onDisconnect it ever had; 0: none
	stopAfter        fleet.Time    // its onDisconnect now; 0: keep
	stopAfterAt      time.Duration // since when

	// Its crash back-off, as far as this checker can tell.
	failures      int        // rounds of starts that failed in a row
	notBefore     fleet.Time // no start until then
	roundFrom     fleet.Time // tasks made before are of an earlier round
	failedAtIndex uint64     // of the entry that told of the newest failed round
}

// setting is what an operator wanted of a service from an index on.
type setting struct {
	from           uint64
	desired        int
	lower, upper   int
	minPer, maxPer int
	grace          fleet.Time
}

// fall is a task that stopped being healthy, or running.
type fall struct {
	index            uint64
	pass             uint64 // Entry.Planned of the planner's pass that made it; 0: nobody's
	healthy, running bool
	due              fleet.Time // a task that ran unchecked and young: when it would have counted as healthy; 0: not so
}

type task struct {
	id       fleet.TaskID
	service  *service // nil: standalone
	revision fleet.RevisionID
	def      *definition
	host     *host
	toRun    bool
	cause    fleet.Cause // why it is to stop; 0 while it is to run
	ended    bool        // by itself, as its host said
	replace  fleet.Cause // why others are to replace it; 0: it may stay
	last     fleet.TaskStatus
	health   fleet.Health
	attempt  int
	session  uint64
	ports    []fleet.PortBinding
	targets  []target

	created, started, stoppedAt fleet.Time
	at                          time.Duration // since when it is last
	unconfirmed                 bool
	began                       string // boot in which its start was recorded
	hostSaid                    bool   // STOPPED by its host's word
	present, healthy, running   bool   // as the service counts it
	healthyAt                   uint64
	dirty                       bool
}

func (t *task) held() bool { return t.host != nil && (t.last != fleet.TaskStopped || t.unconfirmed) }

// definition is what rules need of a task definition.
type definition struct {
	need       fleet.Resources
	checked    bool
	containers int
	fixed      []port
}

// define reads a definition. Source: ECS API, ContainerDefinition.
func define(def *fleet.TaskDef) *definition {
	d := &definition{containers: len(def.Containers)}
	for _, c := range def.Containers {
		memory := c.MemoryReservation
		if memory == 0 {
			memory = c.Memory
		}
		d.need.CPU += c.CPU
		d.need.Memory += memory
		d.checked = d.checked || c.HealthCheck != nil && !c.NotEssential
		for _, m := range c.PortMappings {
			if m.HostPort != 0 {
				d.fixed = append(d.fixed, port{m.Protocol, m.HostPort})
			}
		}
	}
	if def.CPU > 0 {
		d.need.CPU = def.CPU
	}
	if def.Memory > 0 {
		d.need.Memory = def.Memory
	}
	return d
}

func exceeds(r, room fleet.Resources) bool { return r.CPU > room.CPU || r.Memory > room.Memory }

func plus(a, b fleet.Resources) fleet.Resources {
	return fleet.Resources{CPU: a.CPU + b.CPU, Memory: a.Memory + b.Memory}
}

func minus(a, b fleet.Resources) fleet.Resources {
	return fleet.Resources{CPU: a.CPU - b.CPU, Memory: a.Memory - b.Memory}
}

// hashOf stands for an id that is remembered for ever.
func hashOf(id fleet.TaskID) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum64()
}
