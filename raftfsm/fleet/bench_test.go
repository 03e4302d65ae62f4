package fleet_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// The fleet of the benchmarks: 100,000 tasks of 1,000 services on 1,000 hosts,
// each host with 100 tasks of 100 services.
const (
	benchHosts    = 1_000
	benchServices = 1_000
	benchTasks    = 100_000
)

type bench struct {
	*fleet.State
	at fleet.Time
}

func (b *bench) play(t testing.TB, commands ...fleet.Command) {
	t.Helper()
	items := make([]fleet.Item, len(commands))
	for i, c := range commands {
		items[i].Command = c
	}
	for i, res := range b.Apply(b.Index()+1, fleet.Entry{At: b.at, Items: items}).Results {
		if res.Err != nil {
			t.Fatalf("%T: %v", commands[i], res.Err)
		}
	}
}

func benchHost(n int) fleet.HostID { return fleet.HostID(fmt.Sprintf("h-%016x", n)) }

// benchTask is the id of the n-th task; its host is n % benchHosts.
func benchTask(n int) fleet.TaskID {
	return fleet.TaskID(fmt.Sprintf("%032x", uint64(n)*0x9e3779b97f4a7c15))
}

func benchFleet(t testing.TB, hosts, services, tasks int) *bench {
	t.Helper()
	b := &bench{fleet.New(), 1_700_000_000_000}
	host := func(n int) fleet.Admission {
		return fleet.Admission{ID: benchHost(n), Name: fmt.Sprint("h", n), Zone: fmt.Sprint("z", n%3),
			PublicKey: fmt.Sprint("k", n)}
	}
	b.play(t, fleet.InitFleet{
		ID: "f", CABundle: []byte("c"), SealedKeys: fleet.SealedKeys{Version: 1, CA: []byte("c"), Gossip: []byte("g")},
		Host: host(0), RaftID: fleet.MakeRaftID(benchHost(0), 1),
	})
	b.play(t, fleet.PutToken{ID: "t", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: hosts,
		NotAfter: b.at + 1000})
	for n := range hosts {
		if n > 0 {
			b.play(t, fleet.AdmitHost{Token: "t", SecretHash: make([]byte, 32), Host: host(n)})
		}
		b.play(t, fleet.OpenSession{
			Host: benchHost(n), Boot: fmt.Sprint("b", n), Nonce: 1, Zone: fmt.Sprint("z", n%3),
			Addr: netip.MustParseAddrPort("10.0.0.1:7000"), Capacity: fleet.Resources{CPU: 1 << 20, Memory: 1 << 20},
		}, fleet.Report{Host: benchHost(n), Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
	}
	for n := range services {
		name := fmt.Sprint("service-", n)
		def := fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
			Containers: []fleet.Container{{Name: "app", Image: "web:1", CPU: 64, Memory: 64}}}
		b.play(t, fleet.RegisterTaskDef{Family: name, Def: def},
			fleet.PutService{Name: name, TaskDef: fleet.MakeTaskDefID(name, 1), Desired: 2 * tasks / services, MinPercent: 100,
				MaxPercent: 200})
		b.play(t, b.Service(name).DefaultGoals())
	}
	shares := make([][]fleet.AssignTasks, services)
	for n := range tasks {
		service := (n + n/hosts) % services
		shares[service] = append(shares[service],
			fleet.AssignTasks{Host: benchHost(n % hosts), Tasks: []fleet.TaskID{benchTask(n)}})
	}
	for n, all := range shares {
		revision := fleet.MakeRevisionID(fmt.Sprint("service-", n), 1)
		for some := range slices.Chunk(all, 250) {
			var ids []fleet.TaskID
			for _, share := range some {
				ids = append(ids, share.Tasks...)
			}
			b.play(t, fleet.CreateTasks{Revision: revision, Tasks: ids}, fleet.PlaceTasks{Shares: some})
		}
	}
	return b
}

// BenchmarkApplyReport is one report of one changed task an op; with a snapshot
// before every 256th, as the leader and the readers take them.
func BenchmarkApplyReport(b *testing.B) {
	f := benchFleet(b, benchHosts, benchServices, benchTasks)
	for _, every := range []int{0, 256} {
		b.Run(fmt.Sprint("snapshot-every-", every), func(b *testing.B) {
			b.ReportAllocs()
			var keep *fleet.State
			n := 0
			for b.Loop() {
				if every > 0 && n%every == 0 {
					keep = f.Clone()
				}
				host := f.Host(benchHost(n % benchHosts))
				health := fleet.Health(1 + n/benchTasks%3)
				f.play(b, fleet.Report{Host: host.ID, Session: 1, Seq: host.ReportSeq + 1, Tasks: []fleet.TaskReport{
					{Task: benchTask(n % benchTasks), Status: fleet.TaskRunning, Health: health, Attempt: 1 + n/benchTasks},
				}})
				n++
			}
			runtime.KeepAlive(keep)
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "applies/s")
		})
	}
}

