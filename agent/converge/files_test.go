package converge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/vfs"
)

func sampleRecords() []Record {
	code := 137
	return []Record{
		{Kind: RecordStart, Task: "a", Attempt: 1, Boot: "b1", At: 7},
		{Kind: RecordStart, Task: "b", Attempt: 2, Boot: "b1", At: 8, Container: "app", ContainerAttempt: 3},
		{Kind: RecordStop, Task: "a", Attempt: 1, At: 9, Code: fleet.StopEssentialContainerExited, Reason: "r",
			Exits: []fleet.ContainerExit{{Container: "app", Code: &code, Reason: "x"}}},
		{Kind: RecordForget, Task: "b"},
	}
}

func sampleWanted(index uint64) SavedWanted {
	return SavedWanted{Boot: "b1", Wanted: fleet.Wanted{
		Fleet: "f1", Epoch: 1, Index: index, Session: 3,
		Tasks: []fleet.WantedTask{{ID: fleet.TaskID(strings.Repeat("0a", 16)), TaskDef: "web:1",
			Desired: fleet.TaskRunning}},
		TaskDefs: []fleet.TaskDef{{ID: "web:1", Containers: []fleet.Container{{Name: "app"}}}},
	}}
}

func TestAJournalCutAnywhereGivesTheRecordsBeforeTheCut(t *testing.T) {
	whole, err := encodeJournal(sampleRecords())
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for n := range len(whole) + 1 {
		got, err := decodeJournal(whole[:n])
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if len(got) < last {
			t.Fatalf("cut at %d gives %d records, a shorter one gave %d", n, len(got), last)
		}
		last = len(got)
	}
	if last != len(sampleRecords()) {
		t.Errorf("the whole gives %d records", last)
	}
}

func TestDamageInsideAJournalIsSeen(t *testing.T) {
	whole, _ := encodeJournal(sampleRecords())
	first := len(journalHeader)
	for name, damage := range map[string]func([]byte) []byte{
		"another header":     func(b []byte) []byte { b[3] ^= 1; return b },
		"a flipped bit":      func(b []byte) []byte { b[first+12] ^= 1; return b },
		"a length too large": func(b []byte) []byte { b[first] = 0xff; return b },
		"no kind": func(b []byte) []byte {
			framed, _ := appendRecord(nil, Record{Task: "a"})
			return append([]byte(journalHeader), append(framed, b[first:]...)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decodeJournal(damage(bytes.Clone(whole))); !errors.Is(err, errDamaged) {
				t.Errorf("got %v, want errDamaged", err)
			}
		})
	}
	zeros := append(bytes.Clone(whole), make([]byte, 4096)...)
	if got, err := decodeJournal(zeros); err != nil || len(got) != 4 {
		t.Errorf("a tail of zeros: %d records, %v", len(got), err)
	}
}

// newRecord and newWanted are what a newer agent might write.
type newRecord struct {
	Record
	Note string `cbor:"99,keyasint"`
}

type newTask struct {
	fleet.WantedTask
	Note []string `cbor:"99,keyasint"`
}

func TestFilesOfANewerAgentAreReadAfterARollback(t *testing.T) {
	var err error
	b := []byte(journalHeader)
	for _, r := range []any{newRecord{sampleRecords()[0], "x"}, Record{Kind: RecordForget + 1, Task: "a"},
		newRecord{sampleRecords()[1], "y"}} {
		if b, err = appendFrame(b, r); err != nil {
			t.Fatal(err)
		}
	}
	records, err := decodeJournal(b)
	if diff := cmp.Diff(sampleRecords()[:2], records); err != nil || diff != "" {
		t.Errorf("the journal is read with %v:\n%s", err, diff)
	}

	want := sampleWanted(5)
	w := &want.Wanted
	b = []byte(wantedHeader)
	head := wantedHead{Boot: want.Boot, Fleet: w.Fleet, Epoch: w.Epoch, Index: w.Index, Session: w.Session, TaskDefs: 1,
		Tasks: 1}
	for _, v := range []any{head, w.TaskDefs[0], newTask{w.Tasks[0], []string{"x"}}} {
		if b, err = appendFrame(b, v); err != nil {
			t.Fatal(err)
		}
	}
	got, err := decodeWanted(b)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("the wanted file is read with %v:\n%s", err, diff)
	}
}

