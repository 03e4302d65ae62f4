package vfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"skein/runtime/seam/vfs"
)

const rotated = "/data/access.log"

func writeLine(t *testing.T, f *vfs.Rotated, line string) {
	t.Helper()
	if _, err := f.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
}

// all is what is kept, the oldest first, and the size of the largest file.
func linesOf(t *testing.T, fsys vfs.FS, files int) (text string, largest int) {
	t.Helper()
	for _, one := range vfs.RotatedNames(rotated, files) {
		content, err := fsys.ReadFile(one)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		text += string(content)
		largest = max(largest, len(content))
	}
	return text, largest
}

func TestTheNewestLinesAreKeptInOrderAndTheOldestGo(t *testing.T) {
	for _, files := range []int{1, 2, 4} {
		disk := vfs.NewMem()
		f := vfs.NewRotated(disk, rotated, 100, files)
		var want strings.Builder
		for i := range 1000 {
			line := fmt.Sprintf("line %d", i)
			writeLine(t, f, line)
			want.WriteString(line + "\n")
		}
		text, largest := linesOf(t, disk, files)
		if largest > 100 || text == "" || !strings.HasSuffix(want.String(), text) || len(text) < 100*(files-1) {
			t.Errorf("of %d files the largest has %d bytes, and together they have:\n%s", files, largest, text)
		}
		if entries, err := disk.ReadDir("/data"); err != nil || len(entries) != files {
			t.Errorf("%d files are there (%v), want %d", len(entries), err, files)
		}
	}
}

func TestANewProcessGoesOnWithTheFileThatIsThere(t *testing.T) {
	disk := vfs.NewMem()
	first := vfs.NewRotated(disk, rotated, 100, 2)
	writeLine(t, first, "one")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	writeLine(t, vfs.NewRotated(disk, rotated, 100, 2), "two")
	if text, _ := linesOf(t, disk, 2); text != "one\ntwo\n" {
		t.Errorf("the file has %q", text)
	}
}

func TestALineThatACrashCutOffTakesNoOtherWithIt(t *testing.T) {
	disk := vfs.NewMem()
	writeLine(t, vfs.NewRotated(disk, rotated, 100, 2), "one")
	file, err := disk.OpenFile(rotated, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("tw")); err != nil {
		t.Fatal(err)
	}
	writeLine(t, vfs.NewRotated(disk, rotated, 100, 2), "three")
	if text, _ := linesOf(t, disk, 2); text != "one\ntw\nthree\n" {
		t.Errorf("the file has %q", text)
	}
}

func TestAnyCallMayFailAndWhatIsWrittenAfterwardsIsWhole(t *testing.T) {
	failures := 0
	for call := 1; call < 120; call++ {
		disk := vfs.NewMem()
		disk.FailAt(call, syscall.ENOSPC)
		f := vfs.NewRotated(disk, rotated, 20, 3)
		for i := range 20 {
			if _, err := f.Write(fmt.Appendf(nil, "line %d\n", i)); err != nil {
				failures++
			}
		}
		disk.FailAt(0, nil)
		writeLine(t, f, "line 20") // after the one call that fails
		text, largest := linesOf(t, disk, 3)
		if largest > 21 { // the end of a line that was cut off
			t.Fatalf("call %d failed: a file has %d bytes", call, largest)
		}
		if !strings.HasSuffix(text, "line 20\n") {
			t.Fatalf("call %d failed: the files have %q", call, text)
		}
	}
	if failures == 0 {
		t.Error("no write failed: nothing was tried")
	}
}

func TestAFullDiskLeavesNoHalfLine(t *testing.T) {
	disk := vfs.NewMem()
	f := vfs.NewRotated(disk, rotated, 1000, 2)
	writeLine(t, f, "one")
	disk.SetCapacity(2)
	if _, err := f.Write([]byte("two\n")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full disk says %v", err)
	}
	if text, _ := linesOf(t, disk, 2); text != "one\n" {
		t.Errorf("the file has %q", text)
	}
	disk.SetCapacity(-1)
	writeLine(t, f, "three")
	if text, _ := linesOf(t, disk, 2); text != "one\nthree\n" {
		t.Errorf("the file has %q", text)
	}
}

func TestAPipeOfThatNameIsNotWrittenTo(t *testing.T) {
	pipe := t.TempDir() + "/access.log"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vfs.NewRotated(vfs.OS, pipe, 100, 2).Write([]byte("one\n")); !errors.Is(err, vfs.ErrNotRegular) {
		t.Errorf("writing to a pipe says %v", err)
	}
}
