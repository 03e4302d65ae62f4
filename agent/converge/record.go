package converge

import "skein/raftfsm/fleet"

// RecordKind says what a journal record tells.
type RecordKind uint8

// The kinds of record.
const (
	// RecordStart: a start of a container was begun. Durable before the container
	// is created, so that no crash can start one twice in one boot. One without a
	// container is of a former agent and stands for all containers of the task.
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
	// Of RecordStart. Attempt is the task's; starts of the container are counted
	// over all attempts of the task, so they differ where a container was started
	// again and its task was not.
	Container        string `cbor:"9,keyasint,omitempty"`
	ContainerAttempt int    `cbor:"10,keyasint,omitempty"` // 0: as the task's
	// DrainS, of RecordStop: the task may drain for so many seconds from At on before its
	// first signal. At the end of that, another RecordStop without it follows. An agent
	// that skips it sends the signal at once.
	DrainS int `cbor:"11,keyasint,omitempty" since:"2"`
}

// anyContainer is the name in a record that stands for all containers of a task.
const anyContainer = ""

// attempts is which start of the container the record is of.
func (r *Record) attempts() int {
	if r.ContainerAttempt > 0 {
		return r.ContainerAttempt
	}
	return r.Attempt
}

// SavedWanted is what this host last accepted, as it is kept on disk. The bytes of
// the file are another matter: see wantedfile.go.
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
	Routes  *SavedRoutes // nil: none, or unreadable
}

// history is what the journal tells of one task.
type history struct {
	starts []*Record // of the last attempt, the last one of each container
	stop   *Record   // nil unless it belongs to the attempt, or there was no start
}

// began takes up a record of a start. One of another attempt or boot makes those
// before it meaningless.
func (h history) began(r *Record) history {
	if len(h.starts) == 0 || h.starts[0].Attempt != r.Attempt || h.starts[0].Boot != r.Boot || h.stop != nil {
		return history{starts: []*Record{r}}
	}
	for i, old := range h.starts {
		if old.Container == r.Container {
			h.starts[i] = r
			return h
		}
	}
	h.starts = append(h.starts, r)
	return h
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
			h = h.began(r)
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
		for _, start := range h.starts {
			kept = append(kept, *start)
		}
		if h.stop != nil {
			kept = append(kept, *h.stop)
		}
	}
	return kept
}
