package raftfsm

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

// benchEntry is about what one small command takes in the log.
const benchEntry = 256

// floor is the least a durable append can cost here, measured in the same run:
// write and fdatasync of such bytes into a file whose room is reserved.
func floor(b testing.TB, n int) time.Duration {
	b.Helper()
	f, err := vfs.OS.OpenFile(filepath.Join(b.TempDir(), "floor"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	must(b, f.Allocate(defaultSegment))
	data, at := make([]byte, benchEntry), int64(0)
	start := time.Now()
	for range n {
		if _, err := f.WriteAt(data, at%(defaultSegment-benchEntry)); err != nil {
			b.Fatal(err)
		}
		at += benchEntry
		must(b, f.Sync())
	}
	return time.Since(start) / time.Duration(n)
}

// BenchmarkStoreAppend is one durable append of one entry.
func BenchmarkStoreAppend(b *testing.B) {
	cfg := storeOn(vfs.OS, b.TempDir())
	cfg.reserve = defaultSegment
	s, err := openStore(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	least := floor(b, 500)
	data, index := make([]byte, benchEntry), uint64(0)
	for b.Loop() {
		index++
		must(b, s.StoreLogs([]*raft.Log{{Index: index, Term: 1, Data: data}}))
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(least), "x-floor")
}

// onDisk is three voters on one real disk, connected in memory.
func onDisk(b *testing.B) (leader *Node) {
	b.Helper()
	c := &cluster{t: b, net: newMemnet(), log: slog.New(slog.DiscardHandler)}
	for i := range 3 {
		h := &host{c: c, id: fleet.HostID(fmt.Sprintf("h-%016x", i+1)), n: 1}
		node, err := Open(Config{
			Dir: filepath.Join(b.TempDir(), "raft"), ID: h.raftID(), Clock: clock.System(),
			Dial: c.net.dialer(h.id), Accept: c.net.listen(h.id),
		})
		must(b, err)
		h.node = node
		c.hosts = append(c.hosts, h)
		b.Cleanup(func() { must(b, node.Close()) })
	}
	leader = c.hosts[0].node
	must(b, leader.Bootstrap(b.Context(), initFleet(c.hosts[0])))
	for _, h := range c.hosts[1:] {
		must(b, leader.AddNonvoter(b.Context(), h.raftID()))
		must(b, leader.AddVoter(b.Context(), h.raftID()))
	}
	return leader
}

// BenchmarkCommit is a proposal from Propose to its results: three voters on one
// disk, with one client, with 64, and with planners that propose many at once.
func BenchmarkCommit(b *testing.B) {
	for _, tc := range []struct{ clients, commands int }{{1, 1}, {64, 1}, {4, 128}} {
		clients := tc.clients
		b.Run(fmt.Sprintf("clients=%d/commands=%d", clients, tc.commands), func(b *testing.B) {
			leader := onDisk(b)
			least := floor(b, 500)
			var next atomic.Int64
			first := leader.State().Index()
			b.ResetTimer()                      // of the voters' set-up and the floor
			b.SetParallelism((clients + 1) / 2) // times GOMAXPROCS, which is 2 on the machine of reference
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					items := make([]fleet.Item, tc.commands)
					for i := range items {
						items[i] = token(fmt.Sprintf("t-%d", next.Add(1)%1000))
					}
					if _, _, err := leader.Propose(b.Context(), items); err != nil {
						b.Error(err)
						return
					}
				}
			})
			per := float64(b.Elapsed()) / float64(b.N)
			b.ReportMetric(float64(tc.commands)*float64(time.Second)/per, "commands/s")
			b.ReportMetric(per/float64(least), "x-floor")
			b.ReportMetric(float64(tc.commands*b.N)/float64(leader.State().Index()-first), "commands/entry")
		})
	}
}

// BenchmarkSnapshot is a snapshot of a State, to the disk and read back.
func BenchmarkSnapshot(b *testing.B) {
	m := newMachine(func(err error) { b.Error(err) })
	h := &host{id: "h-0000000000000001", n: 1}
	m.live.Apply(1, fleet.Entry{At: 1, Items: []fleet.Item{initFleet(h)}})
	const rows = 20_000
	for i := range rows {
		m.live.Apply(uint64(i+2), fleet.Entry{At: 1, Items: []fleet.Item{token(fmt.Sprintf("t-%d", i))}})
	}
	s, err := openSnapshots(vfs.OS, filepath.Join(b.TempDir(), "snapshots"))
	must(b, err)
	var bytes int64
	s.saved = func(meta raft.SnapshotMeta) { bytes = meta.Size }
	index := uint64(1)
	for b.Loop() {
		index++
		snapshot, err := m.Snapshot()
		must(b, err)
		sink, err := s.Create(1, index, 1, sampleConfiguration, 1, nil)
		must(b, err)
		must(b, snapshot.Persist(sink))
		_, r, _, err := s.newest()
		must(b, err)
		if _, err := readState(r); err != nil {
			b.Fatal(err)
		}
		must(b, r.Close())
	}
	b.ReportMetric(float64(bytes)/rows, "bytes/row")
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/rows, "ns/row")
}
