package raftfsm

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/raft"

	"skein/runtime/seam/vfs"
)

// A snapshot is one file: the payload, the library's metadata as JSON, and
//
//	length of the metadata u32, crc32c u32 of the payload,
//	crc32c u32 of metadata, length and payload checksum, "skeinsnp"
//
// so that one rename makes it, and what is cut short has no end. It is called
// by index and term.
const (
	snapshotSuffix = ".snap"
	snapshotMagic  = "skeinsnp"
	snapshotTail   = 4 + 4 + 4 + 8

	// keptSnapshots is the newest and one to fall back to.
	keptSnapshots = 2
	// maxSnapshotMeta bounds what is read on trust of a length: a configuration of
	// a few voters takes some hundred bytes.
	maxSnapshotMeta = 1 << 20
	snapshotBuffer  = 256 << 10
)

var errSnapshot = errors.New("damaged snapshot")

// snapshots implements raft.SnapshotStore.
type snapshots struct {
	fs  vfs.FS
	dir string
	// saved is told of each snapshot that has become durable.
	saved func(meta raft.SnapshotMeta)
	mu    sync.Mutex // one clean-up at a time
}

// openSnapshots makes the folder and removes what a crash left unfinished.
func openSnapshots(fsys vfs.FS, dir string) (*snapshots, error) {
	s := &snapshots{fs: fsys, dir: dir, saved: func(raft.SnapshotMeta) {}}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), vfs.TempSuffix) {
			err = errors.Join(err, fsys.Remove(path.Join(dir, file.Name())))
		}
	}
	return s, err
}

func snapshotID(index, term uint64) string { return fmt.Sprintf("%020d-%d", index, term) }

func (s *snapshots) file(id string) string { return path.Join(s.dir, id+snapshotSuffix) }

// List implements raft.SnapshotStore: newest first, without those that have no
// sound end.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	files, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var list []*raft.SnapshotMeta
	for _, file := range files {
		id, ok := strings.CutSuffix(file.Name(), snapshotSuffix)
		if !ok {
			continue
		}
		f, meta, _, err := s.openFile(id)
		if err != nil {
			if errors.Is(err, errSnapshot) {
				continue
			}
			return nil, err
		}
		_ = f.Close()
		list = append(list, meta)
	}
	slices.SortFunc(list, func(a, b *raft.SnapshotMeta) int {
		return -strings.Compare(snapshotOrder(a), snapshotOrder(b))
	})
	return list, nil
}

// snapshotOrder sorts as the library does: term before index.
func snapshotOrder(m *raft.SnapshotMeta) string { return fmt.Sprintf("%020d-%020d", m.Term, m.Index) }

// openFile opens a snapshot and reads its end.
func (s *snapshots) openFile(id string) (_ vfs.File, _ *raft.SnapshotMeta, sum uint32, err error) {
	f, err := s.fs.OpenFile(s.file(id), os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, 0, err
	}
	meta, sum, err := readSnapshotTail(f)
	if err != nil {
		return nil, nil, 0, errors.Join(fmt.Errorf("snapshot %s: %w", id, err), f.Close())
	}
	meta.ID = id
	return f, meta, sum, nil
}

func readSnapshotTail(f vfs.File) (*raft.SnapshotMeta, uint32, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	size := info.Size()
	if size < snapshotTail {
		return nil, 0, fmt.Errorf("%w: %d bytes", errSnapshot, size)
	}
	tail := make([]byte, snapshotTail)
	if _, err := f.ReadAt(tail, size-snapshotTail); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	length := int64(binary.LittleEndian.Uint32(tail))
	if string(tail[12:]) != snapshotMagic || length > maxSnapshotMeta || length > size-snapshotTail {
		return nil, 0, fmt.Errorf("%w: no end", errSnapshot)
	}
	encoded := make([]byte, length)
	if _, err := f.ReadAt(encoded, size-snapshotTail-length); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	if binary.LittleEndian.Uint32(tail[8:]) != tailSum(encoded, tail) {
		return nil, 0, fmt.Errorf("%w: checksum of the metadata", errSnapshot)
	}
	meta := new(raft.SnapshotMeta)
	if err := json.Unmarshal(encoded, meta); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	meta.Size = size - snapshotTail - length
	return meta, binary.LittleEndian.Uint32(tail[4:]), nil
}

func tailSum(encoded, tail []byte) uint32 {
	return crc32.Update(crc32.Checksum(encoded, castagnoli), castagnoli, tail[:8])
}

// Open implements raft.SnapshotStore. The whole payload is verified before any
// of it is given out.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	f, meta, want, err := s.openFile(id)
	if err != nil {
		return nil, nil, err
	}
	sum := crc32.New(castagnoli)
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(f, 0, meta.Size), make([]byte, snapshotBuffer)); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("snapshot %s: %w", id, err), f.Close())
	}
	if sum.Sum32() != want {
		return nil, nil, errors.Join(fmt.Errorf("snapshot %s: %w: checksum of the payload", id, errSnapshot), f.Close())
	}
	return meta, &snapshotReader{Reader: bufio.NewReaderSize(io.NewSectionReader(f, 0, meta.Size), snapshotBuffer),
		file: f}, nil
}

type snapshotReader struct {
	io.Reader
	file vfs.File
}

func (r *snapshotReader) Close() error { return r.file.Close() }

// Create implements raft.SnapshotStore.
func (s *snapshots) Create(
	version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64,
	_ raft.Transport,
) (raft.SnapshotSink, error) {
	if version != 1 {
		return nil, fmt.Errorf("snapshot version %d, want 1", version)
	}
	meta := raft.SnapshotMeta{
		Version: version, ID: snapshotID(index, term), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}
	temp := s.file(meta.ID) + vfs.TempSuffix
	f, err := s.fs.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", nameDiskFull(err))
	}
	sum := crc32.New(castagnoli)
	out := bufio.NewWriterSize(io.MultiWriter(f, sum), snapshotBuffer)
	return &snapshotSink{store: s, meta: meta, temp: temp, file: f, out: out, sum: sum}, nil
}

// verify reads a snapshot back.
func (s *snapshots) verify(id string) error {
	_, r, err := s.Open(id)
	if err != nil {
		return err
	}
	return r.Close()
}

// prune removes all but the newest snapshots.
func (s *snapshots) prune() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.List()
	if err != nil {
		return err
	}
	for _, meta := range list[min(keptSnapshots, len(list)):] {
		err = errors.Join(err, s.fs.Remove(s.file(meta.ID)))
	}
	return err
}

// newest opens the newest snapshot that is sound; nil when there is none. Those
// that are not are set aside, so that the library does not take them either.
func (s *snapshots) newest() (*raft.SnapshotMeta, io.ReadCloser, []string, error) {
	var damaged []string
	list, err := s.List()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, meta := range list {
		found, r, err := s.Open(meta.ID)
		if err == nil {
			return found, r, damaged, nil
		}
		if !errors.Is(err, errSnapshot) {
			return nil, nil, damaged, err
		}
		if err := s.discard(meta.ID); err != nil {
			return nil, nil, damaged, err
		}
		damaged = append(damaged, meta.ID)
	}
	return nil, nil, damaged, nil
}

// discard takes a damaged snapshot out of the list, keeping its bytes.
func (s *snapshots) discard(id string) error {
	return errors.Join(s.fs.Rename(s.file(id), s.file(id)+".damaged"), s.fs.SyncDir(s.dir))
}
