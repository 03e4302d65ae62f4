package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skein/raftfsm"
	"skein/raftfsm/fleet"
	rules "skein/raftfsm/voter"
	"skein/runtime/seam/vfs"
)

// newVoter is a host's log in a folder; dropped counts how often its key is forgotten.
func newVoter(t *testing.T, dir string, dropped *int) *voter {
	t.Helper()
	v := &voter{
		dir: dir, log: slog.New(slog.DiscardHandler), parent: t.Context(), again: time.Millisecond,
		role:   func(string) {},
		beside: func(ctx context.Context, _ *raftfsm.Node) error { <-ctx.Done(); return nil },
		config: func(id fleet.RaftID) raftfsm.Config {
			accept, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			return raftfsm.Config{
				Dir: filepath.Join(dir, "raft"), ID: id, Accept: accept, BallastBytes: -1,
				Dial: func(context.Context, fleet.HostID) (net.Conn, error) { return nil, errors.New("nobody is there") },
			}
		},
	}
	v.dropKeys = func() error {
		if v.onDisk(t) == "" {
			t.Error("the log goes before the key: nothing says any more that there is something to forget")
		}
		*dropped++
		return nil
	}
	t.Cleanup(func() { _ = v.close() })
	return v
}

// onDisk is whose log is on the disk.
func (v *voter) onDisk(t *testing.T) fleet.RaftID {
	t.Helper()
	id, err := raftfsm.Identity(vfs.OS, v.logDir())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTheLogOfAHostLivesFromItsPreparationToItsRetirement(t *testing.T) {
	const first, second = fleet.RaftID("h-0000000000000001.1"), fleet.RaftID("h-0000000000000001.2")
	dir, dropped := t.TempDir(), new(int)
	v := newVoter(t, dir, dropped)
	taken := func() error { return nil }
	holds := func(when string, open, disk fleet.RaftID, drops int) {
		t.Helper()
		if v.id() != open || v.onDisk(t) != disk || *dropped != drops {
			t.Errorf("%s: open %q, on disk %q, keys dropped %d times; want %q, %q, %d", when, v.id(), v.onDisk(t), *dropped,
				open, disk, drops)
		}
	}
	if v.resume(); v.id() != "" {
		t.Error("a host without a log opens one")
	}
	if err := v.Prepare(t.Context(), first, taken); err != nil {
		t.Fatal(err)
	}
	holds("prepared", first, first, 0)
	refused := errors.New("no key")
	if err := v.Prepare(t.Context(), second, func() error { return refused }); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	holds("the key of the next is refused", first, first, 0)
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	holds("stopped", "", first, 0)
	v = newVoter(t, dir, dropped)
	v.resume()
	holds("started again", first, first, 0)
	if err := v.Retire(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	holds("another is retired", first, first, 0)
	if err := v.Retire(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	holds("retired", "", "", 1)
}

func TestADamagedFolderIsSaidOnce(t *testing.T) {
	dir, said := t.TempDir(), new(bytes.Buffer)
	v := newVoter(t, dir, new(int))
	v.log, v.dropKeys = slog.New(slog.NewTextHandler(said, nil)), func() error { return nil }
	if err := os.MkdirAll(v.logDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(v.logDir(), "raft-id")
	expect := func(lines int, when string) {
		t.Helper()
		for range 3 { // State says it with each beat
			if err := v.step(rules.LogsOut{UpTo: 1}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Count(said.String(), "counts for none"); got != lines {
			t.Errorf("%s: said %d times, want %d:\n%s", when, got, lines, said)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(marker, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	expect(1, "damaged")
	write("h-0000000000000001.7\n")
	expect(1, "well again")
	write("h-0000")
	expect(2, "damaged again")
}

func TestWhatIsBegunForALogEndsBeforeTheAgentDoes(t *testing.T) {
	const id = fleet.RaftID("h-0000000000000001.1")
	for name, c := range map[string]struct {
		begin func(v *voter)
		disk  fleet.RaftID
		drops int
	}{
		"a log that is out of the fleet is deleted": {func(v *voter) { v.logsOut(1) }, "", 1},
		"a log that is newer than those stays":      {func(v *voter) { v.logsOut(0) }, id, 0},
		"a log that failed is closed and kept":      {func(v *voter) { v.failed(id, errors.New("disk")) }, id, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dropped := new(int)
			v := newVoter(t, t.TempDir(), dropped)
			var ran []string
			v.role = func(role string) { ran = append(ran, role) }
			if err := v.Prepare(t.Context(), id, func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			hold := make(chan struct{})
			stop := v.open.Load().stop
			v.open.Load().stop = func() { <-hold; stop() } // closing takes a while
			c.begin(v)
			close(hold)
			if err := v.close(); err != nil {
				t.Fatal(err)
			}
			if v.id() != "" || v.onDisk(t) != c.disk || *dropped != c.drops || len(ran) != 2 || ran[1] != "worker" {
				t.Errorf("open %q, on disk %q, keys dropped %d times, roles %v", v.id(), v.onDisk(t), *dropped, ran)
			}
			v.logsOut(1) // too late: nothing is begun any more
			v.later.all.Wait()
			if v.onDisk(t) != c.disk {
				t.Error("work was begun after the end")
			}
		})
	}
}

func TestAFolderOfNoKnownLogIsSetAsideForTheNext(t *testing.T) {
	const id = fleet.RaftID("h-0000000000000001.2")
	dropped := new(int)
	v := newVoter(t, t.TempDir(), dropped)
	if err := v.Prepare(t.Context(), "h-0000000000000001.1", func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := v.step(rules.Failed{ID: "h-0000000000000001.1"}, nil); err != nil {
		t.Fatal(err)
	}
	markers, err := filepath.Glob(filepath.Join(v.logDir(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, marker := range markers {
		if info, err := os.Stat(marker); err == nil && info.Mode().IsRegular() && info.Size() < 100 {
			if err := os.WriteFile(marker, []byte("nonsense"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v.resume(); v.id() != "" {
		t.Errorf("%s is opened, by a folder that does not say whose it is", v.id())
	}
	if err := v.Prepare(t.Context(), id, func() error { return nil }); err != nil || v.id() != id {
		t.Errorf("open %q: %v", v.id(), err)
	}
}

func TestALogIsOpenedOnceItsDiskAnswersAgain(t *testing.T) {
	const id = fleet.RaftID("h-0000000000000001.1")
	for _, tt := range []struct {
		name string
		then func(t *testing.T, v *voter, heal func())
		open fleet.RaftID
	}{
		{"the disk is well again", func(_ *testing.T, v *voter, heal func()) {
			heal()
			v.later.end()
		}, id},
		{"the log is retired meanwhile", func(t *testing.T, v *voter, _ func()) {
			if err := v.Retire(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			v.later.end()
		}, ""},
		{"the agent stops meanwhile", func(t *testing.T, v *voter, heal func()) {
			if err := v.close(); err != nil {
				t.Fatal(err)
			}
			heal()
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, dropped := t.TempDir(), new(int)
			v := newVoter(t, dir, dropped)
			if err := v.Prepare(t.Context(), id, func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			if err := v.close(); err != nil {
				t.Fatal(err)
			}
			heal := unreadable(t, filepath.Join(v.logDir(), "log", "stable"))
			v = newVoter(t, dir, dropped)
			if v.resume(); v.id() != "" {
				t.Fatal("a log is open that the disk does not give")
			}
			tt.then(t, v, heal)
			if v.id() != tt.open {
				t.Errorf("open %q, want %q", v.id(), tt.open)
			}
			if asides, _ := filepath.Glob(filepath.Join(v.logDir(), "*damaged*")); len(asides) > 0 {
				t.Errorf("%q was set aside though only reading failed", asides)
			}
		})
	}
}

// unreadable has each read of a file fail, until heal: what stands there is a folder.
func unreadable(t *testing.T, name string) (heal func()) {
	t.Helper()
	if err := errors.Join(os.Rename(name, name+".kept"), os.Mkdir(name, 0o700)); err != nil {
		t.Fatal(err)
	}
	return func() {
		// In one step, or the log would seem to be gone.
		if err := unix.Renameat2(unix.AT_FDCWD, name+".kept", unix.AT_FDCWD, name, unix.RENAME_EXCHANGE); err != nil {
			t.Error(err)
		}
	}
}
