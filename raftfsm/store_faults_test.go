package raftfsm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"skein/runtime/seam/vfs"
)

func TestAFailedWriteIsFatalAndNeverRetried(t *testing.T) {
	calls := 0
	var told []error
	s := newStore(t, func(c *storeConfig) {
		c.onFail = func(err error) { told = append(told, err) }
		c.inject = func(string) error {
			calls++
			if calls == 2 {
				return &fs.PathError{Op: "fdatasync", Path: "1.seg", Err: syscall.EIO}
			}
			return nil // the lying retry would succeed
		}
	})
	mustStore(t, s, entries(1, 1, 1))
	for range 3 {
		if err := s.StoreLogs(entries(1, 2, 2)); !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v, want the first error", err)
		}
	}
	if calls != 2 {
		t.Errorf("%d writes were tried, want 2", calls)
	}
	if len(told) != 1 || !errors.Is(told[0], syscall.EIO) {
		t.Errorf("the node was told %v, want the error once", told)
	}
	if got := bounds(t, s); got != [2]uint64{1, 1} {
		t.Errorf("bounds %v", got)
	}
}

// ends runs f in a goroutine of its own and reports whether it came to its end.
func ends(f func()) (ended bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
		ended = true
	}()
	<-done
	return ended
}
func TestAFailedTermEndsTheLibrarysGoroutineInsteadOfTheProcess(t *testing.T) {
	s := newStore(t, func(c *storeConfig) { c.inject = func(string) error { return syscall.EIO } })
	if ends(func() { _ = s.SetUint64([]byte(keyCurrentTerm), 2) }) {
		t.Error("SetUint64 returned: the library would panic")
	}
	if s.Err() == nil {
		t.Error("the store did not fail")
	}
}
func TestAFullDiskTakesTheBallastOnceAndNamesTheCause(t *testing.T) {
	mem := vfs.NewMem()
	const size = 1 << 20
	s := newStore(t, func(c *storeConfig) {
		c.fs, c.ballast = mem, &ballast{fs: mem, path: "/ballast", bytes: size}
		if err := c.ballast.fill(); err != nil {
			t.Fatal(err)
		}
	})
	next := uint64(1)
	mem.SetCapacity(64) // not enough for a segment
	removed := func() bool { _, err := mem.Stat("/ballast"); return errors.Is(err, fs.ErrNotExist) }
	giveRoom := func(op string) error {
		if removed() && op == "append to the log" {
			mem.SetCapacity(size) // what the twin does not do by itself
		}
		return nil
	}
	s.inject = giveRoom
	if err := s.StoreLogs(entries(1, next, next)); err != nil {
		t.Fatalf("the ballast did not help: %v", err)
	}
	if !s.ballast.released() || !removed() {
		t.Error("the ballast is still there, or nobody can see that it is gone")
	}
	s.inject = nil
	mem.SetCapacity(0)
	var err error
	for range 1000 { // what is reserved is still taken
		next++
		if err = s.StoreLogs(entries(1, next, next)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrDiskFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("without ballast: %v", err)
	}
	if err := s.ballast.fill(); !errors.Is(err, ErrDiskFull) || !s.ballast.released() {
		t.Errorf("the ballast was made on a full disk: %v", err)
	}
	mem.SetCapacity(size + size/2)
	if err := s.ballast.fill(); err == nil {
		t.Error("the ballast was made though it took most of what is free")
	}
	mem.SetCapacity(-1)
	if err := s.ballast.fill(); err != nil || s.ballast.released() {
		t.Errorf("the ballast was not made again: %v", err)
	}
}

// damageIn opens a folder after something happened to its files, and reads all.
func damageIn(t *testing.T, mem *vfs.Mem) error {
	t.Helper()
	s, err := openStore(storeOn(mem, "/log"))
	if err != nil {
		return err
	}
	defer s.Close()
	first, last, read := uint64(0), uint64(0), 0
	if first, last = s.wal.bounds(); first == 0 {
		t.Fatal("the whole log is gone without a word")
	}
	for index := first; index <= last; index++ {
		var log raft.Log
		if _, found, err := s.wal.read(index, &log); err != nil || !found {
			t.Fatalf("entry %d of %d to %d: found %v, %v", index, first, last, found, err)
		}
		read++
	}
	if last < 500 {
		t.Fatalf("the log ends at %d of 500 without a word", last)
	}
	return s.coverAtOpen(snapshotEnd{})
}
func replace(t *testing.T, mem *vfs.Mem, name string, content []byte) {
	t.Helper()
	f, err := mem.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err == nil {
		_, err = f.Write(content)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// filled is a log of 500 entries in some ten files, closed.
func filled(t *testing.T) (mem *vfs.Mem, files []string) {
	t.Helper()
	mem = vfs.NewMem()
	s, err := openStore(storeOn(mem, "/log"))
	if err != nil {
		t.Fatal(err)
	}
	for from := uint64(1); from < 500; from += 5 {
		mustStore(t, s, entries(1, from, from+4))
	}
	if err = s.Close(); err != nil {
		t.Fatal(err)
	}
	list, err := mem.ReadDir("/log")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if path.Ext(e.Name()) == segmentSuffix {
			files = append(files, path.Join("/log", e.Name()))
		}
	}
	if len(files) < 5 {
		t.Fatalf("only %d files", len(files))
	}
	return mem, files
}
func TestDamageIsFoundAndNamed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, mem *vfs.Mem, files []string)
	}{
		{"a file in the middle is missing", func(t *testing.T, mem *vfs.Mem, files []string) { _ = mem.Remove(files[2]) }},
		{"the newest file is missing",
			func(t *testing.T, mem *vfs.Mem, files []string) { _ = mem.Remove(files[len(files)-1]) }},
		{"every file is missing", func(t *testing.T, mem *vfs.Mem, files []string) {
			for _, f := range files {
				_ = mem.Remove(f)
			}
		}},
		{"the first file is missing", func(t *testing.T, mem *vfs.Mem, files []string) { _ = mem.Remove(files[0]) }},
		{"a file in the middle is cut short", func(t *testing.T, mem *vfs.Mem, files []string) {
			b, _ := mem.ReadFile(files[1])
			replace(t, mem, files[1], b[:len(b)/2])
		}},
		{"a file is zeroed",
			func(t *testing.T, mem *vfs.Mem, files []string) { replace(t, mem, files[1], make([]byte, testSegment)) }},
		{"the newest file is zeroed", func(t *testing.T, mem *vfs.Mem, files []string) {
			replace(t, mem, files[len(files)-1], make([]byte, testSegment))
		}},
		{"two files are swapped", func(t *testing.T, mem *vfs.Mem, files []string) {
			a, _ := mem.ReadFile(files[1])
			b, _ := mem.ReadFile(files[2])
			replace(t, mem, files[1], b)
			replace(t, mem, files[2], a)
		}},
		{"a sector in the middle is zeroed", func(t *testing.T, mem *vfs.Mem, files []string) {
			b, _ := mem.ReadFile(files[1])
			clear(b[1024:1536])
			replace(t, mem, files[1], b)
		}},
		{"a sector of the newest file is zeroed, with later appends behind it",
			func(t *testing.T, mem *vfs.Mem, files []string) {
				b, _ := mem.ReadFile(files[len(files)-1])
				_, salt, _ := decodeSegmentHeader(b)
				if _, end, _, _ := scanFrames(b, salt); end < 1200 {
					t.Fatalf("the newest file ends at %d: choose other sizes", end)
				}
				clear(b[512:1024])
				replace(t, mem, files[len(files)-1], b)
			}},
		{"the stable file is garbage",
			func(t *testing.T, mem *vfs.Mem, files []string) { replace(t, mem, "/log/stable", []byte("garbage")) }},
		{"the stable file is empty",
			func(t *testing.T, mem *vfs.Mem, files []string) { replace(t, mem, "/log/stable", nil) }},
		{"a segment has a strange name",
			func(t *testing.T, mem *vfs.Mem, files []string) { _ = mem.Rename(files[0], "/log/x.seg") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem, files := filled(t)
			tc.damage(t, mem, files)
			if err := damageIn(t, mem); !errors.Is(err, ErrLogDamaged) {
				t.Errorf("got %v", err)
			}
		})
	}
}
func TestEveryFlippedBitIsFoundExceptInUnusedRoom(t *testing.T) {
	mem, files := filled(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	found := 0
	for range 300 {
		name := files[random.IntN(len(files))]
		whole, err := mem.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(whole)
		bad[random.IntN(len(bad))] ^= 1 << random.IntN(8)
		replace(t, mem, name, bad)
		if err := damageIn(t, mem); err != nil {
			if !errors.Is(err, ErrLogDamaged) && !errors.Is(err, ErrUnreadable) {
				t.Fatalf("got %v", err)
			}
			found++
		}
		replace(t, mem, name, whole)
	}
	if found < 250 { // padding is a few bytes a frame, the newest file has a free end
		t.Errorf("only %d of 300 were found", found)
	}
}
func TestAnEntryThatRotsWhileRunningIsFoundByItsChecksum(t *testing.T) {
	build := func(t *testing.T, covered uint64) *store {
		mem := vfs.NewMem()
		s := newStore(t, func(c *storeConfig) { c.fs = mem })
		mustStore(t, s, entries(1, 1, 2*maxRecent)) // the first ones are on disk only
		name := s.wal.name(1)
		b, err := mem.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, mem, name, bytes.Replace(b, []byte("t1 i7"), []byte("t1 iX"), 1))
		s.covered.Store(&snapshotEnd{index: covered})
		return s
	}
	t.Run("below the snapshot it is answered as absent, so that the snapshot is sent", func(t *testing.T) {
		s := build(t, 100)
		var log raft.Log
		if err := s.GetLog(7, &log); !errors.Is(err, raft.ErrLogNotFound) {
			t.Errorf("got %v", err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("the store failed: %v", err)
		}
	})
	t.Run("above the snapshot it fails the store and ends the goroutine", func(t *testing.T) {
		s := build(t, 0)
		if ends(func() { var log raft.Log; _ = s.GetLog(7, &log) }) {
			t.Error("GetLog returned: the library would panic the process")
		}
		if err := s.Err(); !errors.Is(err, ErrLogDamaged) {
			t.Errorf("got %v", err)
		}
	})
}
func TestTheLogOfAnotherRaftIDIsRefused(t *testing.T) {
	mem, _ := filled(t)
	cfg := storeOn(mem, "/log")
	cfg.id = "h-0000000000000001.2"
	if _, err := openStore(cfg); !errors.Is(err, errOtherID) || errors.Is(err, ErrLogDamaged) {
		t.Errorf("got %v", err)
	}
}
func TestALogInUseIsRefusedAndNotDamaged(t *testing.T) {
	s := newStore(t)
	if _, err := openStore(storeOn(s.fs, s.dir)); !errors.Is(err, ErrLocked) || errors.Is(err, ErrLogDamaged) {
		t.Errorf("got %v", err)
	}
}
func TestTheLogIsRelatedToTheSnapshot(t *testing.T) {
	const term = 1
	for _, tc := range []struct {
		name     string
		log      [2]uint64 // entries there, of term 1
		snapshot snapshotEnd
		damaged  bool // when found so on opening
		want     [2]uint64
	}{
		{"no snapshot, whole log", [2]uint64{1, 10}, snapshotEnd{}, false, [2]uint64{1, 10}},
		{"snapshot inside the log", [2]uint64{1, 10}, snapshotEnd{5, term}, false, [2]uint64{1, 10}},
		{"snapshot at the log's end", [2]uint64{1, 10}, snapshotEnd{10, term}, false, [2]uint64{1, 10}},
		{"snapshot just before the log", [2]uint64{6, 10}, snapshotEnd{5, term}, false, [2]uint64{6, 10}},
		{"entries are missing after the snapshot", [2]uint64{8, 10}, snapshotEnd{5, term}, true, [2]uint64{8, 10}},
		{"the log begins late and there is no snapshot", [2]uint64{2, 10}, snapshotEnd{}, true, [2]uint64{2, 10}},
		{"the log ends below the snapshot and is dropped", [2]uint64{1, 10}, snapshotEnd{20, term}, false, [2]uint64{0, 0}},
		{"the log is empty", [2]uint64{0, 0}, snapshotEnd{20, term}, false, [2]uint64{0, 0}},
		{"the log disagrees with the snapshot and is dropped up to it", [2]uint64{1, 10}, snapshotEnd{5, 9}, false,
			[2]uint64{6, 10}},
		{"the log disagrees at its last entry", [2]uint64{1, 10}, snapshotEnd{10, 9}, false, [2]uint64{0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			if tc.log[0] != 0 {
				mustStore(t, s, entries(term, tc.log[0], tc.log[1]))
			}
			err := s.coverAtOpen(tc.snapshot)
			if errors.Is(err, ErrLogDamaged) != tc.damaged || !tc.damaged && err != nil {
				t.Errorf("got %v, want damaged %v", err, tc.damaged)
			}
			if got := bounds(t, s); got != tc.want {
				t.Errorf("bounds %v, want %v", got, tc.want)
			}
			s.recent.clear()
			var log raft.Log
			if end := tc.snapshot; end.index > 0 && (s.GetLog(end.index, &log) != nil || log.Index != end.index ||
				log.Term != end.term) {
				t.Errorf("the snapshot's own entry reads as %+v", log)
			}
			if end := tc.snapshot; end.index > 0 && tc.want[0] > end.index && s.GetLog(end.index-1, &log) == nil {
				t.Error("its predecessor is there, so somebody might send the entry")
			}
		})
	}
}
func FuzzScanFrames(f *testing.F) {
	var salt uint64 = 42
	one, _ := appendFrame(encodeSegmentHeader(1, salt), salt, segmentHeader, entries(1, 1, 3), 0)
	two := append(bytes.Clone(one), cutFrame(salt, int64(len(one)), 2)...)
	f.Add(one)
	f.Add(append(two, make([]byte, 100)...))
	f.Add(one[:len(one)-9])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := decodeSegmentHeader(b); err != nil && len(b) > segmentHeader {
			copy(b, encodeSegmentHeader(1, salt)) // get past it
		}
		frames, end, _, err := scanFrames(b, salt)
		if err != nil && !errors.Is(err, errFrame) {
			t.Fatalf("error without the sentinel: %v", err)
		}
		for _, f := range frames {
			for i, at := range f.records {
				var log raft.Log
				if _, err := readRecord(f.first+uint64(i), b[at.offset:at.offset+at.length], &log); err != nil {
					t.Fatalf("a record of a sound frame cannot be read: %v", err)
				}
			}
		}
		if end < segmentHeader {
			t.Fatalf("end %d", end)
		}
	})
}
func FuzzDecodeStable(f *testing.F) {
	f.Add((&stable{ID: testID, Newest: 3, Term: 7, VoteTerm: 6, VoteFor: []byte("bob")}).encode())
	f.Add((&stable{}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeStable(b)
		if err != nil {
			if !errors.Is(err, errStable) {
				t.Fatalf("error without the sentinel: %v", err)
			}
			return
		}
		if again, err := decodeStable(v.encode()); err != nil || fmt.Sprint(again) != fmt.Sprint(v) {
			t.Fatalf("%+v became %+v, %v", v, again, err)
		}
	})
}

// unreserving is a file system that cannot reserve room, as NFS and some others.
type unreserving struct{ *vfs.Mem }

type unreservingFile struct{ vfs.File }

func (fsys unreserving) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := fsys.Mem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return unreservingFile{f}, nil
}
func (unreservingFile) Allocate(int64) error { return errors.ErrUnsupported }

func TestWhereNothingCanBeReservedASegmentHasItsSizeAndKeepsItsEntries(t *testing.T) {
	s := newStore(t, func(c *storeConfig) { c.fs = unreserving{vfs.NewMem()} })
	mustStore(t, s, entries(1, 1, 20))
	segment := s.wal.segments[0]
	info, err := s.fs.Stat(s.wal.name(segment.seq))
	if err != nil || info.Size() != segment.size {
		t.Errorf("the segment's file: %v, %v; want %d bytes", info.Size(), err, segment.size)
	}
	again := reopen(t, s)
	var log raft.Log
	for index := uint64(1); index <= 20; index++ {
		if err := again.GetLog(index, &log); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
}
