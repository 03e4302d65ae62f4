package converge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"skein/raftfsm/fleet/wire"
	"skein/runtime/vfs"
)

// A wanted file is a header line, the CRC-32C of the rest in 4 bytes, and the
// SavedWanted. There are two, written in turn, so that one generation is always
// whole (reliability.md 1.3).
const (
	wantedHeader = "skein-wanted/1\n"
	maxWanted    = wire.MaxFrame + 64
)

var wantedSlots = [2]string{"wanted.a", "wanted.b"}

func encodeWanted(s SavedWanted) ([]byte, error) {
	body, err := wire.Marshal(s)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32([]byte(wantedHeader), crc32.Checksum(body, castagnoli))
	return append(b, body...), nil
}

func decodeWanted(b []byte) (SavedWanted, error) {
	var s SavedWanted
	rest, ok := bytes.CutPrefix(b, []byte(wantedHeader))
	if !ok || len(rest) < 4 {
		return s, fmt.Errorf("wanted file has no header: %w", errDamaged)
	}
	if crc32.Checksum(rest[4:], castagnoli) != binary.BigEndian.Uint32(rest) {
		return s, fmt.Errorf("wanted file: checksum differs: %w", errDamaged)
	}
	if err := wire.Unmarshal(rest[4:], &s); err != nil {
		return s, fmt.Errorf("wanted file: %w: %w", err, errDamaged)
	}
	if err := s.check(); err != nil {
		return SavedWanted{}, fmt.Errorf("wanted file: %w: %w", err, errDamaged)
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
	fs   vfs.FS
	dir  string
	mu   sync.Mutex
	next int // slot to write: the one that holds the older copy
}

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
	if newest != nil && len(problems) > 0 {
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
	return nil
}