// BenchmarkCreateAssign is runs of 100 tasks created, and placed on ten hosts: each
// share by a command of its own, as the former figure was measured (69,000 tasks a
// second), and all shares in one command, as planners propose them. Ids of a run stand
// together where the leader made them, and anywhere otherwise. An op is 10,000 tasks;
// figures are tasks for each second of processor time.
func BenchmarkCreateAssign(b *testing.B) {
	for _, row := range []struct {
		name string
		id   func(int) fleet.TaskID
		one  bool // command for all shares
	}{
		{"a-command-a-share-ids-anywhere", benchTask, false},
		{"a-command-a-share", runTask, false},
		{"one-command-ids-anywhere", benchTask, true},
		{"one-command", runTask, true},
	} {
		b.Run(row.name, func(b *testing.B) { benchCreateAssign(b, row.id, row.one) })
	}
}

// runTask is the id of the n-th task where ids of a run of 100 stand together.
func runTask(n int) fleet.TaskID {
	head := uint32(n/100) * 0x9e3779b9
	return fleet.TaskID(fmt.Sprintf("%08x%024x", head+uint32(n%100)*32, uint64(n)*0x9e3779b97f4a7c15))
}

func benchCreateAssign(b *testing.B, id func(int) fleet.TaskID, one bool) {
	b.ReportAllocs()
	const perOp = 10_000
	var created, assigned []float64
	var f *bench
	for b.Loop() {
		if f == nil || f.TaskCount() >= benchTasks { // start over before hosts are full
			b.StopTimer()
			f = benchFleet(b, benchHosts, 1, 0)
			f.play(b, fleet.ScaleService{Name: "service-0", Desired: fleet.MaxDesired})
			f.play(b, f.Service("service-0").DefaultGoals())
			b.StartTimer()
		}
		from := f.TaskCount()
		var create, assign time.Duration
		for n := from; n < from+perOp; n += 100 {
			ids := make([]fleet.TaskID, 100)
			for i := range ids {
				ids[i] = id(n + i)
			}
			shares := make([]fleet.AssignTasks, 10)
			for i := range shares {
				shares[i] = fleet.AssignTasks{Host: benchHost((n/10 + i) % benchHosts), Tasks: ids[i*10 : i*10+10]}
			}
			began := processorTime()
			f.play(b, fleet.CreateTasks{Revision: "service-0/1", Tasks: ids})
			create += processorTime() - began
			began = processorTime()
			if one {
				f.play(b, fleet.PlaceTasks{Shares: shares})
			} else {
				for _, share := range shares {
					f.play(b, share)
				}
			}
			assign += processorTime() - began
		}
		created, assigned = append(created, perOp/create.Seconds()), append(assigned, perOp/assign.Seconds())
	}
	reportMedian(b, "created/cpu-s", created)
	reportMedian(b, "assigned/cpu-s", assigned)
}

// reportMedian gives the median of what was measured, and the distance between its
// quartiles as a part of it.
func reportMedian(b *testing.B, unit string, values []float64) {
	slices.Sort(values)
	median := values[len(values)/2]
	b.ReportMetric(median, unit)
	b.ReportMetric((values[3*len(values)/4]-values[len(values)/4])/median, unit+"-spread")
}

// BenchmarkSilenceHost takes a host with 100 tasks of 100 services out of all
// counts, and back in.
func BenchmarkSilenceHost(b *testing.B) {
	f := benchFleet(b, benchHosts, benchServices, benchTasks)
	b.ReportAllocs()
	for b.Loop() {
		f.play(b, fleet.SilenceHost{Host: benchHost(7), Session: 1}, fleet.ReturnHost{Host: benchHost(7), Session: 1})
	}
}

func BenchmarkClone(b *testing.B) {
	f := benchFleet(b, 10, 10, 1000)
	b.ReportAllocs()
	for b.Loop() {
		f.Clone()
	}
}

// BenchmarkWanted is the list of a host with 100 tasks.
func BenchmarkWanted(b *testing.B) {
	f := benchFleet(b, 10, 100, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(f.Wanted(benchHost(3)).Tasks); n != 100 {
			b.Fatal(n)
		}
	}
}

// BenchmarkMemory is what a task takes in State, indices and all: as written by
// commands, and as read from a snapshot.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		base := heap()
		empty := benchFleet(b, benchHosts, benchServices, 0)
		rest := heap() - base
		full := benchFleet(b, benchHosts, benchServices, benchTasks)
		b.ReportMetric(float64(heap()-base-2*rest)/benchTasks, "B/task")
		var snapshot bytes.Buffer
		if err := wire.WriteState(&snapshot, full.State); err != nil {
			b.Fatal(err)
		}
		full = nil
		base = heap()
		read, err := wire.ReadState(&snapshot)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(heap()-base-rest)/benchTasks, "B/task-read")
		runtime.KeepAlive(&snapshot) // drained, its memory is still there
		runtime.KeepAlive(empty)
		runtime.KeepAlive(read)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkSnapshot writes and reads 100,000 tasks, and says how that compares
