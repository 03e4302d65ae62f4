package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// fleetOf is n rings on one network in memory, with the addresses State would have.
type fleetOf struct {
	t     *testing.T
	net   *memNet
	addrs []netip.AddrPort
	keys  [][]byte
	log   *slog.Logger
	rings []*Ring
	stops []context.CancelFunc
	files vfs.FS
	floor bool // keep incarnation floors over restarts
}

func key(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func newFleetOf(t *testing.T, n int) *fleetOf {
	f := &fleetOf{t: t, net: newMemNet(), keys: [][]byte{key(1)}, log: slog.New(slog.DiscardHandler),
		rings: make([]*Ring, n), stops: make([]context.CancelFunc, n), files: vfs.NewMem(), floor: true}
	for i := range n {
		f.addrs = append(f.addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 200), byte(i%200 + 1)}), 7701))
	}
	return f
}

func hostID(i int) fleet.HostID { return fleet.HostID(fmt.Sprintf("h-%016x", i+1)) }

func (f *fleetOf) config(i int) Config {
	c := Config{
		Host: hostID(i), Name: fmt.Sprintf("h%d", i+1), Zone: string(rune('a' + i%3)), Role: "worker", Version: "test",
		Peer: netip.AddrPortFrom(f.addrs[i].Addr(), 7700), Keys: f.keys, Transport: f.net.attach(f.addrs[i]), Log: f.log,
	}
	if f.floor {
		c.FloorFile, c.FS = fmt.Sprintf("/h%d/incarnation", i+1), f.files
	}
	return c
}

func (f *fleetOf) start(i int) {
	f.open(i, f.config(i))
}

func (f *fleetOf) open(i int, c Config) {
	f.t.Helper()
	r, err := Open(c)
	if err != nil {
		f.t.Fatalf("open ring %d: %v", i, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.rings[i], f.stops[i] = r, cancel
	go func() { _ = r.Run(ctx, func() []netip.AddrPort { return f.addrs }) }()
}

// kill ends a ring as a crash would.
func (f *fleetOf) kill(i int) {
	f.stops[i]()
	_ = f.rings[i].Close()
	f.rings[i] = nil
}

// end closes everything and lets memberlist's last goroutines run out.
func (f *fleetOf) end() {
	for i, r := range f.rings {
		if r != nil {
			f.kill(i)
		}
	}
	time.Sleep(time.Minute)
	synctest.Wait()
}

// until waits in fake time and prints the last state when it does not come.
func (f *fleetOf) until(what string, limit time.Duration, done func() bool) time.Duration {
	f.t.Helper()
	begin := time.Now()
	for !done() {
		if time.Since(begin) > limit {
			f.t.Fatalf("%s: not within %s; last seen:\n%s", what, limit, f.describe())
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(begin)
}

func (f *fleetOf) describe() string {
	var b strings.Builder
	for i, r := range f.rings {
		if r == nil {
			fmt.Fprintf(&b, "h%d: down\n", i+1)
			continue
		}
		fmt.Fprintf(&b, "h%d: %+v members", i+1, r.Stats())
		for _, m := range r.Members() {
			fmt.Fprintf(&b, " %s", m.Name)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// allSee reports whether every ring that runs has n members.
func (f *fleetOf) allSee(n int) func() bool {
	return func() bool {
		for _, r := range f.rings {
			if r != nil && alive(r) != n {
				return false
			}
		}
		return true
	}
}

// alive counts the members that answer.
func alive(r *Ring) int {
	n := 0
	for _, m := range r.Members() {
		if !m.Suspect {
			n++
		}
	}
	return n
}

func report(nonce, seq uint64, running int) fleet.CapacityReport {
	return fleet.CapacityReport{Nonce: nonce, Seq: seq, TasksRunning: running,
		Capacity: fleet.Resources{CPU: 2048, Memory: 4096}}
}

func TestTenHostsConvergeAndReportsReachEveryHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 10)
		defer f.end()
		for i := range 10 {
			f.start(i)
		}
		took := f.until("ten members everywhere", 30*time.Second, f.allSee(10))
		t.Logf("converged in %s", took)

		m := f.rings[7].Members()[2]
		want := Member{Host: hostID(2), Name: "h3", Zone: "c", Role: "worker", Version: "test", Addr: f.addrs[2],
			Peer: netip.MustParseAddrPort("10.0.0.3:7700")}
		if m != want {
			t.Errorf("member h3 as h8 sees it: got %+v, want %+v", m, want)
		}

		for seq := uint64(1); seq <= 3; seq++ {
			for i, r := range f.rings {
				r.Publish(report(1, seq, i*10+int(seq)))
			}
			// A broadcast may miss a host; push/pull every 30 s makes good.
			took := f.until("reports everywhere", 5*time.Minute, func() bool {
				for _, r := range f.rings {
					for i := range f.rings {
						if got, _, ok := r.Report(hostID(i)); !ok || got.Seq != seq || got.TasksRunning != i*10+int(seq) {
							return false
						}
					}
				}
				return true
			})
			t.Logf("round %d of reports reached all in %s", seq, took)
		}
		if got := len(f.rings[4].Reports()); got != 10 {
			t.Errorf("Reports: got %d, want 10", got)
		}
	})
}

func TestReportsTravelWithPushPullAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 2)
		defer f.end()
		f.start(0)
		f.rings[0].Publish(report(1, 1, 5))
		time.Sleep(10 * time.Second) // the broadcast found nobody
		f.start(1)
		f.until("report by push/pull", 2*time.Second, func() bool {
			got, _, ok := f.rings[1].Report(hostID(0))
			return ok && got.TasksRunning == 5
		})
	})
}

func TestAnOlderReportNeverReplacesANewerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 1)
		defer f.end()
		f.start(0)
		r := f.rings[0]
		take := func(nonce, seq uint64, running int) {
			foreign := report(nonce, seq, running)
			foreign.Host = hostID(9)
			b, err := encodeReport(foreign)
			if err != nil {
				t.Fatal(err)
			}
			(&delegate{r}).NotifyMsg(b)
			synctest.Wait()
		}
		steps := []struct {
			nonce, seq uint64
			running    int
			want       int
		}{{5, 7, 1, 1}, {5, 6, 2, 1}, {5, 7, 3, 1}, {4, 99, 4, 1}, {5, 8, 5, 5}, {6, 1, 6, 6}}
		for _, s := range steps {
			take(s.nonce, s.seq, s.running)
			if got, _, _ := r.Report(hostID(9)); got.TasksRunning != s.want {
				t.Errorf("after (%d, %d): got running %d, want %d", s.nonce, s.seq, got.TasksRunning, s.want)
			}
		}
	})
}

func TestRoleChangesReachEveryHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 3)
		defer f.end()
		for i := range 3 {
			f.start(i)
		}
		f.until("three members", 30*time.Second, f.allSee(3))
		f.rings[1].SetRole("voter")
		f.until("role everywhere", 5*time.Second, func() bool {
			for _, r := range f.rings {
				if r.Members()[1].Role != "voter" {
					return false
				}
			}
			return true
		})
	})
}
