package effects

import "time"

const (
	// MaxUnderWay bounds the attempts that are handed at one time, over all hosts: each
	// costs a call that is held open.
	MaxUnderWay = 256
	// MaxPerHost bounds those of one host, which itself takes no more than MaxRunning.
	MaxPerHost = 16
	MaxRunning = 32
	// MaxItems bounds the commands of one proposal: an entry of the log holds as many.
	MaxItems = 256

	// AskAgain is the pause after a request without an answer, and PollAgain after one
	// that was answered "running", which the host holds open for AnswerWithin.
	AskAgain     = time.Second
	PollAgain    = 100 * time.Millisecond
	AnswerWithin = 2 * time.Second
	// CallFor bounds one request: longer than AnswerWithin, and shorter than a machine
	// that is gone is waited for.
	CallFor = 5 * time.Second
	// LookAgain is how soon a leader looks again for a host for what no host may run
	// now, ProposeAgain how soon it proposes again after a refusal, and VerifyAgain
	// how soon it asks again whether it leads.
	LookAgain    = time.Second
	ProposeAgain = time.Second
	VerifyAgain  = 250 * time.Millisecond
	// minWake is the least time between two steps that nothing else brings about.
	minWake = 10 * time.Millisecond

	// KeepFor is how long a host remembers the answer of a run: far longer than any
	// request of it is on its way. MaxKept bounds how many.
	KeepFor = 10 * time.Minute
	MaxKept = 2048
)
