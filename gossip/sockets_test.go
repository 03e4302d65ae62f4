package gossip

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"
)

// Real sockets once: what the network in memory cannot show.
func TestThreeRingsOnLoopbackMeetAndSurviveGarbage(t *testing.T) {
	f := &fleetOf{t: t, net: newMemNet(), keys: [][]byte{key(1)}, log: slog.New(slog.DiscardHandler),
		rings: make([]*Ring, 3)}
	f.addrs = make([]netip.AddrPort, 3)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range 3 {
		c := f.config(i)
		c.Transport, c.Bind = nil, netip.MustParseAddrPort("127.0.0.1:0")
		r, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		f.rings[i], f.addrs[i] = r, r.Addr()
	}
	for _, r := range f.rings {
		go func() { _ = r.Run(ctx, func() []netip.AddrPort { return f.addrs }) }()
	}
	f.until("three members", 15*time.Second, f.allSee(3))

	udp, err := net.Dial("udp", f.addrs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	junk := make([]byte, 1200)
	for range 100 {
		_, _ = rand.Read(junk)
		_, _ = udp.Write(junk)
	}
	tcp, err := net.DialTimeout("tcp", f.addrs[0].String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	_, _ = tcp.Write(junk)
	f.until("garbage counted", 10*time.Second, func() bool { return f.rings[0].Stats().Unauthenticated > 0 })
	f.rings[1].Publish(report(1, 1, 3))
	f.until("a report after the garbage", 10*time.Second, func() bool {
		got, _, ok := f.rings[0].Report(hostID(1))
		return ok && got.TasksRunning == 3
	})
	if !f.allSee(3)() {
		t.Errorf("a member was lost:\n%s", f.describe())
	}
}

func TestAnAddressInUseIsSaid(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = Open(Config{Host: "h-1", Keys: [][]byte{key(1)}, Log: slog.New(slog.DiscardHandler),
		Bind: netip.MustParseAddrPort(taken.Addr().String())})
	if err == nil {
		t.Fatal("opened on a port in use")
	}
	t.Log(err)
}

func TestRingsMeetAtEachKindOfAddress(t *testing.T) {
	for name, c := range map[string]struct{ bind, advertise string }{
		"IPv4":          {"127.0.0.1:0", "127.0.0.1:0"},
		"any interface": {"0.0.0.0:0", "127.0.0.1:0"},
		"IPv6":          {"[::1]:0", "[::1]:0"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fleetOf{t: t, net: newMemNet(), keys: [][]byte{key(1)}, log: slog.New(slog.DiscardHandler)}
			f.rings, f.addrs = make([]*Ring, 2), make([]netip.AddrPort, 2)
			for i := range f.rings {
				config := f.config(i)
				config.Transport = nil
				config.Bind, config.Advertise = netip.MustParseAddrPort(c.bind), netip.MustParseAddrPort(c.advertise)
				r, err := Open(config)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = r.Close() }()
				f.rings[i], f.addrs[i] = r, r.Addr()
			}
			for _, r := range f.rings {
				go func() { _ = r.Run(t.Context(), func() []netip.AddrPort { return f.addrs }) }()
			}
			f.until("two members", 15*time.Second, f.allSee(2))
			f.until("an answer to a packet", 15*time.Second, func() bool {
				_, ok := f.rings[0].AnsweredWithin(hostID(1))
				return ok
			})
		})
	}
}
