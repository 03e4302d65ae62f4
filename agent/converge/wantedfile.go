package converge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/vfs"
)

// A wanted file is a header line and then records, framed as those of the
// journal: a head, one for each definition, one for each task. The head counts
// them, so a file that was cut is seen. Each record is bounded by what a frame
// can bring of it, and their number by [MaxTasks]: whatever was accepted can be
// saved. There are two files, written in turn, so that one generation is always
// whole.
//
// A file of the first format is one value: the CRC-32C of the rest in 4 bytes,
// and a savedWanted1. It is read, and not written any more.
//
// Of the parts of what a host is sent the tasks are kept: each frame brings the
// host's orders again.
const (
	wantedHeader  = "skein-wanted/2\n"
	wantedHeader1 = "skein-wanted/1\n"
	maxWanted     = 2 << 30 // MaxTasks tasks of as many definitions, each of the largest size
)

var wantedSlots = [2]string{"wanted.a", "wanted.b"}

// wantedHead is the first record of a wanted file.
type wantedHead struct {
	Boot     string        `cbor:"1,keyasint"`
	Host     fleet.HostID  `cbor:"2,keyasint"`
	Fleet    fleet.FleetID `cbor:"3,keyasint"`
	Epoch    uint64        `cbor:"4,keyasint"`
	Index    uint64        `cbor:"5,keyasint"`
	Session  uint64        `cbor:"6,keyasint"`
	TaskDefs int           `cbor:"7,keyasint"` // records of definitions that follow
	Tasks    int           `cbor:"8,keyasint"` // records of tasks that follow those
}

func encodeWanted(s SavedWanted) ([]byte, error) {
	w := &s.Wanted
	b, err := appendFrame([]byte(wantedHeader), wantedHead{
		Boot: s.Boot, Host: s.Host, Fleet: w.Fleet, Epoch: w.Epoch, Index: w.Index, Session: w.Session,
		TaskDefs: len(w.TaskDefs), Tasks: len(w.Tasks),
	})
	for i := 0; err == nil && i < len(w.TaskDefs); i++ {
		b, err = appendFrame(b, &w.TaskDefs[i])
	}
	for i := 0; err == nil && i < len(w.Tasks); i++ {
		b, err = appendFrame(b, &w.Tasks[i])
	}
	return b, err
}

func decodeWanted(b []byte) (SavedWanted, error) {
	var s SavedWanted
	var err error
	if rest, old := bytes.CutPrefix(b, []byte(wantedHeader1)); old {
		s, err = decodeWanted1(rest)
	} else if rest, ok := bytes.CutPrefix(b, []byte(wantedHeader)); ok {
		s, err = decodeWanted2(rest)
	} else {
		err = errors.New("no header")
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return SavedWanted{}, fmt.Errorf("wanted file: %w: %w", err, errDamaged)
	}
	return s, nil
}

// savedWanted1 is the value of a file of the first format.
type savedWanted1 struct {
	Boot   string `cbor:"1,keyasint"`
	Wanted struct {
		Fleet    fleet.FleetID      `cbor:"1,keyasint"`
		Epoch    uint64             `cbor:"2,keyasint"`
		Index    uint64             `cbor:"3,keyasint"`
		Session  uint64             `cbor:"4,keyasint"`
		Tasks    []fleet.WantedTask `cbor:"5,keyasint,omitempty"`
		TaskDefs []fleet.TaskDef    `cbor:"6,keyasint,omitempty"`
	} `cbor:"2,keyasint"`
	Host fleet.HostID `cbor:"3,keyasint"`
}

// decodeWanted1 reads what follows the header in a file of the first format.
func decodeWanted1(b []byte) (SavedWanted, error) {
	if len(b) < 4 || crc32.Checksum(b[4:], castagnoli) != binary.BigEndian.Uint32(b) {
		return SavedWanted{}, errors.New("checksum differs")
	}
	var s savedWanted1
	err := wire.Unmarshal(b[4:], &s)
	w := &s.Wanted
	return SavedWanted{Boot: s.Boot, Host: s.Host, Wanted: fleet.Wanted{Fleet: w.Fleet, Epoch: w.Epoch, Index: w.Index,
		Session: w.Session, Tasks: w.Tasks, TaskDefs: w.TaskDefs}}, err
}

