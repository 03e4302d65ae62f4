package lead

import (
	"encoding/binary"
	"encoding/hex"
	"io"

	"skein/raftfsm/fleet"
)

// taskIDRun is how many ids of one TaskIDs stand together.
const taskIDRun = 4096

// TaskIDs makes task ids that rise by little from one to the next: tasks that are made
// together stand together in every table and index of State, so that writing a run of
// them touches few nodes of a tree instead of one node a task. Each id has 96 random
// bits of its own, and the first eight digits of two of one run differ, since people
// name tasks by those. After each run, and first of all, ids begin anywhere.
//
// Not safe for concurrent use.
type TaskIDs struct {
	random io.Reader
	left   int    // ids until the next run begins
	head   uint32 // the first eight digits of the newest id
}

// NewTaskIDs returns a source of ids over one of random bytes, which must not fail.
func NewTaskIDs(random io.Reader) *TaskIDs { return &TaskIDs{random: random} }

// Next returns an id that no other source returns either.
func (t *TaskIDs) Next() fleet.TaskID {
	var id [16]byte
	if _, err := io.ReadFull(t.random, id[:]); err != nil {
		panic("no random bytes for a task id: " + err.Error())
	}
	random := binary.BigEndian.Uint32(id[:])
	if t.left == 0 {
		t.left, t.head = taskIDRun, random
	} else {
		t.head += 1 + random%64 // around at the end of the range
	}
	t.left--
	binary.BigEndian.PutUint32(id[:], t.head)
	return fleet.TaskID(hex.EncodeToString(id[:]))
}
