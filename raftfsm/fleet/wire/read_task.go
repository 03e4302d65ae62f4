package wire

import (
	"math"
	"unicode/utf8"

	"skein/raftfsm/fleet"
)

// taskReader decodes rows of tasks, of which a snapshot may have a million, in a third of
// the time that the general decoder takes: without reflection, and with one copy of each
// text that many rows have. It knows what most tasks have, as this build writes it. It
// takes no row that holds anything else (a field that it does not know, a value that the
// general decoder might refuse): such a row is for the general decoder, which decides.
type taskReader struct {
	text func([]byte) string // the one copy of a text

	rest []byte
	ok   bool
}

// Kinds of CBOR items, in the upper three bits of their first byte.
const (
	cborUnsigned = 0
	cborText     = 3
	cborArray    = 4
	cborMap      = 5

	cborFalse, cborTrue = 0xf4, 0xf5
)

// read decodes the first row of b, and returns what follows it; false for a row that it
// does not take.
func (r *taskReader) read(b []byte) (task *fleet.Task, rest []byte, ok bool) {
	r.rest, r.ok = b, true
	task = &fleet.Task{}
	r.fields(func(key uint64) { r.field(task, key) })
	return task, r.rest, r.ok
}

func (r *taskReader) field(t *fleet.Task, key uint64) {
	switch key {
	case 1:
		t.ID = fleet.TaskID(r.bytes()) // each has its own
	case 2:
		t.ModifyIndex = r.number(math.MaxUint64)
	case 3:
		t.Service = r.shared()
	case 4:
		t.Revision = fleet.RevisionID(r.shared())
	case 5:
		t.TaskDef = fleet.TaskDefID(r.shared())
	case 6:
		t.StartedBy = r.shared()
	case 7:
		t.Group = r.shared()
	case 8:
		t.Host = fleet.HostID(r.shared())
	case 9:
		t.Desired = fleet.TaskStatus(r.number(math.MaxUint8))
	case 10:
		t.Last = fleet.TaskStatus(r.number(math.MaxUint8))
	case 11:
		t.Health = fleet.Health(r.number(math.MaxUint8))
	case 12:
		t.Ports = r.ports()
	case 13:
		t.StopCode = fleet.StopCode(r.number(math.MaxUint8))
	case 14:
		t.Reason = r.shared()
	case 16:
		t.Attempt = int(r.number(math.MaxInt))
	case 17:
		t.CreatedAt = r.time()
	case 18:
		t.AssignedAt = r.time()
	case 19:
		t.StartedAt = r.time()
	case 20:
		t.HealthyAt = r.time()
	case 21:
		t.StoppingAt = r.time()
	case 22:
		t.StoppedAt = r.time()
	case 23:
		t.Unconfirmed = r.bool()
	case 25:
		t.Session = r.number(math.MaxUint64)
	default:
		r.ok = false
	}
}

func (r *taskReader) ports() []fleet.PortBinding {
	n := r.head(cborArray)
	if n == 0 || n > maxElements || n > uint64(len(r.rest)) {
		r.ok = false
		return nil
	}
	ports := make([]fleet.PortBinding, n)
	for i := range ports {
		p := &ports[i]
		r.fields(func(key uint64) {
			switch key {
			case 1:
				p.Container = r.shared()
			case 2:
				p.ContainerPort = int(r.number(math.MaxInt))
			case 3:
				p.HostPort = int(r.number(math.MaxInt))
			case 4:
				p.Protocol = fleet.Protocol(r.number(math.MaxUint8))
			default:
				r.ok = false
			}
		})
	}
	return ports
}

// fields calls take with each key of a map, which reads the value. Keys rise.
func (r *taskReader) fields(take func(key uint64)) {
	last := uint64(0)
	for n := r.head(cborMap); n > 0 && r.ok; n-- {
		key := r.number(math.MaxUint64)
		if key <= last {
			r.ok = false
			return
		}
		last = key
		take(key)
	}
}

// head reads the head of an item: its kind, and the number in it, in its shortest form.
func (r *taskReader) head(kind byte) (n uint64) {
	if len(r.rest) == 0 || r.rest[0]>>5 != kind {
		r.ok = false
		return 0
	}
	short := r.rest[0] & 31
	r.rest = r.rest[1:]
	if short < 24 {
		return uint64(short)
	}
	size := 1 << (short - 24) // 1, 2, 4 or 8 bytes follow
	if short > 27 || len(r.rest) < size {
		r.ok = false
		return 0
	}
	for _, b := range r.rest[:size] {
		n = n<<8 | uint64(b)
	}
	r.rest = r.rest[size:]
	if least := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[short-24]; n < least {
		r.ok = false
	}
	return n
}

func (r *taskReader) number(most uint64) uint64 {
	n := r.head(cborUnsigned)
	if n > most {
		r.ok = false
	}
	return n
}

func (r *taskReader) time() fleet.Time { return fleet.Time(r.number(math.MaxInt64)) }

func (r *taskReader) bool() bool {
	if len(r.rest) == 0 || r.rest[0] != cborFalse && r.rest[0] != cborTrue {
		r.ok = false
		return false
	}
	v := r.rest[0] == cborTrue
	r.rest = r.rest[1:]
	return v
}

// bytes are those of a text.
func (r *taskReader) bytes() []byte {
	n := r.head(cborText)
	if !r.ok || n > uint64(len(r.rest)) || !utf8.Valid(r.rest[:n]) {
		r.ok = false
		return nil
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

func (r *taskReader) shared() string { return r.text(r.bytes()) }