func TestCompactingKeepsWhatTheJournalSays(t *testing.T) {
	got := Compact(sampleRecords())
	if len(got) != 2 || got[0].Kind != RecordStart || got[1].Kind != RecordStop || got[0].Task != "a" {
		t.Errorf("got %+v", got)
	}
	again := append(sampleRecords(), Record{Kind: RecordStart, Task: "a", Attempt: 2, Boot: "b2"})
	if got := Compact(again); len(got) != 1 || got[0].Attempt != 2 {
		t.Errorf("after another start: %+v", got)
	}
}

func TestAJournalIsWrittenAnewWhenItHasGrownAndAfterAnError(t *testing.T) {
	fsys := vfs.NewMem()
	if err := makeFolder(fsys, "/d", 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(fsys, "/d/journal")
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 1000)
	for i := range 3000 {
		id := fleet.TaskID(fmt.Sprint(i))
		if err = j.Append([]Record{{Kind: RecordStart, Task: id, Attempt: 1}, {Kind: RecordStop, Task: id, Reason: big},
			{Kind: RecordForget, Task: id}}); err != nil {
			t.Fatal(err)
		}
	}
	if info, failed := fsys.Stat("/d/journal"); failed != nil || info.Size() > 3<<20 {
		t.Errorf("the journal has %d bytes, %v", info.Size(), failed)
	}
	fsys.FailAt(2, os.ErrInvalid) // the sync
	err = j.Append([]Record{{Kind: RecordStart, Task: "lost", Attempt: 1}})
	if !errors.Is(err, os.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	if err = j.Append([]Record{{Kind: RecordStart, Task: "next", Attempt: 1}}); err != nil {
		t.Fatal(err)
	}
	fsys.Crash()
	again, err := openJournal(fsys, "/d/journal")
	if err != nil || len(again.records) != 2 {
		t.Errorf("found %+v, %v", again.records, err)
	}
}

// A full disk refuses what is given; nothing more is given, and the disk gets room.
func TestAnEmptyAppendWritesWhatWaits(t *testing.T) {
	fsys := vfs.NewMem()
	if err := makeFolder(fsys, "/d", 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(fsys, "/d/journal")
	if err != nil {
		t.Fatal(err)
	}
	calls := fsys.Calls()
	if err = j.Append(nil); err != nil || fsys.Calls() != calls {
		t.Errorf("nothing waits: %v, %d calls on the disk", err, fsys.Calls()-calls)
	}
	fsys.FailAt(1, os.ErrInvalid)
	if err = j.Append([]Record{{Kind: RecordStart, Task: "one", Attempt: 1}}); !errors.Is(err, os.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	j.mu.Lock() // a write hangs
	if err = j.Append([]Record{{Kind: RecordStart, Task: "two", Attempt: 1}}); !errors.Is(err, errBusy) {
		t.Fatalf("got %v", err)
	}
	j.mu.Unlock()
	if err = j.Append(nil); err != nil {
		t.Fatal(err)
	}
	calls = fsys.Calls()
	if err = j.Append(nil); err != nil || fsys.Calls() != calls {
		t.Errorf("nothing waits any more: %v, %d calls on the disk", err, fsys.Calls()-calls)
	}
	fsys.Crash()
	again, err := openJournal(fsys, "/d/journal")
	if err != nil || len(again.records) != 2 || again.records[0].Task != "one" || again.records[1].Task != "two" {
		t.Errorf("found %+v, %v", again.records, err)
	}
}

func TestTheNewerWantedFileIsReadAndTheOlderIsWritten(t *testing.T) {
	fsys := vfs.NewMem()
	if err := makeFolder(fsys, "/d", 0o700); err != nil {
		t.Fatal(err)
	}
	for index := range uint64(5) {
		w, _, err := openWanted(fsys, "/d")
		if err != nil {
			t.Fatal(err)
		}
		if err = w.Save(sampleWanted(index + 1)); err != nil {
			t.Fatal(err)
		}
		fsys.Crash()
		_, got, err := openWanted(fsys, "/d")
		if err != nil || got == nil || got.Wanted.Index != index+1 || got.Behind {
			t.Fatalf("after index %d: %+v, %v", index+1, got, err)
		}
	}
	newest := "/d/wanted.a" // 1, 3, 5
	must(t, vfs.WriteFileAtomic(fsys, newest, []byte("x"), 0o600))
	_, got, err := openWanted(fsys, "/d")
	if err == nil || got == nil || got.Wanted.Index != 4 || !got.Behind {
		t.Errorf("with the newest damaged: %+v, %v", got, err)
	}
	_, err = fsys.Stat(newest + ".damaged")
	must(t, err)
	if _, got, err = openWanted(fsys, "/d"); err != nil || got == nil || !got.Behind {
		t.Errorf("at the next start: %+v; want it still behind", got)
	}
	fsys.Crash()
	w, got, _ := openWanted(fsys, "/d") // the damaged file may be there again
	if got == nil || !got.Behind {
		t.Errorf("after a power loss: %+v; want it still behind", got)
	}
	must(t, w.Save(sampleWanted(6)))
	if _, got, err = openWanted(fsys, "/d"); err != nil || got == nil || got.Wanted.Index != 6 || got.Behind {
		t.Errorf("after a list was written: %+v, %v", got, err)
	}
}

func TestAListIsBehindAJournalThatWasLostUntilItIsWrittenAnew(t *testing.T) {
	fsys := vfs.NewMem()
	must(t, makeFolder(fsys, "/d", 0o700))
	w, _, err := openWanted(fsys, "/d")
	must(t, err)
	must(t, w.Save(sampleWanted(1)))
	must(t, vfs.WriteFileAtomic(fsys, "/d/journal", []byte("no journal at all"), 0o600))
	if _, err = openJournal(fsys, "/d/journal"); err == nil {
		t.Fatal("the journal could be read")
	}
	for start := range 3 {
		fsys.Crash()
		_, _ = openJournal(fsys, "/d/journal") // the damaged file may be there again, or not
		if _, got, err := openWanted(fsys, "/d"); err != nil || got == nil || !got.Behind {
			t.Errorf("start %d: %+v, %v", start, got, err)
		}
	}
}

func TestAWantedFileIsHeldToWhatAFrameIsHeldTo(t *testing.T) {
	bad := sampleWanted(1)
	bad.Wanted.Tasks[0].ID = "../../../etc"
	b, err := encodeWanted(bad)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeWanted(b); !errors.Is(err, errDamaged) {
		t.Errorf("got %v, want errDamaged", err)
	}
}

// heavyWanted is what a host wants that runs n tasks, each of a definition of
// its own as large as one may be.
func heavyWanted(n int) SavedWanted {
	s := sampleWanted(1)
	w := &s.Wanted
	w.Tasks, w.TaskDefs = nil, nil
	for i := range n {
		def := fleet.TaskDef{ID: fleet.MakeTaskDefID("heavy", i), Containers: []fleet.Container{{
			Name: "app", Environment: []fleet.EnvVar{{Name: "LARGE", Value: strings.Repeat("x", fleet.MaxTaskDefMem-64)}},
		}}}
		w.TaskDefs = append(w.TaskDefs, def)
		w.Tasks = append(w.Tasks, fleet.WantedTask{ID: fleet.TaskID(fmt.Sprintf("%032x", i)), TaskDef: def.ID,
			Desired: fleet.TaskRunning})
	}
	return s
}

func TestWhateverIsAcceptedCanBeSaved(t *testing.T) {
	fsys := vfs.NewMem()
	if err := makeFolder(fsys, "/d", 0o700); err != nil {
		t.Fatal(err)
	}
	heavy := heavyWanted(300) // 19 MiB
	w, _, err := openWanted(fsys, "/d")
	if err != nil {
		t.Fatal(err)
	}
	if err = w.Save(heavy); err != nil {
		t.Fatalf("save a list of %d large definitions: %v", len(heavy.Wanted.TaskDefs), err)
	}
	fsys.Crash()
	_, got, err := openWanted(fsys, "/d")
	if err != nil || !reflect.DeepEqual(*got, heavy) {
		t.Errorf("read back: err %v, equal %v", err, err == nil && reflect.DeepEqual(*got, heavy))
	}
}

func TestAWantedFileOfTheFirstFormatIsRead(t *testing.T) {
	body, err := wire.Marshal(firstFormatOf(sampleWanted(7)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeWanted(sealWanted(body)[0])
	if err != nil || !reflect.DeepEqual(got, sampleWanted(7)) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A field of what a host is sent is kept, or named here with why it is not.
func TestAWantedFileKeepsEachField(t *testing.T) {
	notKept := map[string]string{
		"Removed": "it is of a change, and the whole is kept",
		"LogsOut": "each frame brings it again",
		"Routes":  "they have a file of their own",
		"Entries": "an address is held only as long as a leader is confirmed, so each frame of a start brings them",
	}
	want := SavedWanted{Boot: "b1", Host: "h-1", Wanted: fleet.Wanted{Fleet: "f1", Epoch: 2, Index: 3, Session: 4,
		Tasks: sampleWanted(1).Wanted.Tasks, TaskDefs: sampleWanted(1).Wanted.TaskDefs}}
	b, err := encodeWanted(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeWanted(b)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("read with %v:\n%s", err, diff)
	}
	v := reflect.ValueOf(got.Wanted)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if _, left := notKept[name]; v.Field(i).IsZero() != left {
			t.Errorf("%s is kept: %v", name, !v.Field(i).IsZero())
		}
	}
}

func TestAWantedFileThatIsCutOrChangedAnywhereIsDamaged(t *testing.T) {
	whole, err := encodeWanted(sampleWanted(1))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeWanted(whole); err != nil || !reflect.DeepEqual(got, sampleWanted(1)) {
		t.Fatalf("the whole gives %+v, %v", got, err)
	}
	for n := range whole {
		changed := bytes.Clone(whole)
		changed[n] ^= 0x20
		for what, file := range map[string][]byte{"cut": whole[:n], "changed": changed} {
			if _, err := decodeWanted(file); !errors.Is(err, errDamaged) {
				t.Errorf("%s at %d: %v, want errDamaged", what, n, err)
			}
		}
	}
	if _, err := decodeWanted(append(bytes.Clone(whole), whole[len(wantedHeader):]...)); !errors.Is(err, errDamaged) {
		t.Errorf("with more after it: %v, want errDamaged", err)
	}
}

// sealJournal makes any bytes the body of a record whose frame is right, so that
// a fuzzer gets past the checksum.
func sealJournal(body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte(journalHeader), uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(append(b, body...), 0)
}

// sealMark parts the records that sealWanted makes.
const sealMark = "|||"

// sealWanted makes any bytes a wanted file of the first format, and, parted at
// sealMark, the records of one of the second, whose checksums are right.
func sealWanted(body []byte) [][]byte {
	first := binary.BigEndian.AppendUint32([]byte(wantedHeader1), crc32.Checksum(body, castagnoli))
	second := []byte(wantedHeader)
	for _, record := range bytes.Split(body, []byte(sealMark)) {
		second = frame(second, record)
	}
	return [][]byte{append(first, body...), second}
}

func FuzzJournal(f *testing.F) {
	whole, _ := encodeJournal(sampleRecords())
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte(journalHeader))
	f.Add([]byte("skein-jour"))
	f.Add([]byte{})
	for _, r := range sampleRecords() {
		body, _ := wire.Marshal(r)
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range [][]byte{b, sealJournal(b)} {
			records, err := decodeJournal(file)
			if err != nil {
				continue
			}
			again, err := encodeJournal(records)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := decodeJournal(again); err != nil || len(back) != len(records) {
				t.Fatalf("read %d records, wrote and read %d, %v", len(records), len(back), err)
			}
			wakeWith(t, Saved{Journal: records}, nil)
		}
	})
}

func FuzzWanted(f *testing.F) {
	whole, _ := encodeWanted(sampleWanted(1))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(wantedHeader))
	body, _ := wire.Marshal(firstFormatOf(sampleWanted(2)))
	f.Add(body)
	sample := sampleWanted(3)
	head, _ := wire.Marshal(wantedHead{Boot: sample.Boot, Fleet: sample.Wanted.Fleet, Epoch: 1, Index: 3, Session: 1,
		TaskDefs: 1, Tasks: 1})
	def, _ := wire.Marshal(sample.Wanted.TaskDefs[0])
	wanted, _ := wire.Marshal(sample.Wanted.Tasks[0])
	f.Add(bytes.Join([][]byte{head, def, wanted}, []byte(sealMark)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range append(sealWanted(b), b) {
			s, err := decodeWanted(file)
			if err != nil {
				continue
			}
			if _, err := encodeWanted(s); err != nil {
				t.Fatal(err)
			}
			w := s.Wanted
			w.Session = 1
			wakeWith(t, Saved{Wanted: &s}, &Frame{Complete: true, Wanted: w})
		}
	})
}

// wakeWith starts a machine on what was read and lets it live for a while on a
// host where every step succeeds.
func wakeWith(t *testing.T, saved Saved, f *Frame) {
	t.Helper()
	m := NewMachine(MachineConfig{Boot: "b1", LogDir: "/log"}, saved, Now{})
	events := []Event{RuntimeUp{}, SessionOpened{Session: 1}}
	if f != nil {
		events = append(events, *f)
	}
	for n := range 200 {
		effects := m.Step(Now{Mono: time.Duration(n) * time.Second, Wall: 1}, events)
		events = []Event{Tick{}}
		for _, e := range effects {
			if e.ID != 0 {
				events = append(events, Done{ID: e.ID, PID: 1, Path: "/p", Found: &Found{}})
			}
		}
		if len(events) > 100_000 {
			t.Fatalf("step %d asks for %d things", n, len(events))
		}
	}
	m.Status()
}

func TestALogThatHasGrownIsCutAndKeepsOneOlderFile(t *testing.T) {
	fsys := vfs.NewMem()
	dir := "/log/" + strings.Repeat("0b", 16)
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	shim, err := fsys.OpenFile(dir+"/app.log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string, bytes int) {
		t.Helper()
		if _, failed := shim.Write([]byte(strings.Repeat(text, bytes/len(text)))); failed != nil {
			t.Fatal(failed)
		}
	}
	size := func(name string) int64 {
		info, missing := fsys.Stat(dir + "/" + name)
		if missing != nil {
			return -1
		}
		return info.Size()
	}
	write("first ", maxLog/2)
	if err = rotateLogs(t.Context(), fsys, []string{dir + "/app.log", dir + "/not-there.log"}); err != nil ||
		size("app.log") != maxLog/2/6*6 {
		t.Fatalf("a short log was touched: %d, %v", size("app.log"), err)
	}
	write("second ", maxLog)
	if err = rotateLogs(t.Context(), fsys, []string{dir + "/app.log", dir + "/not-there.log"}); err != nil {
		t.Fatal(err)
	}
	if size("app.log") != 0 || size("app.log.1") != maxLog {
		t.Errorf("log %d, older %d", size("app.log"), size("app.log.1"))
	}
	write("third", 5)
	if got, _ := fsys.ReadFile(dir + "/app.log"); string(got) != "third" {
		t.Errorf("the shim's next line went to %q", got)
	}
	write("fourth ", 2*maxLog)
	if err = rotateLogs(t.Context(), fsys, []string{dir + "/app.log", dir + "/not-there.log"}); err != nil ||
		size("app.log.1") != maxLog {
		t.Errorf("older %d, %v", size("app.log.1"), err)
	}
	found, err := logFolders(fsys, "/log")
	if err != nil || len(found) != 1 || found[0].Bytes != maxLog {
		t.Errorf("folders %+v, %v", found, err)
	}
	write("fifth ", 2*maxLog)
	fsys.SetCapacity(100)
	if err := rotateLogs(t.Context(), fsys, []string{dir + "/app.log", dir + "/not-there.log"}); err == nil ||
		size("app.log") != 0 {
		t.Errorf("on a full disk the log keeps %d bytes, %v", size("app.log"), err)
	}
}

func TestOnlyATasksOwnLogFolderIsEverRemoved(t *testing.T) {
	fsys := vfs.NewMem()
	id := fleet.TaskID(strings.Repeat("0c", 16))
	if err := fsys.MkdirAll("/log/"+string(id), 0o700); err != nil {
		t.Fatal(err)
	}
	x := &executor{cfg: Config{FS: fsys, Machine: MachineConfig{LogDir: "/log"}}}
	for _, bad := range []fleet.TaskID{"", ".", "..", "../log", "x"} {
		if err := x.removeLogs(bad); err == nil {
			t.Errorf("%q was removed", bad)
		}
	}
	if _, err := fsys.Stat("/log/" + string(id)); err != nil {
		t.Fatal(err)
	}
	if err := x.removeLogs(id); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
