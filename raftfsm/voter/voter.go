// Package voter decides what becomes of the log of this host's voter: when it is
// opened, closed and deleted, and when the host takes and gives up the fleet key.
//
// [Step] is a pure function. It does not say who votes: that is package keeper, on
// the leader, whose word arrives here as an event. It opens no file: the agent and
// the simulator carry out the effects, one after the other, and stop at the first
// that fails. Every event is harmless to repeat.
package voter

import (
	"errors"
	"fmt"
	"slices"

	"skein/raftfsm/fleet"
)

// ErrOlder: this host has held a newer log already, so that the word is from before.
// To make the older one anew would have a RaftID vote twice.
var ErrOlder = errors.New("this host holds a newer log")

// ErrStopping: the agent stops, so that nobody would close what is opened now. The
// leader asks again, and the next life of the agent answers.
var ErrStopping = errors.New("this agent stops")

// Held is which log this host holds.
type Held struct {
	Open fleet.RaftID // empty for none
	Disk fleet.RaftID // of the folder on the disk, open or not; empty for none
	// Stopped: the agent stops, and has closed its log.
	Stopped bool
}

// id is the log that is held, open or not.
func (h Held) id() fleet.RaftID {
	if h.Open != "" {
		return h.Open
	}
	return h.Disk
}

// Event is something that happened. Closed set.
type Event interface{ event() }

type (
	// Started: the agent starts, with what its disk holds.
	Started struct{}
	// Prepared: the leader hands the fleet key over, and has this host open an empty
	// log as ID.
	Prepared struct{ ID fleet.RaftID }
	// Retired: the leader says that ID is out of the Raft configuration for ever.
	Retired struct{ ID fleet.RaftID }
	// LogsOut: State, as a voter streams it, says that this host's logs up to a number
	// are out of the fleet for ever. A voter that was away while it was replaced hears
	// it so. 0 says nothing.
	LogsOut struct{ UpTo int }
	// Failed: the log of ID, which was open, takes nothing any more.
	Failed struct{ ID fleet.RaftID }
	// Stopped: the agent stops.
	Stopped struct{}
)

func (Started) event()  {}
func (Prepared) event() {}
func (Retired) event()  {}
func (LogsOut) event()  {}
func (Failed) event()   {}
func (Stopped) event()  {}

// Effect is something to do. Closed set.
type Effect interface{ effect() }

type (
	// Close hands leadership over and closes the log that is open.
	Close struct{}
	// TakeKeys keeps the fleet key that came with Prepared.
	TakeKeys struct{}
	// DropKeys forgets the fleet key.
	DropKeys struct{}
	// Open opens the log of ID, which is made where the disk does not hold it; the log
	// of another ID is set aside.
	Open struct{ ID fleet.RaftID }
	// Delete removes the log from the disk.
	Delete struct{}
)

func (Close) effect()    {}
func (TakeKeys) effect() {}
func (DropKeys) effect() {}
func (Open) effect()     {}
func (Delete) effect()   {}

// Step is what an event leads to. ErrOlder or ErrStopping when it is refused.
func Step(held Held, event Event) ([]Effect, error) {
	switch e := event.(type) {
	case Started:
		if held.Open == "" && held.Disk != "" && !held.Stopped {
			return []Effect{Open{held.Disk}}, nil
		}
	case Prepared:
		return prepare(held, e.ID)
	case Retired:
		return retire(held, e.ID), nil
	case LogsOut:
		if id := held.id(); id != "" && id.Number() <= e.UpTo {
			return retire(held, id), nil
		}
	case Failed:
		if held.Open == e.ID {
			return closing(held), nil // the host runs on as a worker, until it is replaced
		}
	case Stopped:
		return closing(held), nil
	}
	return nil, nil
}

// prepare opens the log of id in place of an older one, which stays while the key is
// refused.
func prepare(held Held, id fleet.RaftID) ([]Effect, error) {
	if held.Stopped {
		return nil, fmt.Errorf("open log %s: %w", id, ErrStopping)
	}
	if now := held.id(); now != "" && now.Number() > id.Number() {
		return nil, fmt.Errorf("open log %s: %w, %s", id, ErrOlder, now)
	}
	if held.Open == id {
		return []Effect{TakeKeys{}}, nil
	}
	return slices.Concat([]Effect{TakeKeys{}}, closing(held), []Effect{Open{id}}), nil
}

// retire deletes the log of id; another one is left alone. The key goes before the
// log, whose presence says that there is something left to do.
func retire(held Held, id fleet.RaftID) []Effect {
	switch held.id() {
	case "":
		return []Effect{DropKeys{}}
	case id:
		return append(closing(held), DropKeys{}, Delete{})
	}
	return nil
}

func closing(held Held) []Effect {
	if held.Open == "" {
		return nil
	}
	return []Effect{Close{}}
}
