package converge

import "skein/raftfsm/fleet"

// RecordKind says what a journal record tells.
type RecordKind uint8

// The kinds of record.
const (
	// RecordStart: a start of the task was begun. Durable before any container of
	// it is created, so that no crash can start a task twice in one boot.
	RecordStart RecordKind = iota + 1
	// RecordStop: the host decided that the task is to end, and why.
	RecordStop
	// RecordForget: the task is gone for good; its other records mean nothing.
	RecordForget
)

// Record is one line of the journal.
type Record struct {
	Kind    RecordKind            `cbor:"1,keyasint"`
	Task    fleet.TaskID          `cbor:"2,keyasint"`
	Attempt int                   `cbor:"3,keyasint,omitempty"`
	Boot    string                `cbor:"4,keyasint,omitempty"`
	At      fleet.Time            `cbor:"5,keyasint,omitempty"`
	Code    fleet.StopCode        `cbor:"6,keyasint,omitempty"` // RecordStop: zero when the fleet asked
	Reason  string                `cbor:"7,keyasint,omitempty"`
	Exits   []fleet.ContainerExit `cbor:"8,keyasint,omitempty"` // RecordStop: what was known of containers then
}

// SavedWanted is what this host last accepted, as it is kept on disk.
type SavedWanted struct {
	Boot   string       `cbor:"1,keyasint"` // in which it was accepted
	Wanted fleet.Wanted `cbor:"2,keyasint"`
	Host   fleet.HostID `cbor:"3,keyasint"` // whose list it is
	// Behind says that a newer copy existed and could not be read: nothing that
	// was never started may be started by this one. Not stored.
	Behind bool `cbor:"-"`
}

// Saved is what a host finds on its disk when its agent starts.
type Saved struct {
	Journal []Record
	Wanted  *SavedWanted // nil: none, or unreadable
}

// history is what the journal tells of one task.
type history struct {
	start *Record // the last one
	stop  *Record // nil unless it belongs to start, or there was no start
}

// histories folds records, in their order, into what they say of each task.
// The second result lists the tasks in the order of their first record.
func histories(records []Record) (map[fleet.TaskID]history, []fleet.TaskID) {
	found := make(map[fleet.TaskID]history)
	var order []fleet.TaskID
	for i := range records {
		r := &records[i]
		h, known := found[r.Task]
		if !known {
			order = append(order, r.Task)
		}
		switch r.Kind {
		case RecordStart:
			h = history{start: r}
		case RecordStop:
			h.stop = r
		case RecordForget:
			h = history{}
		}
		found[r.Task] = h
	}
	return found, order
}

// Compact returns the fewest records that say the same.
func Compact(records []Record) []Record {
	found, order := histories(records)
	var kept []Record
	for _, id := range order {
		h := found[id]
		if h.start != nil {
			kept = append(kept, *h.start)
		}
		if h.stop != nil {
			kept = append(kept, *h.stop)
		}
	}
	return kept
}
