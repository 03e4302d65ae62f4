package converge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path"
	"sync"

	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/vfs"
)

// The journal is a header line and then frames: length and CRC-32C of a record
// in 4 bytes each, big endian, and the record. It ends where no whole frame
// follows: a power loss may leave a torn one, whose start was never acted on.
const (
	journalHeader = "skein-journal/1\n"
	maxRecord     = 64 << 10  // a stop with ten full reasons is 11 KiB
	maxJournal    = 256 << 20 // read at once; compacted far below
	journalSlack  = 1 << 20   // bytes beyond twice what matters before it is worth rewriting
	filePerm      = 0o600
)

// errDamaged says that a file holds something that was never written there.
var errDamaged = errors.New("damaged")

// appendRecord adds a record's frame to b.
func appendRecord(b []byte, r Record) ([]byte, error) {
	body, err := wire.Marshal(r)
	if err != nil {
		return b, err
	}
	if len(body) > maxRecord {
		return b, fmt.Errorf("journal record of %d bytes, at most %d: %w", len(body), maxRecord, wire.ErrTooLarge)
	}
	return frame(b, body), nil
}

// encodeJournal is a whole journal.
func encodeJournal(records []Record) ([]byte, error) {
	b := []byte(journalHeader)
	var err error
	for _, r := range records {
		if b, err = appendRecord(b, r); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// decodeJournal returns the records up to the first that cannot be read. What
// follows is a torn end (no error), or it is errDamaged.
func decodeJournal(b []byte) ([]Record, error) {
	rest, ok := bytes.CutPrefix(b, []byte(journalHeader))
	if !ok {
		if bytes.HasPrefix([]byte(journalHeader), b) {
			return nil, nil // torn as it was made
		}
		return nil, fmt.Errorf("journal has no header: %w", errDamaged)
	}
	var records []Record
	for len(rest) > 0 {
		r, size, err := decodeRecord(rest)
		if errors.Is(err, errTorn) {
			return records, nil
		}
		if err != nil {
			return records, fmt.Errorf("journal record %d: %w", len(records)+1, err)
		}
		if r.Kind <= RecordForget { // a newer agent's record, which this one does not need, is skipped
			records = append(records, r)
		}
		rest = rest[size:]
	}
	return records, nil
}

var errTorn = errors.New("torn")

func decodeRecord(b []byte) (Record, int, error) {
	if len(b) < 8 || len(bytes.TrimLeft(b, "\x00")) == 0 {
		return Record{}, 0, errTorn
	}
	size, sum := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if size == 0 || size > maxRecord {
		return Record{}, 0, fmt.Errorf("claims %d bytes: %w", size, errDamaged)
	}
	if len(b) < 8+int(size) {
		return Record{}, 0, errTorn
	}
	body := b[8 : 8+size]
	if crc32.Checksum(body, castagnoli) != sum {
		if len(b) == 8+int(size) {
			return Record{}, 0, errTorn // the last one: its blocks came out of order
		}
		return Record{}, 0, fmt.Errorf("checksum differs: %w", errDamaged)
	}
	var r Record
	if err := wire.Unmarshal(body, &r); err != nil {
		return Record{}, 0, fmt.Errorf("%w: %w", err, errDamaged)
	}
	if r.Kind < RecordStart || r.Task == "" {
		return Record{}, 0, fmt.Errorf("kind %d of task %q: %w", r.Kind, r.Task, errDamaged)
	}
	return r, 8 + int(size), nil
}

// journalFile is the journal on disk. After a failed write or sync the file is
// never written again: all that it should hold goes into a new one.
type journalFile struct {
	fs   vfs.FS
	name string

	queue   sync.Mutex // held for a moment only
	waiting []Record   // not in records yet

	mu      sync.Mutex // held while the disk works
	owing   bool       // of records, some may not be durable
	file    vfs.File   // nil: to be written anew
	size    int
	most    int // bytes; past it the file is written anew
	records []Record
}

// openJournal reads what is there. It does not fail: a journal that cannot be
// read is set aside, and the error says so.
func openJournal(fsys vfs.FS, name string) (*journalFile, error) {
	j := &journalFile{fs: fsys, name: name}
	b, err := readBounded(fsys, name, maxJournal)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil
	}
	if err == nil {
		j.records, err = decodeJournal(b)
	}
	if err != nil {
		err = errors.Join(err, setAside(fsys, name))
	}
	j.records = Compact(j.records)
	return j, err
}

// readBounded reads a file that is not larger than most bytes.
func readBounded(fsys vfs.FS, name string, most int64) ([]byte, error) {
	info, err := fsys.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, at most %d: %w", name, info.Size(), most, errDamaged)
	}
	return fsys.ReadFile(name)
}

// setAside keeps a file that cannot be read for people, out of the way. The one
// set aside before it is lost. That something is missing stays on disk until the
// list is written anew, or the next agent would take what is left for everything.
func setAside(fsys vfs.FS, name string) error {
	if err := vfs.WriteFileAtomic(fsys, path.Dir(name)+"/"+behindName, nil, filePerm); err != nil {
		return err
	}
	return fsys.Rename(name, name+".damaged")
}

// errBusy is the answer while an earlier write hangs.
var errBusy = errors.New("an earlier write has not returned")

// Append makes records durable, and all that were given before. After an error
// they may be durable or not, and the next call, which may bring none of its
// own, writes them again. Without any it does nothing.
func (j *journalFile) Append(records []Record) error {
	j.queue.Lock()
	j.waiting = append(j.waiting, records...)
	j.queue.Unlock()
	if !j.mu.TryLock() {
		return fmt.Errorf("append to %s: %w", j.name, errBusy)
	}
	defer j.mu.Unlock()
	j.queue.Lock()
	records, j.waiting = j.waiting, nil
	j.queue.Unlock()
	if len(records) == 0 && !j.owing {
		return nil
	}
	j.records, j.owing = append(j.records, records...), true
	if err := j.extend(records); err != nil {
		return err
	}
	j.owing = false
	return nil
}

// extend adds records, which j.records ends with, to the file.
func (j *journalFile) extend(records []Record) error {
	if j.file == nil || j.size > j.most {
		return j.rewrite()
	}
	var b []byte
	var err error
	for _, r := range records {
		if b, err = appendRecord(b, r); err != nil {
			return err
		}
	}
	if _, err = j.file.Write(b); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.drop()
		return fmt.Errorf("append to %s: %w", j.name, err)
	}
	j.size += len(b)
	return nil
}

// rewrite replaces the file by one that holds only what still matters.
func (j *journalFile) rewrite() error {
	j.drop()
	j.records = Compact(j.records)
	b, err := encodeJournal(j.records)
	if err != nil {
		return err
	}
	if err = vfs.WriteFileAtomic(j.fs, j.name, b, filePerm); err != nil {
		return err
	}
	file, err := j.fs.OpenFile(j.name, os.O_WRONLY|os.O_APPEND, filePerm)
	if err != nil {
		return fmt.Errorf("open %s: %w", j.name, err)
	}
	j.file, j.size, j.most = file, len(b), 2*len(b)+journalSlack
	return nil
}

func (j *journalFile) drop() {
	if j.file != nil {
		_ = j.file.Close() // whatever it held is written anew
		j.file = nil
	}
}

// Close closes the file. What was appended is durable already.
func (j *journalFile) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drop()
}
