package raftfsm

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"skein/runtime/seam/vfs"
)

var sampleConfiguration = raft.Configuration{Servers: []raft.Server{{ID: testID, Address: testID}}}

func newSnapshots(t testing.TB, fsys vfs.FS) *snapshots {
	t.Helper()
	s, err := openSnapshots(fsys, "/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func save(s *snapshots, index, term uint64, content string) error {
	sink, err := s.Create(1, index, term, sampleConfiguration, 1, nil)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(sink, content); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func mustSave(t testing.TB, s *snapshots, index, term uint64, content string) {
	t.Helper()
	if err := save(s, index, term, content); err != nil {
		t.Fatal(err)
	}
}

func ids(t testing.TB, s *snapshots) string {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, meta := range list {
		out = append(out, strings.TrimLeft(meta.ID, "0"))
	}
	return strings.Join(out, " ")
}

func load(s *snapshots, id string) (*raft.SnapshotMeta, string, error) {
	meta, r, err := s.Open(id)
	if err != nil {
		return nil, "", err
	}
	content, err := io.ReadAll(r)
	return meta, string(content), errors.Join(err, r.Close())
}

func TestASnapshotComesBackAsItWasWritten(t *testing.T) {
	s := newSnapshots(t, vfs.NewMem())
	content := strings.Repeat("state ", 200_000)
	mustSave(t, s, 42, 3, content)
	list, err := s.List()
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	meta, got, err := load(s, list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if got != content {
		t.Errorf("%d bytes came back of %d", len(got), len(content))
	}
	want := &raft.SnapshotMeta{
		Version: 1, ID: snapshotID(42, 3), Index: 42, Term: 3,
		Configuration: sampleConfiguration, ConfigurationIndex: 1, Size: int64(len(content)),
	}
	if diff := cmp.Diff(want, meta); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, list[0]); diff != "" {
		t.Errorf("the list differs: %s", diff)
	}
}

func TestTheNewestTwoSnapshotsAreKeptNewestFirst(t *testing.T) {
	s := newSnapshots(t, vfs.NewMem())
	for _, at := range [][2]uint64{{10, 1}, {900, 1}, {20, 2}} {
		mustSave(t, s, at[0], at[1], "x")
	}
	if got := ids(t, s); got != "20-2 900-1" {
		t.Errorf("kept %q: a higher term is newer", got)
	}
}

func TestACancelledSnapshotLeavesNothing(t *testing.T) {
	mem := vfs.NewMem()
	s := newSnapshots(t, mem)
	sink, err := s.Create(1, 5, 1, sampleConfiguration, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sink.Cancel(), sink.Close(), sink.Cancel()); err != nil {
		t.Error(err)
	}
	if files, err := mem.ReadDir("/snapshots"); err != nil || len(files) != 0 {
		t.Errorf("%d files are left, %v", len(files), err)
	}
}

func TestASnapshotThatIsClosedIsWhatItIs(t *testing.T) {
	s := newSnapshots(t, vfs.NewMem())
	told := 0
	s.saved = func(raft.SnapshotMeta) { told++ }
	sink, err := s.Create(1, 5, 1, sampleConfiguration, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.WriteString(sink, "State"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sink.Close(), sink.Close(), sink.Cancel(), sink.Close()); err != nil {
		t.Error(err)
	}
	if _, content, err := load(s, sink.ID()); content != "State" || err != nil || told != 1 {
		t.Errorf("it holds %q, %v; told %d times", content, err, told)
	}
}

func TestASnapshotOnAFullDiskFailsWithTheCauseAndLeavesNothing(t *testing.T) {
	mem := vfs.NewMem()
	s := newSnapshots(t, mem)
	mustSave(t, s, 5, 1, "old")
	mem.SetCapacity(1000)
	err := save(s, 6, 1, strings.Repeat("x", 2000))
	if !errors.Is(err, ErrDiskFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if files, _ := mem.ReadDir("/snapshots"); len(files) != 1 {
		t.Errorf("%d files are left, want 1", len(files))
	}
}

func TestASnapshotIsWholeOrAbsentAfterAPowerLossAtAnyCall(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	failures := 0
	for n := 1; n < 100; n++ {
		for range 20 {
			mem := vfs.NewMem()
			s := newSnapshots(t, mem)
			if err := mem.SyncDir("/"); err != nil {
				t.Fatal(err)
			}
			mustSave(t, s, 5, 1, "old")
			mem.StopAt(n)
			err := save(s, 6, 1, strings.Repeat("new ", 1000))
			mem.CrashKeeping(func() bool { return random.IntN(2) == 0 })
			s = newSnapshots(t, mem)
			got := ids(t, s)
			if got != "5-1" && got != "6-1 5-1" || err == nil && got != "6-1 5-1" {
				t.Fatalf("n=%d (%v): snapshots %q", n, err, got)
			}
			if _, r, damaged, failed := s.newest(); failed != nil || r == nil {
				t.Fatalf("n=%d: no sound snapshot: %v (damaged %q)", n, failed, damaged)
			} else {
				_ = r.Close()
			}
			if err == nil {
				if failures < 8*20 { // create, write, write, sync, close, rename, sync, read back
					t.Errorf("only %d calls ever failed", failures/20)
				}
				return
			}
			failures++
		}
	}
	t.Fatal("the snapshot never succeeded")
}

func TestDamagedSnapshotsAreNotGivenOut(t *testing.T) {
	mem := vfs.NewMem()
	s := newSnapshots(t, mem)
	content := strings.Repeat("new state ", 200)
	mustSave(t, s, 6, 1, content)
	name := s.file(snapshotID(6, 1))
	whole, err := mem.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		replace(t, mem, name, bad)
		if _, got, err := load(s, snapshotID(6, 1)); !errors.Is(err, errSnapshot) {
			t.Fatalf("byte %d flipped: %d bytes, %v", i, len(got), err)
		}
		replace(t, mem, name, whole[:i])
		if _, got, err := load(s, snapshotID(6, 1)); !errors.Is(err, errSnapshot) {
			t.Fatalf("cut to %d: %d bytes, %v", i, len(got), err)
		}
	}
}

func TestADamagedNewestSnapshotIsSetAsideForTheOneBefore(t *testing.T) {
	mem := vfs.NewMem()
	s := newSnapshots(t, mem)
	mustSave(t, s, 5, 1, "old")
	mustSave(t, s, 6, 1, "new")
	b, err := mem.ReadFile(s.file(snapshotID(6, 1)))
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	replace(t, mem, s.file(snapshotID(6, 1)), b)
	meta, r, damaged, err := s.newest()
	if err != nil || meta == nil || meta.Index != 5 {
		t.Fatalf("got %+v, %v", meta, err)
	}
	defer r.Close()
	if len(damaged) != 1 || ids(t, s) != "5-1" {
		t.Errorf("damaged %q, left %q", damaged, ids(t, s))
	}
	if _, err := mem.Stat(s.file(snapshotID(6, 1)) + ".damaged"); err != nil {
		t.Errorf("the damaged one was thrown away: %v", err)
	}
}

func TestUnfinishedSnapshotsAreRemovedOnOpen(t *testing.T) {
	mem := vfs.NewMem()
	s := newSnapshots(t, mem)
	if _, err := s.Create(1, 5, 1, sampleConfiguration, 1, nil); err != nil {
		t.Fatal(err)
	}
	newSnapshots(t, mem)
	if files, _ := mem.ReadDir("/snapshots"); len(files) != 0 {
		t.Errorf("%d files are left", len(files))
	}
}

func FuzzReadSnapshotTail(f *testing.F) {
	mem := vfs.NewMem()
	s := newSnapshots(f, mem)
	mustSave(f, s, 6, 1, "state")
	whole, err := mem.ReadFile(s.file(snapshotID(6, 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[4:])
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		file, err := mem.OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = file.Write(b); err != nil {
			t.Fatal(err)
		}
		meta, _, err := readSnapshotTail(file)
		if err == nil && (meta.Size < 0 || meta.Size > int64(len(b))) {
			t.Fatalf("size %d of %d bytes", meta.Size, len(b))
		}
		if err != nil && !errors.Is(err, errSnapshot) {
			t.Fatalf("error without the sentinel: %v", err)
		}
	})
}

// For each call on the disk that it takes to keep State: that one fails. What is told to
// be kept is there.
func TestStateThatIsToldToBeKeptIs(t *testing.T) {
	m := testMachine(t)
	m.Apply(commandAt(t, 2, token("a")))
	for n := 1; ; n++ {
		mem := vfs.NewMem()
		s := newSnapshots(t, mem)
		sink, err := s.Create(1, 2, 1, sampleConfiguration, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		before, counted := mem.Calls(), 0
		mem.FailAt(n, syscall.EIO)
		err = (&stateSnapshot{state: m.live, taken: func(int64) { counted++ }, since: 1}).Persist(sink)
		whole := mem.Calls() < before+n
		mem.FailAt(1<<40, nil)
		meta, source, _, found := s.newest()
		if found != nil {
			t.Fatal(found)
		}
		if (counted == 1) != (err == nil) || err == nil && meta == nil {
			t.Errorf("call %d fails: %v; counted %d times, kept %v", n, err, counted, meta)
		}
		if meta != nil {
			must(t, source.Close())
		}
		if whole {
			if err != nil || n < 5 {
				t.Errorf("with no failure: %v after %d calls", err, n)
			}
			return
		}
	}
}
