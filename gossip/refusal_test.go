package gossip

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAWrongKeyGetsNowhereAndBothSidesCountIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 3)
		defer f.end()
		f.start(0)
		f.start(1)
		f.until("two members", 30*time.Second, f.allSee(2))
		stranger := f.config(2)
		stranger.Keys = [][]byte{key(9)}
		f.open(2, stranger)
		f.rings[2].Publish(report(1, 1, 1))
		time.Sleep(time.Minute)
		for i, want := range []int{2, 2, 1} {
			if got := alive(f.rings[i]); got != want {
				t.Errorf("h%d: got %d members, want %d\n%s", i+1, got, want, f.describe())
			}
			if got := f.rings[i].Stats().Unauthenticated; got == 0 {
				t.Errorf("h%d: no refused message was counted", i+1)
			}
		}
		if _, _, ok := f.rings[0].Report(hostID(2)); ok {
			t.Error("a report of the stranger got in")
		}
	})
}

func TestKeysRotateOnALiveRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 4)
		defer f.end()
		for i := range 3 {
			f.start(i)
		}
		f.until("three members", 30*time.Second, f.allSee(3))
		for _, keys := range [][][]byte{{key(1), key(2)}, {key(2), key(1)}, {key(2)}} {
			for _, r := range f.rings[:3] {
				if err := r.SetKeys(keys); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				if !f.allSee(3)() {
					t.Fatalf("a member was lost in the rotation:\n%s", f.describe())
				}
			}
		}
		time.Sleep(30 * time.Second)
		if !f.allSee(3)() {
			t.Fatalf("a member was lost after the rotation:\n%s", f.describe())
		}
		f.start(3) // still has the old key
		time.Sleep(30 * time.Second)
		if got := alive(f.rings[0]); got != 3 {
			t.Errorf("a host with the old key got in: %d members", got)
		}
		if err := f.rings[3].SetKeys([][]byte{key(2)}); err != nil {
			t.Fatal(err)
		}
		f.until("fourth member with the new key", 20*time.Second, f.allSee(4))
	})
}

func TestBadKeysAreRefused(t *testing.T) {
	for name, keys := range map[string][][]byte{
		"none": nil, "a short one": {key(1), []byte("short")}, "too many": {key(1), key(2), key(3), key(4), key(5)},
	} {
		if err := checkKeys(keys); !errors.Is(err, ErrKeys) {
			t.Errorf("%s: got %v, want ErrKeys", name, err)
		}
	}
}

func TestOneIdentityAtTwoAddressesIsRefusedAndBothAddressesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 3)
		defer f.end()
		var lines safeBuffer
		f.log = slog.New(slog.NewTextHandler(&lines, nil))
		f.start(0)
		f.start(1)
		f.until("two members", 30*time.Second, f.allSee(2))
		clone := f.config(2)
		clone.Host, clone.Name = hostID(1), "h2"
		f.open(2, clone)
		f.rings[1].Publish(report(5, 1, 1))
		f.rings[2].Publish(report(6, 1, 2))
		time.Sleep(30 * time.Second)
		for _, m := range f.rings[0].Members() {
			if m.Host == hostID(1) && m.Addr != f.addrs[1] {
				t.Errorf("the clone took the place of the first: %+v", m)
			}
		}
		if got := f.rings[0].Stats().Conflicts; got == 0 {
			t.Error("the conflict was not counted")
		}
		log := lines.String()
		for _, want := range []string{"gossip member refused", "addr=10.0.0.2:7701", "refused_addr=10.0.0.3:7701",
			"cloned disk"} {
			if !strings.Contains(log, want) {
				t.Errorf("log lacks %q", want)
			}
		}
	})
}

func TestGarbageIsCountedAndHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 3)
		defer f.end()
		f.start(0)
		f.start(1)
		f.until("two members", 30*time.Second, f.allSee(2))
		attacker := f.net.attach(f.addrs[2])
		for i := range 200 {
			junk := bytes.Repeat([]byte{byte(i)}, i*7%1400)
			_, _ = attacker.WriteTo(junk, f.addrs[0].String())
			if i%20 != 0 {
				continue
			}
			conn, err := attacker.DialTimeout(f.addrs[0].String(), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write(junk)
			_ = conn.Close()
		}
		d := &delegate{f.rings[0]}
		d.NotifyMsg([]byte("\x01not a report"))
		d.NotifyMsg([]byte{format + 1, 1, 2, 3})
		d.MergeRemoteState([]byte{format, 1, 2}, true)
		time.Sleep(10 * time.Second)
		stats := f.rings[0].Stats()
		if stats.Unauthenticated < 200 || stats.Refused < 2 || stats.Newer != 1 {
			t.Errorf("garbage was not counted: %+v", stats)
		}
		if !f.rings[1].Stats().harmless() || alive(f.rings[0]) != 2 {
			t.Errorf("the ring suffered:\n%s", f.describe())
		}
	})
}

func (s Stats) harmless() bool { return s.Members == 2 }

func TestAFullQueueDropsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 1)
		defer f.end()
		r, err := Open(f.config(0)) // Run does not read
		if err != nil {
			t.Fatal(err)
		}
		f.rings[0], f.stops[0] = r, func() {}
		d := &delegate{r}
		for range maxMessages + 10 {
			d.NotifyMsg([]byte{format, 0})
		}
		if got := r.Stats().Dropped; got != 10 {
			t.Errorf("dropped: got %d, want 10", got)
		}
	})
}

// safeBuffer is a bytes.Buffer for several writers.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
