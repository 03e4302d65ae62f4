package peer

import (
	"bufio"
	"encoding/binary"
	"fmt"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// Kind is what a frame to a host is.
type Kind uint8

// The kinds of frame.
const (
	KindBeat     Kind = iota + 1 // nothing of the host's part changed up to Index
	KindSnapshot                 // Tasks is the host's whole part
	KindDelta                    // Tasks changed, Removed are no longer wanted
	KindClose                    // the voter ends the stream and says why
)

// VoterFrame is a frame from a voter to a host. Frames of one stream rise by (Epoch,
// Index).
type VoterFrame struct {
	Kind        Kind               `cbor:"1,keyasint"`
	Fleet       fleet.FleetID      `cbor:"2,keyasint"`
	Epoch       uint64             `cbor:"3,keyasint"`
	Index       uint64             `cbor:"4,keyasint"`
	Session     uint64             `cbor:"5,keyasint"`
	LeaderAgeMs int64              `cbor:"6,keyasint"` // since the voter last heard a leader; negative: not in its life
	Tasks       []fleet.WantedTask `cbor:"7,keyasint,omitempty"`
	TaskDefs    []fleet.TaskDef    `cbor:"8,keyasint,omitempty"` // those not sent on this stream before
	Removed     []fleet.TaskID     `cbor:"9,keyasint,omitempty"`
	Roster      *trust.Roster      `cbor:"10,keyasint,omitempty"` // when it changed, and in the first frame
	Streams     int                `cbor:"11,keyasint,omitempty"` // hosts that would look for another voter with this one
	Why         *trust.Problem     `cbor:"12,keyasint,omitempty"` // goodbye only
	More        bool               `cbor:"13,keyasint,omitempty"` // the next frame goes on where this one ends; all parts count as one
	LogsOut     int                `cbor:"14,keyasint,omitempty"` // see fleet.State.LogsOut: an older log of the host's is to be deleted
}

// parts cuts a frame into frames that fit the wire, however large a host's part
// is. Definitions come before the tasks that name them.
func (d VoterFrame) parts() []VoterFrame {
	var out []VoterFrame
	for len(d.TaskDefs) > partDefs || len(d.Tasks) > partTasks || len(d.Removed) > partRemoved {
		part := d
		part.More, part.Roster = true, nil
		part.TaskDefs, d.TaskDefs = cut(d.TaskDefs, partDefs)
		part.Tasks, d.Tasks = cut(d.Tasks, partTasks)
		part.Removed, d.Removed = cut(d.Removed, partRemoved)
		out = append(out, part)
	}
	return append(out, d)
}

func cut[T any](all []T, n int) (head, rest []T) {
	n = min(n, len(all))
	return all[:n:n], all[n:]
}

// joined adds the next part of a frame. ErrMalformed when it is of another.
func (d VoterFrame) joined(next VoterFrame) (VoterFrame, error) {
	if next.Kind != d.Kind || next.Epoch != d.Epoch || next.Index != d.Index || next.Session != d.Session || next.Fleet != d.Fleet {
		return d, fmt.Errorf("parts of two frames: %w", ErrMalformed)
	}
	if len(d.Tasks)+len(next.Tasks) > maxPartTasks || len(d.TaskDefs)+len(next.TaskDefs) > maxPartTasks || len(d.Removed)+len(next.Removed) > maxPartTasks {
		return d, fmt.Errorf("a frame of over %d tasks: %w", maxPartTasks, ErrTooLarge)
	}
	next.TaskDefs = append(d.TaskDefs, next.TaskDefs...)
	next.Tasks = append(d.Tasks, next.Tasks...)
	next.Removed = append(d.Removed, next.Removed...)
	return next, nil
}

// HostFrame is a frame from a host to the voter it streams from: a beat.
type HostFrame struct {
	LateMs   int64                 `cbor:"1,keyasint,omitempty"` // how late the agent's own ticks were
	Starved  bool                  `cbor:"2,keyasint,omitempty"`
	Capacity *fleet.CapacityReport `cbor:"3,keyasint,omitempty"` // when it changed
	WallMs   int64                 `cbor:"4,keyasint,omitempty"` // the host's clock, UTC; 0 for not told
}

// readHostFrame reads a host's frame and refuses a large one before it allocates.
func readHostFrame(r *bufio.Reader, up *HostFrame) error {
	head, err := r.Peek(4)
	if err != nil {
		return err
	}
	if n := binary.BigEndian.Uint32(head); n > maxHostFrame {
		return fmt.Errorf("frame of %d bytes, at most %d: %w", n, maxHostFrame, ErrTooLarge)
	}
	return wire.ReadFrame(r, up)
}
