package wire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// sample is a State with a row in every table.
func sample(t testing.TB, tasks int) *fleet.State {
	t.Helper()
	s := fleet.New()
	at := fleet.Time(1_700_000_000_000)
	play := func(commands ...fleet.Command) {
		t.Helper()
		for _, c := range commands {
			at++
			item := fleet.Item{Command: c, By: "ada",
				Receipt: &fleet.Receipt{Token: fmt.Sprint("t", at), BodyHash: make([]byte, 32)}}
			if err := s.Apply(s.Index()+1, fleet.Entry{At: at, Items: []fleet.Item{item}}).Results[0].Err; err != nil {
				t.Fatalf("%T: %v", c, err)
			}
		}
	}
	host := fleet.Admission{ID: "h-1", Name: "h1", Zone: "a", PublicKey: "k",
		Attributes: map[string]string{"b": "2", "a": "1"}}
	def := fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{{
		Name: "app", Image: "x", Memory: 4, PortMappings: []fleet.PortMapping{{ContainerPort: 80, Protocol: fleet.TCP}},
	}}}
	play(
		fleet.InitFleet{ID: "f", CABundle: []byte("ca"),
			SealedKeys: fleet.SealedKeys{Version: 1, CA: []byte("x"), Gossip: []byte("y")}, Host: host, RaftID: "h-1.1",
			Format: fleet.FormatVersion},
		fleet.PutToken{ID: "tok", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 1, NotAfter: at + 10_000},
		fleet.OpenSession{Host: "h-1", Boot: "b", Nonce: 1, Zone: "a", Addr: netip.MustParseAddrPort("[fd00::1]:7000"),
			Capacity: fleet.Resources{CPU: 1 << 30, Memory: 1 << 30}, Format: fleet.FormatVersion},
		fleet.Report{Host: "h-1", Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}},
		fleet.RegisterTaskDef{Family: "web", Def: def},
		fleet.PutService{Name: "gone", TaskDef: "web:1", MaxPercent: 100},
		fleet.DeleteService{Name: "gone"},
		fleet.PutService{Name: "web", TaskDef: "web:1", Desired: tasks, MaxPercent: 200},
		fleet.PutCondition{Subject: fleet.ServiceSubject("web"), Code: "no-host-fits", Until: at + 5000},
		fleet.IntendEffect{
			ID: "e-1", EffectKind: "webhook", Role: fleet.VoterRole(), Subject: fleet.ServiceSubject("web"),
			Deadline: at + 600_000, TimeoutMs: 10_000, MaxAttempts: 2,
		},
	)
	play(fleet.PutEntryAddress{Prefix: netip.MustParsePrefix("fd00::100/64")},
		fleet.AssignEntryAddress{Addr: netip.MustParseAddr("fd00::100"), Holder: "h-1"})
	play(fleet.PutHookTarget{Target: "https://prometheus.example"},
		fleet.PutAlarm{Name: "errors", URL: "https://prometheus.example", Query: "up", Threshold: 0.5, IntervalS: 10,
			Times: 2})
	play(s.Service("web").DefaultGoals(),
		fleet.PutTargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1,
			Check: fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}},
		fleet.PutListener{Name: "shop", Port: 80, Protocol: fleet.ListenHTTP, Default: &fleet.Action{
			Forward: &fleet.Forward{Groups: []fleet.GroupWeight{{Group: "blue", Weight: fleet.TotalWeight}}}}},
	)
	for i := range tasks {
		id := fleet.TaskID(fmt.Sprintf("%032x", i))
		play(fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{id}})
		if i%2 == 0 {
			play(
				fleet.AssignTasks{Host: "h-1", Tasks: []fleet.TaskID{id},
					Ports: [][]fleet.PortBinding{{{Container: "app", ContainerPort: 80, HostPort: 49153 + i, Protocol: fleet.TCP}}}},
				fleet.Report{Host: "h-1", Session: 1, Seq: uint64(i + 2),
					Tasks: []fleet.TaskReport{{Task: id, Status: fleet.TaskRunning, Health: fleet.HealthHealthy}}},
			)
		}
	}
	return s
}

