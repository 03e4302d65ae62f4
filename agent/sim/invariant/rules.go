package invariant

// rule is the place of a rule in the book.
type rule uint8

// The rules, by the invariant they belong to (cmd/skein/DESIGN.md "Invariants").
const (
	ownStopsKeepMinimum rule = iota
	ownStopsKeepRunning
	replacementFirst
	onlyOpenHosts
	withinCapacity
	machineHolds
	machinePorts
	reservationEnds
	lateContainersGo
	protectedStay
	standaloneLast
	stoppedIsFinal
	idsAreNew
	startedOnce
	oneAttemptABoot
	recordBeforeCreate
	termsRise
	oneLeaderATerm
	oneVoteATerm
	raftIDsAreNew
	onlyCommitted
	onlyAssigned
	newestIntent
	servedIsAccepted
	sessionFence
	reportsAreSent
	noStopWithoutCause
	noEndWithoutSignal
	stopsSayWhy
	ackedIsCommitted
	ackedIsKept
	oneEffect
	zonesEven
	createdWithinGoals
	goalsAgree
	noFalseDeath
	lostAfterSilence
	onlyLostExpire
	silencePaced
	halfIsHeard
	flapsCounted
	flapsHeldBack
	keysFollow
	modelAgrees
	missingStart
	backOffKept
	graceKept
	oneCopy
	surplusFromFullest
	votersStay
	standaloneOnce
	formatKept
	raisedWhenRead
	tooOldRefused
	votersRead
	effectIntended
	effectFenced
	effectOnce
	effectEndsOnce
	oneLiveDeployment
	backToGood
	groupsApart
	weightsRise
	weightIsBorne
	weightsAddUp
	asWritten
	servesShares
	blueIsWhole
	rollbackStartsNone
	stagesFollow
	hooksFirst
	hooksOnce
	endIsFinal
	shiftIsServed
	alarmsFirst
	verdictsAreAnswers
	rules
)

