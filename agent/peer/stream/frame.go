package stream

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// Kind is what a frame to a host is.
type Kind uint8

// The kinds of frame.
const (
	KindBeat     Kind = iota + 1 // none of the host's tasks changed up to Index; Routes may have
	KindSnapshot                 // all that is wanted of the host
	KindDelta                    // Tasks changed, Removed are no longer wanted
	KindClose                    // the voter ends the stream and says why
)

// VoterFrame is a frame from a voter to a host: what it is sent of its part, or a
// beat, and what goes with each. Frames of one stream rise by (Epoch, Index).
type VoterFrame struct {
	Kind Kind `cbor:"1,keyasint"`
	fleet.Wanted
	// since the voter last heard a leader; negative: not in its life
	LeaderAgeMs int64          `cbor:"6,keyasint"`
	Roster      *trust.Roster  `cbor:"10,keyasint,omitempty"` // when it changed, and in the first frame
	Streams     int            `cbor:"11,keyasint,omitempty"` // hosts that would look for another voter with this one
	Why         *trust.Problem `cbor:"12,keyasint,omitempty"` // KindClose only
	// the next frame goes on where this one ends; all pieces count as one
	More bool `cbor:"13,keyasint,omitempty"`
	// Lease answers the newest beat of a host that asked for it; nil: none did since the
	// last frame. A host that skips it answers for no entry address.
	Lease *LeaseWord `cbor:"17,keyasint,omitempty" since:"2,skip"`
	// Watch says of which target groups the host is to tell; nil: as before on this stream.
	// A host that skips it tells of none.
	Watch *Watch `cbor:"18,keyasint,omitempty" since:"2,skip"`
}

// Watch are the target groups of which a host tells what traffic it counts, at most
// plan.MaxWatched.
type Watch struct {
	Groups []fleet.TargetGroupName `cbor:"1,keyasint,omitempty"`
}

// LeaseWord is what a host's lease on its entry addresses is made of. With the frame that
// it is in, the host has all that was committed AgeMs before the voter made it.
type LeaseWord struct {
	Beat  uint64 `cbor:"1,keyasint"` // HostFrame.Beat of the beat that is answered
	AgeMs int64  `cbor:"2,keyasint"` // rounded up; negative: never in the voter's life
	// NoLeader: the voter hears none.
	NoLeader bool `cbor:"3,keyasint,omitempty"`
}

// Age is how long before the frame State was confirmed to be the newest; false: never.
func (w *LeaseWord) Age() (time.Duration, bool) {
	return time.Duration(w.AgeMs) * time.Millisecond, w.AgeMs >= 0
}

// Complete reports whether the frame is all that is wanted of its host.
func (f *VoterFrame) Complete() bool { return f.Kind == KindSnapshot }

// LeaderAge is how long ago the voter last heard a leader; negative: not in its life.
func (f *VoterFrame) LeaderAge() time.Duration {
	return time.Duration(f.LeaderAgeMs) * time.Millisecond
}

// Pieces cuts a frame into frames that fit the wire, however large a host's part
// is. Routes come first, definitions before the tasks that name them, what is small last.
func (f VoterFrame) Pieces() []VoterFrame {
	var out []VoterFrame
	if f.Routes != nil {
		routes := f.Routes.Split()
		f.Routes = nil
		if len(f.TaskDefs)+len(f.Tasks)+len(f.Removed) == 0 {
			f.Routes, routes = routes[len(routes)-1], routes[:len(routes)-1]
		}
		for _, r := range routes {
			piece := f
			piece.More, piece.Watch, piece.Roster, piece.Routes, piece.Entries, piece.Lease = true, nil, nil, r, nil, nil
			piece.TaskDefs, piece.Tasks, piece.Removed = nil, nil, nil
			out = append(out, piece)
		}
	}
	for len(f.TaskDefs) > pieceDefs || len(f.Tasks) > pieceTasks || len(f.Removed) > pieceRemoved {
		piece := f
		piece.More, piece.Watch, piece.Roster, piece.Routes, piece.Entries, piece.Lease = true, nil, nil, nil, nil, nil
		piece.TaskDefs, f.TaskDefs = cut(f.TaskDefs, pieceDefs)
		piece.Tasks, f.Tasks = cut(f.Tasks, pieceTasks)
		piece.Removed, f.Removed = cut(f.Removed, pieceRemoved)
		out = append(out, piece)
	}
	return append(out, f)
}

func cut[T any](all []T, n int) (head, rest []T) {
	n = min(n, len(all))
	return all[:n:n], all[n:]
}

// Joined adds the next piece of a frame. protocol.ErrMalformed when it is of another.
func (f VoterFrame) Joined(next VoterFrame) (VoterFrame, error) {
	if next.Kind != f.Kind || next.Epoch != f.Epoch || next.Index != f.Index || next.Session != f.Session ||
		next.Fleet != f.Fleet {
		return f, fmt.Errorf("pieces of two frames: %w", protocol.ErrMalformed)
	}
	if len(f.Tasks)+len(next.Tasks) > maxFrameTasks || len(f.TaskDefs)+len(next.TaskDefs) > maxFrameTasks ||
		len(f.Removed)+len(next.Removed) > maxFrameTasks {
		return f, fmt.Errorf("a frame of over %d tasks: %w", maxFrameTasks, protocol.ErrTooLarge)
	}
	routes, err := f.Routes.Join(next.Routes)
	if err != nil {
		return f, fmt.Errorf("%w: %w", err, protocol.ErrTooLarge)
	}
	next.Routes = routes
	next.TaskDefs = append(f.TaskDefs, next.TaskDefs...)
	next.Tasks = append(f.Tasks, next.Tasks...)
	next.Removed = append(f.Removed, next.Removed...)
	return next, nil
}

// HostFrame is a frame from a host to the voter it streams from: a beat.
type HostFrame struct {
	LateMs   int64                 `cbor:"1,keyasint,omitempty"` // how late the agent's own ticks were
	Starved  bool                  `cbor:"2,keyasint,omitempty"`
	Capacity *fleet.CapacityReport `cbor:"3,keyasint,omitempty"` // when it changed
	WallMs   int64                 `cbor:"4,keyasint,omitempty"` // the host's clock, UTC; 0 for not told
	Served   fleet.Served          `cbor:"5,keyasint,omitempty"`
	// Beat has the voter answer at once, with this number; 0 for no hurry. It means
	// something to the host alone. A voter that skips it gives no lease.
	Beat uint64 `cbor:"6,keyasint,omitempty" since:"2,skip"`
	// Traffic is what the host counts of groups that are watched, now and then. A voter that
	// skips it watches none.
	Traffic *fleet.HostTraffic `cbor:"7,keyasint,omitempty" since:"2,skip"`
	// Leaving: the agent is stopped for good and works on for a moment. A voter that skips it
	// finds out when the agent is down.
	Leaving bool `cbor:"8,keyasint,omitempty" since:"2,skip"`
	// Troubles are those with entry addresses, all of them, at most plan.MaxEntryTroubles. A
	// voter that skips them tells nobody.
	Troubles []plan.EntryTrouble `cbor:"9,keyasint,omitempty" since:"2,skip"`
}

// ReadHostFrame reads a host's frame and refuses a large one before it allocates.
func ReadHostFrame(r *bufio.Reader, f *HostFrame) error {
	head, err := r.Peek(4)
	if err != nil {
		return err
	}
	if n := binary.BigEndian.Uint32(head); n > MaxHostFrame {
		return fmt.Errorf("frame of %d bytes, at most %d: %w", n, MaxHostFrame, protocol.ErrTooLarge)
	}
	return wire.ReadFrame(r, f)
}
