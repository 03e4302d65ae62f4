package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"skein/runtime/seam/vfs"
)

// both runs a test on the real file system and on the twin: they must agree.
func both(t *testing.T, test func(t *testing.T, fsys vfs.FS, dir string)) {
	t.Run("on the real file system", func(t *testing.T) { test(t, vfs.OS, t.TempDir()) })
	t.Run("on the twin", func(t *testing.T) {
		mem := vfs.NewMem()
		if err := mem.MkdirAll("/data/dir", 0o755); err != nil {
			t.Fatal(err)
		}
		test(t, mem, "/data/dir")
	})
}

func write(t *testing.T, fsys vfs.FS, name, text string, flag int) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	data, err := fsys.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestBothFileSystemsAgree(t *testing.T) {
	both(t, func(t *testing.T, fsys vfs.FS, dir string) {
		a, b := path.Join(dir, "a"), path.Join(dir, "b")

		write(t, fsys, a, "hello", 0)
		write(t, fsys, a, " world", os.O_APPEND)
		if got := content(t, fsys, a); got != "hello world" {
			t.Errorf("appending gave %q", got)
		}
		write(t, fsys, a, "x", os.O_TRUNC)
		if got := content(t, fsys, a); got != "x" {
			t.Errorf("truncating on open gave %q", got)
		}
		if _, err := fsys.OpenFile(a, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("exclusive creation of a file that exists: %v", err)
		}
		if _, err := fsys.ReadFile(b); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("reading a missing file: %v", err)
		}
		if err := fsys.Rename(a, b); err != nil {
			t.Error(err)
		}
		if _, err := fsys.Stat(a); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the old name after a rename: %v", err)
		}
		if err := fsys.MkdirAll(path.Join(dir, "sub/deep"), 0o700); err != nil {
			t.Error(err)
		}
		if err := fsys.Remove(path.Join(dir, "sub")); err == nil {
			t.Error("a folder that is not empty was removed")
		}
		entries, err := fsys.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if want := []string{"b", "sub"}; !slices.Equal(names, want) {
			t.Errorf("entries %q, want %q", names, want)
		}
		if err := fsys.RemoveAll(path.Join(dir, "sub")); err != nil {
			t.Error(err)
		}
		if err := fsys.RemoveAll(path.Join(dir, "never")); err != nil {
			t.Errorf("removing what is not there: %v", err)
		}
		if err := fsys.Remove(path.Join(dir, "never")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removing one file that is not there: %v", err)
		}
		if err := fsys.SyncDir(dir); err != nil {
			t.Error(err)
		}
	})
}

