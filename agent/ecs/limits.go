package ecs

// Limits of input. Where no other source is named they are ECS's own.
const (
	// MaxDocument is the most that is read before anything is decoded: four times
	// what a definition may be, to leave room for white space and ECS's answers.
	MaxDocument = 256 << 10
	// maxTaskDef bounds a definition without white space (ECS API, RegisterTaskDefinition).
	maxTaskDef    = 64 << 10
	maxContainers = 10
	maxTags       = 50
	maxTagKey     = 128
	maxTagValue   = 256
	maxName       = 255
	maxPortName   = 64

	minTaskCPU = 128
	maxTaskCPU = 196_608 // 192 vCPU
	// maxShares is what a cgroup can express; ECS cuts above it, we say so.
	maxShares = 262_144
	minMemory = 4
	// lowMemory is where container runtimes begin to fail at start.
	lowMemory = 6
	maxMemory = 32 << 20 // 32 TiB in MiB: above any host, below any overflow

	maxHostPorts   = 100 // reserved ports on one host
	maxStopTimeout = 86_400
	maxStartPeriod = 300
	maxGrace       = 2_147_483_647
	maxUserID      = 2_147_483_647 // larger ones wrap to root in some runtimes

	// Our own: no kernel takes more in one exec (MAX_ARG_STRLEN), and a
	// definition is bounded anyway.
	maxArgument  = 64 << 10
	maxArguments = 1024
	maxPath      = 4096

	maxPercent      = 1_000 // our own: ten times the desired count; more is a slip of the pen
	maxRun          = 10
	maxStartedBy    = 128
	maxGroup        = 255
	maxServiceToken = 36
	maxRunToken     = 64
	maxReason       = 1024
	maxStopAfter    = 7 * 86_400 // our own: a week cut off is for people to judge

	maxBakeMinutes   = 1440 // ECS API, DeploymentConfiguration
	minCanaryPercent = 0.1
	minStepPercent   = 3
	maxHooks         = 20       // ten that call something, and ten pauses
	maxHookMinutes   = 1440     // ECS API, DeploymentLifecycleHookTimeoutConfiguration
	minHookMinutes   = 1.0 / 60 // our own, a second; ECS has a minute
	maxPauseMinutes  = 20_160   // of a PAUSE, two weeks
	maxAlarmNames    = 10       // our own: each is asked all through a deployment
	maxProgress      = 30 * 86_400
	maxGiven         = 2048 // a path or a text to look for
	defaultProbes    = 10
)