var book = [rules]struct{ name, words string }{
	ownStopsKeepMinimum: {"I1", "a planner's stop of healthy tasks leaves ceil(desired x min%) healthy ones"},
	ownStopsKeepRunning: {"I1", "a planner's stop of running tasks leaves ceil(desired x min%) running ones"},
	replacementFirst: {"I2",
		"where max% leaves room for one more, a planner's stop of healthy tasks leaves desired healthy ones"},
	onlyOpenHosts:      {"I3", "tasks are assigned to ready hosts only, neither cordoned nor draining"},
	withinCapacity:     {"I3", "reservations do not exceed a host's capacity"},
	machineHolds:       {"I3", "tasks with containers alive on a machine do not exceed its capacity"},
	machinePorts:       {"I3", "no two tasks alive on a machine hold one host port"},
	reservationEnds:    {"I3", "a task is said to be STOPPED only when none of its containers runs"},
	lateContainersGo:   {"I3", "containers made after their task stopped are removed"},
	protectedStay:      {"I4", "our own decisions never stop a protected task (no protection yet)"},
	standaloneLast:     {"I5", "standalone tasks leave a draining host last (no draining yet)"},
	stoppedIsFinal:     {"I6", "STOPPED is final"},
	idsAreNew:          {"I6", "task ids are never used again"},
	startedOnce:        {"I6", "a container starts once in a boot"},
	oneAttemptABoot:    {"I6", "a task has one attempt in a boot"},
	recordBeforeCreate: {"I6", "the record of a start is durable before its container is created"},
	termsRise:          {"I9", "entries are committed in the order of terms"},
	oneLeaderATerm:     {"I9", "a term has one leader, and only it commits"},
	oneVoteATerm:       {"I9", "a voter votes once a term, and never after its disk was wiped"},
	raftIDsAreNew:      {"I9", "raft ids are never used again"},
	onlyCommitted:      {"I9", "hosts accept only what was committed"},
	onlyAssigned:       {"I9", "hosts run only what was assigned to them"},
	newestIntent:       {"I9", "what a host accepts in a session never gets older"},
	servedIsAccepted:   {"I9", "a host is said to serve only what it has accepted"},
	sessionFence:       {"I9", "a report counts only in the host's present session"},
	reportsAreSent:     {"I9", "a report that counts was sent in that session"},
	noStopWithoutCause: {"I10", "no task that the fleet wants running is stopped without a cause of its own"},
	noEndWithoutSignal: {"I10", "a container ends by a signal only when its agent sent one"},
	stopsSayWhy:        {"I10", "who stops tasks names a cause: an operator that of operators, a planner any other"},
	ackedIsCommitted:   {"I11", "a write is acknowledged only once it is committed, with its result"},
	ackedIsKept:        {"I11", "an acknowledged write is in the final log"},
	oneEffect:          {"I11", "a client token has one effect, and the same answer for 24 h"},
	zonesEven:          {"I13", "a task goes to a zone with the fewest of its revision, of those with room"},
	createdWithinGoals: {"goals", "tasks are created only of revisions in the service's goals, within the bounds there"},
	goalsAgree:         {"goals", "the service planner's goals are those of the service's own numbers"},
	noFalseDeath:       {"silence", "a host that is up, heard and untouched by faults is not called silent or lost"},
	lostAfterSilence:   {"silence", "a host is lost only after lostAfter of silence"},
	onlyLostExpire:     {"silence", "tasks expire only on lost hosts"},
	silencePaced:       {"silence", "in 10 minutes max(3, 5 %) hosts are silenced at once, and then one each 10 s"},
	halfIsHeard:        {"silence", "no host is silenced by a leader that hears less than half of the fleet"},
	flapsCounted:       {"silence", "a silence soon after the return from another counts as one more in a row"},
	flapsHeldBack:      {"silence", "the more silences in a row, the longer a host is heard before it is back"},
	keysFollow:         {"keys", "sealed keys are replaced only by the version that follows"},
	missingStart:       {"starts", "a planner starts no more tasks than are missing"},
	backOffKept:        {"starts", "a planner starts no task before the service's back-off is over"},
	graceKept:          {"grace", "no task is stopped as unhealthy within its grace period"},
	oneCopy:            {"one copy", "stop-after work that may still run is not replaced"},
	surplusFromFullest: {"I13", "surplus is stopped in the zone with most of the service's tasks first"},
	votersStay:         {"voters", "our own action never leaves fewer voters than are wanted"},
	standaloneOnce:     {"I6", "a standalone task has one attempt, and begins in one boot"},
	formatKept:         {"format", "the log holds no command that is newer than the fleet's format"},
	raisedWhenRead:     {"format", "the format is raised once every voter and every host with a session reads it"},
	tooOldRefused:      {"format", "an agent gets a session unless it reads less than the fleet's format"},
	votersRead:         {"format", "a voter stops at a newer format only if its agent went back since its session"},
	effectIntended:     {"effects", "an effect is carried out only by the host that a committed hand names"},
	effectFenced:       {"effects", "a host begins nothing for a leader that is older than one it has heard"},
	effectOnce:         {"effects", "an attempt at an effect begins once, and never when its outcome is committed"},
	effectEndsOnce:     {"effects", "attempts at an effect follow one another, and its outcome counts once"},
	oneLiveDeployment:  {"I7", "a service has at most one live deployment"},
	backToGood:         {"I7", "a deployment goes back to the target of the last one that succeeded"},
	groupsApart:        {"I7", "tasks of green and of blue are in target groups of their own"},
	weightsRise:        {"I7", "weights of green fall only by a rollback or an end"},
	weightIsBorne:      {"I7", "green has traffic only as far as it is healthy, and its first once it is whole"},
	weightsAddUp:       {"I7", "rules divide what people gave to both groups as the deployment says"},
	asWritten:          {"I7", "after a deployment rules and groups read as people wrote them"},
	servesShares:       {"I7", "a host serves the shares that were committed at the index that it serves"},
	blueIsWhole:        {"I7", "until clean-up our own action leaves blue as many healthy tasks as are desired"},
	rollbackStartsNone: {"I7", "a rollback starts no task of what it takes back"},
	stagesFollow:       {"I8", "stages and steps follow one another as the strategy has them"},
	hooksFirst:         {"I8", "no stage ends before each of its hooks has let it"},
	hooksOnce:          {"I8", "a hook is called under one id at a stage and step, and not again once it has a verdict"},
	endIsFinal:         {"I8", "no command counts about a deployment that has ended"},
	shiftIsServed:      {"I7", "a shift is done once each host that is not known to be dead has served it"},
	alarmsFirst:        {"I8", "no stage after the first ends while an alarm of the deployment is known to fire"},
	verdictsAreAnswers: {"I8", "a hook succeeds only once what carries it out has ended, or a person says so"},
	modelAgrees:        {"model", "State's rows are what its commands say"},
}
