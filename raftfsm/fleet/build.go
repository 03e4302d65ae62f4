//go:build !nextformat

package fleet

// FormatVersion is the newest format that this build reads. What it may propose is
// said by Fleet.Format, which is raised once every agent reads more: see Gate.
//
// What an agent reads is a property of the agent, not of the program: functions that
// agents of two builds share in one process (in tests and in the simulator) take it
// as a parameter, always called reads. See AsRead and State.Outgrown.
const FormatVersion = 1

// NextFields are the fields that the next format adds to what embeds them: none yet,
// but in builds with the tag nextformat.
type NextFields struct{}

// Next is what an agent of this build says in them.
func Next() NextFields { return NextFields{} }

// nextSubjectKinds is how many kinds of subject the next format adds.
const nextSubjectKinds = 0
