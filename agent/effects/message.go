package effects

import (
	"fmt"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
)

// Fence says which of two leaders' words is newer. Index is how far State was when the
// leader's term began: an attempt that it hands is above, so the next leader's fence is
// higher as soon as this one has handed anything.
type Fence struct {
	Epoch uint64 `cbor:"1,keyasint"`
	Index uint64 `cbor:"2,keyasint"`
}

// Before reports whether f is older than o.
func (f Fence) Before(o Fence) bool {
	if f.Epoch != o.Epoch {
		return f.Epoch < o.Epoch
	}
	return f.Index < o.Index
}

// Request has a host carry out an attempt that was handed to it, or say what became of
// it: asking again is the same message.
type Request struct {
	Fence    Fence          `cbor:"1,keyasint"`
	ID       fleet.EffectID `cbor:"2,keyasint"`
	Attempt  int            `cbor:"3,keyasint"`
	Session  uint64         `cbor:"4,keyasint"` // of the host when the attempt was handed to it
	Kind     string         `cbor:"5,keyasint"`
	Subject  fleet.Subject  `cbor:"6,keyasint"`
	Input    []byte         `cbor:"7,keyasint,omitempty"`
	Token    string         `cbor:"8,keyasint"`
	WithinMs int64          `cbor:"9,keyasint"`  // how much longer the attempt may last
	Until    fleet.Time     `cbor:"10,keyasint"` // the same as fleet time, for a request that was held up on its way
}

// Answer is what a host says of an attempt: that it runs, what came of it, or why this
// request began nothing.
type Answer struct {
	Refusal Refusal             `cbor:"1,keyasint,omitempty"`
	Running bool                `cbor:"2,keyasint,omitempty"`
	Verdict fleet.EffectVerdict `cbor:"3,keyasint,omitempty"` // done, failed or retry
	Outcome []byte              `cbor:"4,keyasint,omitempty"`
	Why     string              `cbor:"5,keyasint,omitempty"` // for people
}

// Done is the answer of a run that succeeded.
func Done(outcome []byte) Answer { return Answer{Verdict: fleet.VerdictDone, Outcome: outcome} }

// Failed is the answer of a run that failed as any other would.
func Failed(why string) Answer { return Answer{Verdict: fleet.VerdictFailed, Why: why} }

// Retry is the answer of a run that failed where another may succeed.
func Retry(why string) Answer { return Answer{Verdict: fleet.VerdictRetry, Why: why} }

// Bounded is the answer as State takes it. A verdict that no runner may give is one to
// try again, and so is an outcome that is too long: half of one says nothing.
func (a Answer) Bounded() Answer {
	switch {
	case a.Verdict < fleet.VerdictDone || a.Verdict > fleet.VerdictRetry:
		a = Retry(fmt.Sprintf("its runner gave no verdict (%s)", a.Verdict))
	case len(a.Outcome) > fleet.MaxEffectOutcome:
		a = Retry(fmt.Sprintf("its outcome is %d bytes long, at most %d are kept", len(a.Outcome), fleet.MaxEffectOutcome))
	}
	a.Why = text.Cut(text.Clean(a.Why), fleet.MaxEffectWhy)
	return a
}

// Refusal is why a request began nothing.
type Refusal uint8

// The refusals.
const (
	OlderLeader  Refusal = iota + 1 // the host has heard a newer one
	OtherSession                    // the agent is in another session than it was handed in
	OlderAttempt                    // a later attempt was taken
	UnderWay                        // an earlier attempt still runs
	UnknownKind                     // no runner for it here
	Busy                            // too much runs here
	TooLate                         // its time is over
)

var refusals = [...]string{
	"", "a newer leader was heard", "the agent has another session", "a later attempt was taken",
	"an earlier attempt still runs", "it has no runner for the kind", "it runs too much", "the attempt's time is over",
}

func (r Refusal) String() string {
	if int(r) < len(refusals) {
		return refusals[r]
	}
	return fmt.Sprintf("refusal %d", uint8(r))
}

// Check refuses a request that no leader makes, before anything is kept of it.
func (r Request) Check() error {
	switch {
	case r.ID == "" || len(r.ID) > fleet.MaxID || r.Attempt < 1:
		return fmt.Errorf("effect %q, attempt %d: %w", text.Cut(string(r.ID), fleet.MaxID), r.Attempt, fleet.ErrInvalid)
	case len(r.Kind) > fleet.MaxID || len(r.Token) > fleet.MaxEffectToken:
		return fmt.Errorf("effect %s: kind or token is too long: %w", r.ID, fleet.ErrInvalid)
	case len(r.Input) > fleet.MaxEffectInput:
		return fmt.Errorf("effect %s: input of %d bytes: %w", r.ID, len(r.Input), fleet.ErrInvalid)
	case r.WithinMs > fleet.MaxEffectTimeout.Milliseconds():
		return fmt.Errorf("effect %s: an attempt of %d ms: %w", r.ID, r.WithinMs, fleet.ErrInvalid)
	}
	return nil
}
