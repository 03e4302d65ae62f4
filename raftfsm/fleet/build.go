//go:build !nextformat

package fleet

// nextFormats is how many formats the build is ahead of the code.
const nextFormats = 0

// NextFields are the fields that the next format adds to what embeds them: none yet,
// but in builds with the tag nextformat.
type NextFields struct{}

// Next is what an agent of this build says in them.
func Next() NextFields { return NextFields{} }

// nextSubjectKinds is how many kinds of subject the next format adds.
const nextSubjectKinds = 0