func TestBothFilesSeekReadAndTruncateAlike(t *testing.T) {
	both(t, func(t *testing.T, fsys vfs.FS, dir string) {
		f, err := fsys.OpenFile(path.Join(dir, "f"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err = io.WriteString(f, "0123456789"); err != nil {
			t.Fatal(err)
		}
		if at, failed := f.Seek(-4, io.SeekEnd); at != 6 || failed != nil {
			t.Errorf("seek: %d, %v", at, failed)
		}
		rest, err := io.ReadAll(f)
		if string(rest) != "6789" || err != nil {
			t.Errorf("read %q, %v", rest, err)
		}
		buf := make([]byte, 4)
		if n, err := f.ReadAt(buf, 8); n != 2 || !errors.Is(err, io.EOF) {
			t.Errorf("reading past the end: %d, %v", n, err)
		}
		if err := f.Truncate(3); err != nil {
			t.Error(err)
		}
		if err := f.Truncate(5); err != nil {
			t.Error(err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
		if all, _ := io.ReadAll(f); string(all) != "012\x00\x00" {
			t.Errorf("after truncating: %q", all)
		}
		if info, err := f.Stat(); err != nil || info.Size() != 5 {
			t.Errorf("stat: %v, %v", info, err)
		}
	})
}

func TestACrashLosesWhatWasNotSynced(t *testing.T) {
	mem := vfs.NewMem()
	if err := mem.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := mem.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	write(t, mem, "/d/synced", "whole", 0)
	write(t, mem, "/d/old-name", "moved", 0)
	write(t, mem, "/d/removed", "still here", 0)
	if err := mem.SyncDir("/d"); err != nil {
		t.Fatal(err)
	}
	write(t, mem, "/d/name-not-synced", "gone", 0)
	if err := mem.Rename("/d/old-name", "/d/new-name"); err != nil {
		t.Fatal(err)
	}
	if err := mem.Remove("/d/removed"); err != nil {
		t.Fatal(err)
	}
	f, err := mem.OpenFile("/d/synced", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, " and more"); err != nil {
		t.Fatal(err)
	}

	mem.Crash()

	for name, want := range map[string]string{"/d/synced": "whole", "/d/old-name": "moved", "/d/removed": "still here"} {
		if got := content(t, mem, name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"/d/name-not-synced", "/d/new-name"} {
		if _, err := mem.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s survived without a synced folder: %v", name, err)
		}
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, vfs.ErrCrashed) {
		t.Errorf("a handle from before the crash still writes: %v", err)
	}
}

func TestWriteFileAtomicIsWholeAfterACrashAtEveryStep(t *testing.T) {
	both := []struct {
		name  string
		fault func(mem *vfs.Mem, n int)
	}{
		{"the power goes at call n", func(mem *vfs.Mem, n int) { mem.StopAt(n) }},
		{"call n fails, then the power goes", func(mem *vfs.Mem, n int) { mem.FailAt(n, syscall.EIO) }},
	}
	for _, tc := range both {
		t.Run(tc.name, func(t *testing.T) {
			failures := 0
			for n := 1; n < 50; n++ {
				mem := vfs.NewMem()
				if err := vfs.WriteFileAtomic(mem, "/wanted", []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				tc.fault(mem, n)
				err := vfs.WriteFileAtomic(mem, "/wanted", []byte("new"), 0o600)
				mem.Crash()
				got := content(t, mem, "/wanted")
				if got != "old" && got != "new" {
					t.Fatalf("n=%d: the file holds %q", n, got)
				}
				if err == nil {
					if got != "new" {
						t.Fatalf("n=%d: acknowledged, but the file holds %q", n, got)
					}
					if failures < 4 { // open, write, sync, rename, syncdir
						t.Fatalf("only %d steps ever failed", failures)
					}
					return
				}
				failures++
			}
			t.Fatal("the write never succeeded")
		})
	}
}

func TestWriteFileAtomicOnAFullDiskKeepsTheOldFileAndNamesTheCause(t *testing.T) {
	mem := vfs.NewMem()
	if err := vfs.WriteFileAtomic(mem, "/f", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	mem.SetCapacity(2)
	err := vfs.WriteFileAtomic(mem, "/f", []byte("larger"), 0o600)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	if got := content(t, mem, "/f"); got != "old" {
		t.Errorf("the file holds %q", got)
	}
	if _, err := mem.Stat("/f" + vfs.TempSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unfinished file stayed: %v", err)
	}
}

func TestWriteFileAtomicOnTheRealFileSystem(t *testing.T) {
	name := path.Join(t.TempDir(), "f")
	for _, text := range []string{"first", "second"} {
		if err := vfs.WriteFileAtomic(vfs.OS, name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := content(t, vfs.OS, name); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestBothFilesWriteAtAndAllocateAlike(t *testing.T) {
	both(t, func(t *testing.T, fsys vfs.FS, dir string) {
		f, err := fsys.OpenFile(path.Join(dir, "f"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Allocate(8); err != nil {
			t.Fatal(err)
		}
		for _, w := range []struct {
			text string
			at   int64
		}{{"abc", 2}, {"XY", 3}, {"end", 10}} {
			if n, err := f.WriteAt([]byte(w.text), w.at); n != len(w.text) || err != nil {
				t.Errorf("write %q at %d: %d, %v", w.text, w.at, n, err)
			}
		}
		if err := f.Allocate(4); err != nil {
			t.Errorf("allocating less than there is: %v", err)
		}
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		if got, want := content(t, fsys, path.Join(dir, "f")), "\x00\x00aXY\x00\x00\x00\x00\x00end"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestACrashMayKeepAnyPartOfWhatWasNotSynced(t *testing.T) {
	const size = 3 * 512
	for mask := range 1 << 4 { // three sectors and the length
		mem := vfs.NewMem()
		write(t, mem, "/f", strings.Repeat("o", 512), 0)
		if err := mem.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		f, err := mem.OpenFile("/f", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte("n"), size), 0); err != nil {
			t.Fatal(err)
		}
		asked := 0
		mem.CrashKeeping(func() bool { asked++; return mask>>(asked-1)&1 == 1 })
		got := content(t, mem, "/f")
		want, lengthKept := 512, mask&1 == 1
		if lengthKept {
			want = size
		}
		if len(got) != want {
			t.Fatalf("mask %04b: %d bytes, want %d", mask, len(got), want)
		}
		for i := range len(got) / 512 {
			old := byte('o')
			if i > 0 {
				old = 0
			}
			if kept := mask>>(i+1)&1 == 1; kept != (got[i*512] == 'n') || !kept && got[i*512] != old {
				t.Fatalf("mask %04b: sector %d begins with %q", mask, i, got[i*512])
			}
		}
	}
}

func TestACrashAfterARenameMayKeepOneNameBothOrNone(t *testing.T) {
	seen := map[string]bool{}
	for mask := range 4 {
		mem := vfs.NewMem()
		write(t, mem, "/old", "x", 0)
		if err := mem.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		if err := mem.Rename("/old", "/new"); err != nil {
			t.Fatal(err)
		}
		asked := 0
		mem.CrashKeeping(func() bool { asked++; return mask>>(asked-1)&1 == 1 })
		var names []string
		entries, err := mem.ReadDir("/")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
			if got := content(t, mem, "/"+e.Name()); got != "x" {
				t.Errorf("%s holds %q", e.Name(), got)
			}
		}
		seen[strings.Join(names, "+")] = true
	}
	if len(seen) != 4 {
		t.Errorf("seen %v", seen)
	}
}

func TestAFullDiskRefusesGrowthButNotWhatWasAllocated(t *testing.T) {
	mem := vfs.NewMem()
	f, err := mem.OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Allocate(100); err != nil {
		t.Fatal(err)
	}
	mem.SetCapacity(10)
	if _, err := f.WriteAt(make([]byte, 100), 0); err != nil {
		t.Errorf("writing into allocated room: %v", err)
	}
	if err := f.Allocate(200); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("allocating more than there is: %v", err)
	}
	if n, err := f.WriteAt(make([]byte, 50), 90); n != 20 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing past the room: %d, %v", n, err)
	}
}

func TestALockIsHeldByOneUntilClosed(t *testing.T) {
	both(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := path.Join(dir, "lock")
		first, err := vfs.Lock(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = vfs.Lock(fsys, name); !errors.Is(err, vfs.ErrLocked) {
			t.Errorf("a second lock: %v", err)
		}
		if err = first.Close(); err != nil {
			t.Error(err)
		}
		again, err := vfs.Lock(fsys, name)
		if err != nil {
			t.Fatalf("after closing: %v", err)
		}
		if mem, ok := fsys.(*vfs.Mem); ok {
			mem.Crash()
			if err = mem.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if again, err = vfs.Lock(fsys, name); err != nil {
				t.Fatalf("after a crash: %v", err)
			}
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingButARegularFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	pipe := path.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// Never the machine's own device: a test that fails would take it away.
	linked := path.Join(dir, "linked")
	if err := os.Symlink("/dev/null", linked); err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]string{pipe: "pipe", linked: "device", dir: "folder"} {
		before, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		err = vfs.WriteFileAtomic(vfs.OS, name, []byte("x"), 0o600)
		if !errors.Is(err, vfs.ErrNotRegular) || !strings.Contains(err.Error(), name+" is a "+is) {
			t.Errorf("%s: %v, want that it is a %s", name, err, is)
		}
		if after, err := os.Lstat(name); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was replaced: %v", name, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	both(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := path.Join(dir, "file")
		for _, text := range []string{"one", "two"} {
			if err := vfs.WriteFileAtomic(fsys, name, []byte(text), 0o600); err != nil || content(t, fsys, name) != text {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
