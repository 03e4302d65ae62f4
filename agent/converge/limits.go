package converge

import "time"

// Limits are what a wiring may turn; the zero value of a field means its
// default.
type Limits struct {
	// Starts is how many tasks may be starting at once: 2 x cores. A start costs
	// 70 ms of cpu and more in flight only add latency.
	Starts int
	// Pulls in flight. Unpacking is bound by one core and the disk.
	Pulls int
	// Checks in flight; a check is a small process or one request.
	Checks int
}

const (
	defaultStarts = 4
	defaultPulls  = 4
	defaultChecks = 32
)

func (l Limits) orDefault() Limits {
	if l.Starts <= 0 {
		l.Starts = defaultStarts
	}
	if l.Pulls <= 0 {
		l.Pulls = defaultPulls
	}
	if l.Checks <= 0 {
		l.Checks = defaultChecks
	}
	return l
}

// Bounds of what comes from outside.
const (
	// MaxTasks wanted of one host: a hundred times what the largest fleet plans for.
	MaxTasks = 10_000
	// MaxReportTasks in one report: with every reason full they stay below 1 MiB.
	MaxReportTasks = 64
)

// Deadlines of single steps: generous against a loaded host, short against a
// hang. Create and Start follow ECS's 4 and 3 minutes downwards, since a start
// measures 60 to 150 ms.
const (
	withinQuick   = 10 * time.Second // local calls: image lookup, cgroup, signal
	withinNetwork = 15 * time.Second
	withinCreate  = 60 * time.Second
	withinStart   = 30 * time.Second
	withinDelete  = 60 * time.Second // removes a snapshot, which can be large
	withinList    = 15 * time.Second
	withinDisk    = 60 * time.Second // an fsync on a sick disk
	withinPull    = 15 * time.Minute // the adapter gives up sooner on a stall
)

// Starting.
const (
	slowStart       = 10 * time.Second // a step this old waits, it does not compute: it no longer takes a start slot
	hungStartFactor = 8                // but so many x Starts tasks may be starting at most, hung ones included
	// after an unanswered Create the runtime may still finish it: absence counts only later
	unknownSettle   = 10 * time.Second
	unansweredTries = 3                // calls to make or start a container whose outcome stays unknown
	stepTries       = 3                // cgroup and network steps of a start (a netlink dump may be interrupted)
	journalTries    = 5                // with back-off 31 s: the disk is sick, the task belongs elsewhere
	journalGiveUp   = 60 * time.Second // the same for the wanted file
)

// Images.
const (
	pullTries        = 3                // when absent here; then the task belongs elsewhere
	pullGiveUp       = 60 * time.Second // since the first failure
	registryBackOff  = 5 * time.Second  // doubled with each failure in a row, shared by all images of the registry
	registryCap      = 60 * time.Second
	maxImages        = 256         // remembered; one forgotten costs a look-up
	tagKept          = time.Minute // a tag that was pulled is not asked for again so soon; a digest never is
	retryBackOffBase = time.Second
	retryBackOffCap  = 30 * time.Second
)

// Stopping.
const (
	defaultStopTimeout  = 30 * time.Second // of containers whose definition is unknown (ECS API, ContainerDefinition)
	stuckAfter          = 60 * time.Second // after SIGKILL was delivered
	rekillEvery         = 30 * time.Second
	graceLeast          = time.Second     // after an agent restart SIGTERM is sent again: it must have a moment
	relistWhileStopping = 5 * time.Second // between looks while containers are being stopped
)

// Health.
const (
	firstProbe      = 20 * time.Millisecond
	fastHTTP        = 50 * time.Millisecond
	fastExec        = 500 * time.Millisecond // an exec costs a process
	fastFor         = 5 * time.Second
	confirmProbe    = time.Second // an unhealthy container must succeed twice; the second probe comes soon
	recoverAfter    = 2           // successes in a row
	healthChangeGap = time.Second // at most one change per task (cmd/skein/DESIGN.md "Task lifecycle")
	lateProbe       = 5 * time.Second
)

// Looking.
const (
	// wait this many times what a list took: at most a fifth of the time is spent listing
	listShare      = 4
	listGapMin     = 20 * time.Millisecond    // coalesces a burst of changes
	listGapMax     = 2 * time.Second          // and bounds how late an exit is seen
	listRetry      = time.Second              // after a list that failed
	listEvery      = time.Minute              // events can be lost
	fullListEvery  = 5 * time.Minute          // networks, cgroups, logs
	goneAfter      = 2 * time.Second          // a container missing from two lists this far apart is gone
	orphanAfter    = 10 * time.Minute         // a container that nobody claims is ended after so long
	rotateEvery    = 5 * time.Second          // a log grows 5 MB at 1 MB/s meanwhile
	runtimeDownFor = 30 * time.Second         // until the status says so
	aloneAfter     = 10 * time.Second         // until the log says so: beats come every second
	coldStart      = 30 * time.Second         // with no voter heard since the boot: run services again
	leaderless     = 60 * time.Second         // with voters heard that have no fleet to speak for
	wantedRetry    = time.Second              // first back-off of a failed save
	resendFirst    = 2 * time.Second          // a commit takes milliseconds, an election 1 to 4 s
	resendCap      = 10 * time.Second         //
	keepLogs       = time.Hour                // of a task that is gone
	keepLogsCap    = 256 << 20                // bytes of gone tasks' logs
	noTime         = time.Duration(1<<63 - 1) // no deadline
)
