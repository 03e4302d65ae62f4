package fleet

import "time"

// Limits on what State takes in. Past one, a command is refused with ErrLimit
// or a FieldError and State is as it was.
const (
	MaxHosts      = 20_000    // twice the largest fleet the design speaks of
	MaxTasks      = 2_000_000 // kept ones, stopped included: twice the same
	MaxServices   = 100_000   // 10 tasks a service at the largest fleet
	MaxTaskDefs   = 200_000   // they are never removed: about 200 MB at 1 KiB each
	MaxTokens     = 10_000    // as many hosts as join on a token each
	MaxConditions = 400_000   // three a service and as many standalone tasks as services
	MaxDesired    = 1_000_000 // desired count of one service: the whole largest fleet

	MaxRun         = 4_096  // tasks in one command: 160 KiB of ids, a third of an entry
	MaxRunTasks    = 10     // standalone tasks at once (ECS API, RunTask)
	MaxFlaps       = 1_000  // silences in a row that are counted: the hold stops growing long before
	MaxReportTasks = 10_000 // tasks in one report; a host sends more in several
	MaxSelfChecks  = 64     // lines of a self-check
	MaxCounts      = 32     // counts of a condition or event: filters there are, and room
	MaxTokenUses   = 10_000 // hosts that one join token admits
	MaxRevisions   = 100    // revisions kept of a service besides those with live tasks

	// Effects are few: at most one a task that stops or a service that is deployed is
	// open, and those that ended give way. With all of them full they take 60 MB.
	MaxEffects        = 10_000
	MaxEffectInput    = 4 << 10 // bytes
	MaxEffectOutcome  = 2 << 10
	MaxEffectToken    = 128
	MaxEffectWhy      = maxMessage
	MaxEffectAttempts = 100
	MaxEffectTimeout  = 10 * time.Minute   // of one attempt
	MaxEffectLife     = 7 * 24 * time.Hour // until the deadline

	// Every host serves all of them: a listener is a port of each, and a table of this
	// size takes about 20 MB.
	MaxListeners      = 100    // that take a port of hosts
	MaxAliases        = 1_000  // listeners of tasks alone: an address of each host
	MaxAliasNumber    = 4_000  // so that a number is not given out again soon
	MaxListenerRules  = 100    // of one listener, its default aside (ELB quotas, rules per load balancer)
	MaxTrustedProxies = 32     // networks of one listener
	MaxTargetGroups   = 3_000  // ELB quotas, target groups per Region
	MaxForwardGroups  = 5      // of one forward (ELB API, ForwardActionConfig)
	MaxConditionsRule = 10     // of one rule
	MaxConditionTexts = 25     // values of all conditions of one rule
	MaxLoadBalancers  = 5      // of one service (ECS API, Service: five target groups)
	MaxCertificates   = 25     // of one listener (ELB quotas)
	MaxPriority       = 50_000 // ELB API, CreateRule

	MaxEntryAddresses = 64              // what one host can hold, where it is the only one
	EntryRelay        = 5 * time.Minute // how long connections that began at a former holder go on
	MaxEntryRelay     = time.Hour       // the longest that a command may ask for

	MaxOverrides = 8 << 10 // bytes of names and values that a standalone task is run with

	// A deployment is some 600 B, and a few KB where hooks are called at many steps. Of each
	// service the newest is kept; where there are too many, the one that ended first goes.
	MaxDeployments        = 300_000
	MaxServiceDeployments = 50
	DeploymentKept        = 90 * 24 * time.Hour // ECS guide, service deployments
	MaxAlarms             = 1_000
	MaxHookTargets        = 100

	MaxReceipts    = 10_000         // a hundred writes a second for 100 s, a few MB
	ReceiptKept    = 24 * time.Hour // how long a retry finds its first answer
	MaxEvents      = 4_096          // entries of the ring of events
	MaxEventMemory = 1 << 20        // bytes of the ring, as counted by eventSize
	// A service's own ring holds a rollout that goes wrong; those of all services hold
	// so much of 4,000 services, and less of each where there are more.
	MaxServiceEvents      = 16
	MaxServiceEventBytes  = 4 << 10
	MaxServiceEventMemory = 16 << 20
	PruneKept             = time.Hour        // stopped tasks stay visible at least so long (ECS guide, task lifecycle)
	maxPruned             = 10_000           // rows of a table that one Prune removes: about 50 ms
	dueKept               = 10 * time.Minute // past deadlines kept: planners make a full pass twice as often
)

// Limits on single fields, in bytes unless said otherwise.
const (
	MaxName        = 255      // families, services, containers (ECS API, RegisterTaskDefinition)
	MaxHostName    = 253      // a DNS name
	MaxID          = 64       // ids that hosts and proposers make
	MaxReason      = 1_024    // reasons of stops (ECS API, StopTask), conditions, cordons
	maxMessage     = 512      // an event's message
	maxTags        = 50       // tags or attributes of one thing (ECS API, TaskDefinition)
	maxTagKey      = 128      // ECS guide, task placement
	maxTagValue    = 256      //
	maxURL         = 2_048    // a status page, a health path
	maxBlob        = 64 << 10 // a CA bundle or a sealed key
	maxKeyHash     = 128      // a sha256 in hex is half of it; a token remembers one a use
	maxClientToken = 64       // ECS API, RunTask
	maxFormat      = 1 << 16  //
)

// HealthySettle is how long a task without health checks must have been
// RUNNING before it counts as healthy. Source: ECS API, DeploymentConfiguration.
const HealthySettle = 40 * time.Second

// maxTime bounds stamps (year 9999), so that sums of times never overflow.
const maxTime Time = 253_402_300_799_000
