package intake

import (
	"context"
	"errors"
	"slices"

	"skein/agent/peer/protocol"
)

// AgainElsewhere holds for errors of a proposal after which nothing can have been
// committed, and another voter may lead meanwhile.
func AgainElsewhere(err error) bool {
	return !errors.Is(err, protocol.ErrUnknown) &&
		(errors.Is(err, protocol.ErrNotLeader) || errors.Is(err, protocol.ErrNoLeader))
}

// passing say nothing of what was proposed: the same again may be taken later, or
// elsewhere.
var passing = []error{protocol.ErrNotLeader, protocol.ErrNoLeader, protocol.ErrUnknown, protocol.ErrStalled,
	protocol.ErrBusy, protocol.ErrBehind, protocol.ErrNotHere, context.Canceled, context.DeadlineExceeded}

func passes(err error) bool {
	return slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) })
}