// decodeWanted2 reads the records of a wanted file.
func decodeWanted2(b []byte) (SavedWanted, error) {
	var h wantedHead
	b, err := cutFrame(b, &h)
	if err != nil {
		return SavedWanted{}, fmt.Errorf("head: %w", err)
	}
	s := SavedWanted{Boot: h.Boot, Host: h.Host, Wanted: fleet.Wanted{Fleet: h.Fleet, Epoch: h.Epoch, Index: h.Index,
		Session: h.Session}}
	if s.Wanted.TaskDefs, b, err = cutFrames[fleet.TaskDef](b, h.TaskDefs); err != nil {
		return SavedWanted{}, fmt.Errorf("definitions: %w", err)
	}
	if s.Wanted.Tasks, b, err = cutFrames[fleet.WantedTask](b, h.Tasks); err != nil {
		return SavedWanted{}, fmt.Errorf("tasks: %w", err)
	}
	if len(b) > 0 {
		return SavedWanted{}, fmt.Errorf("%d bytes follow the last record", len(b))
	}
	return s, nil
}

// check holds a file to what a frame is held to: it names paths and is indexed by.
func (s *SavedWanted) check() error {
	defs := defsOf(s.Wanted.TaskDefs)
	for i := range s.Wanted.TaskDefs {
		if err := validDef(&s.Wanted.TaskDefs[i]); err != nil {
			return err
		}
	}
	for _, t := range s.Wanted.Tasks {
		if !taskIDForm.MatchString(string(t.ID)) || defs[t.TaskDef] == nil {
			return fmt.Errorf("task %q of definition %q: %w", t.ID, t.TaskDef, ErrBadFrame)
		}
	}
	return nil
}

// wantedFile is the pair of files.
type wantedFile struct {
	fs     vfs.FS
	dir    string
	mu     sync.Mutex
	next   int  // slot to write: the one that holds the older copy
	behind bool // the file of behindName is there
}

// behindName is an empty file. While it is there, a copy of the list or the journal
// was set aside since the list was last written.
const behindName = "wanted.behind"

// openWanted reads the newer copy that can be read; nil when there is none. It
// does not fail: a copy that cannot be read is set aside, the error says so, and
// the other is marked as behind, since the lost one may have been newer.
func openWanted(fsys vfs.FS, dir string) (*wantedFile, *SavedWanted, error) {
	w := &wantedFile{fs: fsys, dir: dir}
	var newest *SavedWanted
	var problems []error
	for slot := range wantedSlots {
		s, err := w.read(slot)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			problems = append(problems, err, setAside(fsys, w.path(slot)))
		case newest == nil || placeOf(newest).before(placeOf(&s)):
			newest, w.next = &s, 1-slot
		}
	}
	_, err := fsys.Stat(dir + "/" + behindName)
	w.behind = err == nil
	if newest != nil && (w.behind || len(problems) > 0) {
		newest.Behind = true
	}
	return w, newest, errors.Join(problems...)
}

func placeOf(s *SavedWanted) order { return order{s.Wanted.Epoch, s.Wanted.Index} }

func (w *wantedFile) path(slot int) string { return w.dir + "/" + wantedSlots[slot] }

func (w *wantedFile) read(slot int) (SavedWanted, error) {
	b, err := readBounded(w.fs, w.path(slot), maxWanted)
	if err != nil {
		return SavedWanted{}, err
	}
	s, err := decodeWanted(b)
	if err != nil {
		return s, fmt.Errorf("read %s: %w", w.path(slot), err)
	}
	return s, nil
}

// Save makes a copy durable in place of the older one.
func (w *wantedFile) Save(s SavedWanted) error {
	if !w.mu.TryLock() {
		return fmt.Errorf("save wanted state: %w", errBusy)
	}
	defer w.mu.Unlock()
	b, err := encodeWanted(s)
	if err != nil {
		return err
	}
	if err := vfs.WriteFileAtomic(w.fs, w.path(w.next), b, filePerm); err != nil {
		return err
	}
	w.next = 1 - w.next
	if w.behind && w.fs.Remove(w.dir+"/"+behindName) == nil {
		w.behind = false // if a power loss brings the file back, only caution is lost
	}
	return nil
}