func written(t testing.TB, s *fleet.State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := wire.WriteState(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestStateComesBackAsItWas(t *testing.T) {
	for name, s := range map[string]*fleet.State{
		"a State without a fleet":       fleet.New(),
		"a State with all kinds of row": sample(t, 7),
		"a State of many chunks":        sample(t, 3000),
	} {
		t.Run(name, func(t *testing.T) {
			b := written(t, s)
			got, err := wire.ReadState(iotest.HalfReader(bytes.NewReader(b)))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, written(t, got)) {
				t.Error("written again it is different")
			}
			if err := got.Check(); err != nil {
				t.Error(err)
			}
			if s.Index() > 0 {
				tables := map[fleet.Table]bool{}
				for table := range got.Rows() {
					tables[table] = true
				}
				for table := range fleet.Tables() {
					if !tables[table] {
						t.Errorf("table %d has no row: the sample must fill all", table)
					}
				}
			}
		})
	}
}

func TestReadStateRefuses(t *testing.T) {
	good := written(t, sample(t, 3))
	t.Run("a snapshot that ends too early, wherever", func(t *testing.T) {
		for n := range len(good) {
			if _, err := wire.ReadState(bytes.NewReader(good[:n])); !errors.Is(err, wire.ErrCorrupt) {
				t.Fatalf("%d of %d bytes: %v", n, len(good), err)
			}
		}
	})
	t.Run("a snapshot with any byte changed", func(t *testing.T) {
		for n := range len(good) {
			bad := bytes.Clone(good)
			bad[n] ^= 0x41
			if _, err := wire.ReadState(bytes.NewReader(bad)); err == nil {
				t.Fatalf("byte %d of %d changed and nobody saw", n, len(good))
			}
		}
	})
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		err    error
		want   string
	}{
		"another version": {func(b []byte) []byte { b[12] = 2; return b }, wire.ErrFormat, "version 2"},
		"a file that is none": {func([]byte) []byte { return []byte("hello, this is not it") }, wire.ErrCorrupt,
			"does not begin"},
		"a chunk that claims 4 GiB": {func(b []byte) []byte {
			copy(b[13:], "\xff\xff\xff\xff")
			return b
		}, wire.ErrCorrupt, "4294967295 bytes"},
		"an unknown table": {func(b []byte) []byte { return seal(append(b[:13], "\x00\x00\x00\x02\x63\xa0"...), 1) },
			wire.ErrFormat, "table 99"},
		"an unknown field": {
			func(b []byte) []byte { return seal(append(b[:13], "\x00\x00\x00\x05\x01\xa1\x18\x63\x01"...), 1) }, wire.ErrFormat,
			"unknown field 99"},
		"tables out of order": {func(b []byte) []byte {
			return seal(append(b[:13], "\x00\x00\x00\x02\x02\xa0\x00\x00\x00\x02\x01\xa0"...), 2)
		}, wire.ErrCorrupt, "after table 2"},
		"rows that break an invariant": {func(b []byte) []byte {
			return seal(append(b[:13], "\x00\x00\x00\x02\x03\xa0"...), 1)
		}, wire.ErrCorrupt, "rows without a fleet"},
		"a wrong number of rows": {func(b []byte) []byte { return seal(append(b[:13], "\x00\x00\x00\x02\x01\xa0"...), 2) },
			wire.ErrCorrupt, "1 rows of 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wire.ReadState(bytes.NewReader(tt.change(bytes.Clone(good))))
			if !errors.Is(err, tt.err) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("\n got: %v\nwant: %v with %q", err, tt.err, tt.want)
			}
		})
	}
}

// Rows of a later format may look like those of this one.
func TestASnapshotOfALaterFormatIsRefused(t *testing.T) {
	s := sample(t, 3)
	for _, c := range []fleet.Command{
		fleet.OpenSession{
			Host: "h-1", Boot: "b", Nonce: 2, Zone: "a", Addr: netip.MustParseAddrPort("[fd00::1]:7000"),
			Capacity: fleet.Resources{CPU: 1 << 30, Memory: 1 << 30}, Format: fleet.FormatVersion + 1,
		},
		fleet.RaiseFormat{Format: fleet.FormatVersion + 1},
	} {
		if err := s.Apply(s.Index()+1, fleet.Entry{Items: []fleet.Item{{Command: c}}}).Results[0].Err; err != nil {
			t.Fatal(err)
		}
	}
	_, err := wire.ReadState(bytes.NewReader(written(t, s)))
	if !errors.Is(err, wire.ErrFormat) || !strings.Contains(fmt.Sprint(err), "the fleet is at format") {
		t.Errorf("got %v", err)
	}
	if later, err := wire.ReadStateAs(bytes.NewReader(written(t, s)), fleet.FormatVersion+1); err != nil ||
		later.Fleet().Format != fleet.FormatVersion+1 {
		t.Errorf("an agent that reads it got %v", err)
	}
}

// seal ends a snapshot as it should end.
func seal(b []byte, rows uint64) []byte {
	b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 0), rows)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func TestErrorsOfReaderAndWriterComeThrough(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, err := wire.ReadState(iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.Is(err, wire.ErrCorrupt) {
		t.Errorf("read: %v", err)
	}
	w := &failingWriter{left: 100, err: broken}
	if err := wire.WriteState(w, sample(t, 3)); !errors.Is(err, broken) {
		t.Errorf("write: %v", err)
	}
}

type failingWriter struct {
	left int
	err  error
}

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, w.err
	}
	return len(b), nil
}

var _ io.Writer = (*failingWriter)(nil)