// with encoding/json on the same rows in the same run.
func BenchmarkSnapshot(b *testing.B) {
	f := benchFleet(b, benchHosts, benchServices, benchTasks)
	var snapshot bytes.Buffer
	if err := wire.WriteState(&snapshot, f.State); err != nil {
		b.Fatal(err)
	}
	size := snapshot.Len()
	jsonWrite, jsonRead, jsonSize := jsonFloor(b, f.State)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := wire.WriteState(io.Discard, f.State); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(size)/benchTasks, "B/task")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(jsonWrite), "of-json")
		b.ReportMetric(float64(size)/float64(jsonSize), "size-of-json")
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.ReadState(bytes.NewReader(snapshot.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(jsonRead), "of-json")
	})
}

// BenchmarkReadSnapshot is processor time to read what a new voter is sent, beside
// that of encoding/json for its rows alone: 1,000,000 tasks on 10,000 hosts with
// SKEIN_BENCH=full, otherwise a tenth.
func BenchmarkReadSnapshot(b *testing.B) {
	hosts, services, tasks := benchHosts, benchServices, benchTasks
	if os.Getenv("SKEIN_BENCH") == "full" {
		hosts, tasks = 10*hosts, 10*tasks
	}
	f := benchFleet(b, hosts, services, tasks)
	var snapshot bytes.Buffer
	if err := wire.WriteState(&snapshot, f.State); err != nil {
		b.Fatal(err)
	}
	began := processorTime()
	jsonFloor(b, f.State)
	json := processorTime() - began
	f = nil
	var took []float64
	for b.Loop() {
		began := processorTime()
		if _, err := wire.ReadState(bytes.NewReader(snapshot.Bytes())); err != nil {
			b.Fatal(err)
		}
		took = append(took, (processorTime() - began).Seconds())
	}
	reportMedian(b, "cpu-s", took)
	b.ReportMetric(took[len(took)/2]/json.Seconds(), "of-json")
	b.ReportMetric(float64(tasks), "tasks")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails for wrong arguments only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// jsonFloor is how long encoding/json takes to write and read all rows, without
// building any index.
func jsonFloor(b *testing.B, s *fleet.State) (write, read time.Duration, size int) {
	type encoded struct {
		table fleet.Table
		text  []byte
	}
	var rows []encoded
	began := time.Now()
	for table, row := range s.Rows() {
		text, err := json.Marshal(row)
		if err != nil {
			b.Fatal(err)
		}
		rows = append(rows, encoded{table, text})
		size += len(text)
	}
	write = time.Since(began)
	began = time.Now()
	for _, r := range rows {
		row, _ := fleet.NewRow(r.table)
		if err := json.Unmarshal(r.text, row); err != nil {
			b.Fatal(err)
		}
	}
	return write, time.Since(began), size
}

// BenchmarkCodec encodes and decodes an entry of 50 reports, beside json and
// beside plain copying of its bytes.
func BenchmarkCodec(b *testing.B) {
	e := fleet.Entry{At: 1_700_000_000_000}
	code := 137
	for n := range 50 {
		e.Items = append(e.Items,
			fleet.Item{Command: fleet.Report{Host: benchHost(n), Session: 3, Seq: 99, Tasks: []fleet.TaskReport{{
				Task: benchTask(n), Status: fleet.TaskStopped, Health: fleet.HealthUnknown, Attempt: 1,
				StopCode: fleet.StopEssentialContainerExited,
				Reason:   "Essential container in task exited",
				Exits:    []fleet.ContainerExit{{Container: "app", Code: &code, Reason: "OutOfMemoryError"}},
			}}}})
	}
	b2, err := wire.EncodeEntry(e)
	if err != nil {
		b.Fatal(err)
	}
	body, _ := wire.Marshal(e.Items[0].Command)
	text, _ := json.Marshal(e.Items[0].Command)
	into := make([]byte, len(b2))
	took := map[string]float64{}
	for _, row := range []struct {
		name string
		size int
		op   func() error
	}{
		{"report-encode-json", len(text), func() error { _, err := json.Marshal(e.Items[0].Command); return err }},
		{"report-decode-json", len(text), func() error { var r fleet.Report; return json.Unmarshal(text, &r) }},
		{"entry-encode", len(b2), func() error { _, err := wire.EncodeEntry(e); return err }},
		{"entry-decode", len(b2), func() error { _, err := wire.DecodeEntry(b2); return err }},
		{"report-encode", len(body), func() error { _, err := wire.Marshal(e.Items[0].Command); return err }},
		{"report-decode", len(body), func() error { var r fleet.Report; return wire.Unmarshal(body, &r) }},
		{"entry-copy", len(b2), func() error { copy(into, b2); return nil }},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := row.op(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(row.size), "bytes")
			took[row.name] = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			if floor := took[row.name+"-json"]; floor > 0 {
				b.ReportMetric(took[row.name]/floor, "of-json")
			}
		})
	}
}
