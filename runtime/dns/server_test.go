package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// rig is a server on loopback, with a host's resolv.conf that names two resolvers.
type rig struct {
	testing.TB
	server *Server
	tasks  string // their resolv.conf
}

// resolver answers what it is asked; nil answers nothing.
type resolver func(asked []byte, network string) []byte

// newRig starts a server whose resolvers, by their address, are those given.
func newRig(t testing.TB, clients string, upstream map[string]resolver) *rig {
	t.Helper()
	dir := t.TempDir()
	host := filepath.Join(dir, "host")
	must(t, os.WriteFile(host, []byte("nameserver 127.0.1.1\nnameserver 127.0.1.2\nsearch corp.example\n"), 0o600))
	ports := map[string]string{}
	for addr, answer := range upstream {
		ports[net.JoinHostPort(addr, "53")] = startResolver(t, addr, answer)
	}
	tasks := filepath.Join(dir, "tasks")
	s, err := Open(Config{
		Addr: netip.MustParseAddrPort("127.0.0.1:0"), Clients: []netip.Prefix{netip.MustParsePrefix(clients)},
		AliasAddr: aliasAddr, HostResolvConf: host, TaskResolvConf: tasks,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			to, ok := ports[address]
			if !ok {
				return nil, errors.New("no such resolver")
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return &rig{t, s, tasks}
}

// startResolver answers on UDP and TCP of one port.
func startResolver(t testing.TB, addr string, answer resolver) string {
	t.Helper()
	udp, err := net.ListenPacket("udp", addr+":0")
	must(t, err)
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		b := make([]byte, 4_096)
		for {
			n, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			if reply := answer(b[:n], "udp"); reply != nil {
				_, _ = udp.WriteTo(reply, from)
			}
		}
	})
	running.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			if b, err := readFramed(c, maxMessage); err == nil {
				_ = writeFramed(c, answer(b, "tcp"))
			}
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _, _ = udp.Close(), tcp.Close(); running.Wait() })
	return udp.LocalAddr().String()
}

// says is a resolver that has one address for every name, in answers of a code.
func says(addr string, code dnsmessage.RCode) resolver {
	return func(asked []byte, _ string) []byte {
		q, _, err := readQuery(asked)
		if err != nil {
			return nil
		}
		r := reply{code: code}
		if code == 0 {
			r.answers = []record{address(q.question.Name.String(), netip.MustParseAddr(addr), 60)}
		}
		b, _ := q.pack(r, maxMessage)
		return b
	}
}

// ask asks the server by a network and returns what it answers; empty: nothing.
func (r *rig) ask(network, name string, kind dnsmessage.Type) (dnsmessage.RCode, []string, dnsmessage.Message) {
	r.Helper()
	c, err := net.Dial(network, r.server.udp.LocalAddr().String())
	must(r, err)
	defer c.Close()
	must(r, c.SetDeadline(time.Now().Add(10*time.Second)))
	message := asked(r, name, kind, 0)
	var b []byte
	if network == "tcp" {
		must(r, writeFramed(c, message))
		b, err = readFramed(c, maxMessage)
	} else {
		_, err = c.Write(message)
		must(r, err)
		b = make([]byte, maxMessage)
		var n int
		n, err = c.Read(b)
		b = b[:n]
	}
	must(r, err)
	code, answers, m := read(r, b)
	if m.ID != 4711 || !m.Response {
		r.Errorf("answer %+v", m.Header)
	}
	return code, answers, m
}

func TestServicesAreAnsweredHereAndTheRestByTheHostsResolvers(t *testing.T) {
	r := newRig(t, "127.0.0.0/8", map[string]resolver{"127.0.1.1": says("192.0.2.1", 0)})
	r.server.Apply(world(), 7)
	for _, network := range []string{"udp", "tcp"} {
		code, got, _ := r.ask(network, "web.skein.", dnsmessage.TypeA)
		if code != 0 || !cmp.Equal(got, []string{"10.0.0.1", "10.0.0.2"}) {
			t.Errorf("%s: a service: %v %v", network, code, got)
		}
		code, got, _ = r.ask(network, "example.org.", dnsmessage.TypeA)
		if code != 0 || !cmp.Equal(got, []string{"192.0.2.1"}) {
			t.Errorf("%s: another name: %v %v", network, code, got)
		}
	}
	text, err := os.ReadFile(r.tasks)
	must(t, err)
	if !strings.Contains(string(text), "nameserver 127.0.0.1\nsearch connect.skein corp.example\n") {
		t.Errorf("tasks have %q", text)
	}
}

// What comes before the first routes waits for them: a name is not said to be missing
// because the agent has just started.
func TestQueriesWaitForTheFirstRoutes(t *testing.T) {
	r := newRig(t, "127.0.0.0/8", nil)
	c, err := net.Dial("udp", r.server.udp.LocalAddr().String())
	must(t, err)
	defer c.Close()
	_, err = c.Write(asked(t, "web.skein.", dnsmessage.TypeA, 0))
	must(t, err)
	r.server.Apply(world(), 7)
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	b := make([]byte, 512)
	n, err := c.Read(b)
	must(t, err)
	if code, got, _ := read(t, b[:n]); code != 0 || len(got) != 2 {
		t.Errorf("%v %v", code, got)
	}
}

func TestNextResolverIsAskedWhereOneFails(t *testing.T) {
	silent := func([]byte, string) []byte { return nil }
	lies := func(asked []byte, _ string) []byte {
		b := says("203.0.113.66", 0)(asked, "")
		b[0] ^= 0xff // another id
		return b
	}
	other := func(_ []byte, _ string) []byte {
		q, _, _ := readQuery(asked(t, "evil.example.", dnsmessage.TypeA, 0))
		b, _ := q.pack(reply{}, 512)
		return b
	}
	for sentence, c := range map[string]struct {
		first, second resolver
		code          dnsmessage.RCode
		want          []string
	}{
		"the first does not answer": {silent, says("192.0.2.2", 0), 0, []string{"192.0.2.2"}},
		"the first is not there":    {nil, says("192.0.2.2", 0), 0, []string{"192.0.2.2"}},
		"the first fails": {
			says("", dnsmessage.RCodeServerFailure), says("192.0.2.2", 0), 0, []string{"192.0.2.2"}},
		"the first refuses": {
			says("", dnsmessage.RCodeRefused), says("192.0.2.2", 0), 0, []string{"192.0.2.2"}},
		"an answer with another id":     {lies, says("192.0.2.2", 0), 0, []string{"192.0.2.2"}},
		"an answer to another question": {other, says("192.0.2.2", 0), 0, []string{"192.0.2.2"}},
		"that a name is not there is believed": {
			says("", dnsmessage.RCodeNameError), says("192.0.2.2", 0), dnsmessage.RCodeNameError, nil},
		"all fail": {
			says("", dnsmessage.RCodeServerFailure), nil, dnsmessage.RCodeServerFailure, nil},
		"there is none": {nil, nil, dnsmessage.RCodeServerFailure, nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			upstream := map[string]resolver{}
			if c.first != nil {
				upstream["127.0.1.1"] = c.first
			}
			if c.second != nil {
				upstream["127.0.1.2"] = c.second
			}
			r := newRig(t, "127.0.0.0/8", upstream)
			r.server.Apply(world(), 7)
			if code, got, _ := r.ask("udp", "example.org.", dnsmessage.TypeA); code != c.code || !cmp.Equal(got, c.want) {
				t.Errorf("%v %v, want %v %v", code, got, c.code, c.want)
			}
		})
	}
}

// A resolver that sends more than the client takes has its answer fetched by TCP.
func TestAnswersThatAreTooLargeAreTruncated(t *testing.T) {
	large := func(asked []byte, _ string) []byte {
		q, _, _ := readQuery(asked)
		r := reply{}
		for i := range 60 {
			r.answers = append(r.answers, address("example.org.", netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 60))
		}
		b, _ := q.pack(r, maxMessage)
		return b
	}
	r := newRig(t, "127.0.0.0/8", map[string]resolver{"127.0.1.1": large})
	r.server.Apply(world(), 7)
	if _, got, m := r.ask("udp", "example.org.", dnsmessage.TypeA); !m.Truncated || len(got) > 0 {
		t.Errorf("UDP: truncated %v with %d answers", m.Truncated, len(got))
	}
	if _, got, m := r.ask("tcp", "example.org.", dnsmessage.TypeA); m.Truncated || len(got) != 60 {
		t.Errorf("TCP: truncated %v with %d answers", m.Truncated, len(got))
	}
}

func TestNobodyButTasksIsAnswered(t *testing.T) {
	r := newRig(t, "127.0.0.7/32", map[string]resolver{"127.0.1.1": says("192.0.2.1", 0)})
	r.server.Apply(world(), 7)
	send := func(from string) net.Conn {
		c, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial("udp", r.server.udp.LocalAddr().String())
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = c.Write(asked(t, "web.skein.", dnsmessage.TypeA, 0))
		must(t, err)
		return c
	}
	outside, task := send("127.0.0.6"), send("127.0.0.7") // read in this order
	b := make([]byte, 512)
	must(t, task.SetDeadline(time.Now().Add(10*time.Second)))
	if _, err := task.Read(b); err != nil {
		t.Errorf("a task is not answered: %v", err)
	}
	must(t, outside.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	if n, err := outside.Read(b); err == nil {
		t.Errorf("another is answered: %x", b[:n])
	}
	c, err := net.Dial("tcp", r.server.tcp.Addr().String())
	must(t, err)
	defer c.Close()
	_ = writeFramed(c, asked(t, "web.skein.", dnsmessage.TypeA, 0))
	if b, err := readFramed(c, maxMessage); err == nil {
		t.Errorf("another is answered by TCP: %x", b)
	}
}

func TestABusyTaskLeavesRoomForOthers(t *testing.T) {
	b, now := newBounds(), time.Unix(1_000_000, 0)
	busy, quiet := netip.MustParseAddr("172.29.0.2"), netip.MustParseAddr("172.29.0.3")
	asked := 0
	for b.query(busy, now) {
		asked++
	}
	if asked != sourceBurst || !b.query(quiet, now) || !b.query(busy, now.Add(time.Second/sourceRate)) {
		t.Errorf("a task may ask %d times at once", asked)
	}
	var open []func()
	for done, ok := b.forward(busy); ok; done, ok = b.forward(busy) {
		open = append(open, done)
	}
	if _, ok := b.forward(quiet); len(open) != maxSourceForwards || !ok {
		t.Errorf("a task has %d queries passed on at once, and another %v", len(open), ok)
	}
	open[0]()
	if _, ok := b.forward(busy); !ok {
		t.Error("the place of a query that is over is not given again")
	}
	for i := range 2 * maxSources {
		b.query(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now)
	}
	if len(b.sources) > maxSources || !b.query(netip.MustParseAddr("10.9.9.9"), now.Add(2*sourceKept)) {
		t.Errorf("%d sources are remembered", len(b.sources))
	}
}

// Queries are passed on under ids that nobody can guess.
func TestIDsAreChance(t *testing.T) {
	q, _, err := readQuery(asked(t, "example.org.", dnsmessage.TypeA, 0))
	must(t, err)
	seen := map[uint16]bool{}
	for range 100 {
		b, err := q.passedOn()
		must(t, err)
		seen[binary.BigEndian.Uint16(b)] = true
	}
	if len(seen) < 90 {
		t.Errorf("100 queries have %d ids", len(seen))
	}
}

// A resolv.conf that names no resolver means the one of the host itself, as for resolvers.
func TestAHostThatNamesNoResolverHasOneOfItsOwn(t *testing.T) {
	for sentence, c := range map[string]struct {
		host string
		want string
	}{
		"none is named":             {"search corp.example\n", "[127.0.0.1:53]"},
		"one is named":              {"nameserver 10.0.0.53\n", "[10.0.0.53:53]"},
		"none but ours, not itself": {"nameserver 198.19.0.1\n", "[]"},
	} {
		t.Run(sentence, func(t *testing.T) {
			dir := t.TempDir()
			host := filepath.Join(dir, "host")
			must(t, os.WriteFile(host, []byte(c.host), 0o600))
			s, err := Open(Config{Addr: netip.MustParseAddrPort("127.0.0.1:0"), HostResolvConf: host,
				TaskResolvConf: filepath.Join(dir, "tasks"), Clients: []netip.Prefix{netip.MustParsePrefix("198.19.0.0/16")}})
			must(t, err)
			defer s.Close()
			if got := fmt.Sprint(s.resolvers.get()); got != c.want {
				t.Errorf("it asks %s, want %s", got, c.want)
			}
		})
	}
}

// An address that another program listens on is no reason to leave tasks without names, but
// a loopback resolver of the host is none of theirs.
func TestTasksHaveTheHostsResolversWhileTheAddressIsTaken(t *testing.T) {
	for sentence, c := range map[string]struct{ host, want string }{
		"a resolver that tasks reach":           {"nameserver 10.0.0.53\n", "10.0.0.53"},
		"one that they reach, one that not":     {"nameserver 127.0.0.53\nnameserver 10.0.0.53\n", "10.0.0.53"},
		"none that they reach: theirs, to come": {"nameserver 127.0.0.53\nnameserver ::1\n", "127.0.0.1"},
		"none at all: theirs, to come":          {"search corp.example\n", "127.0.0.1"},
	} {
		t.Run(sentence, func(t *testing.T) { whileTaken(t, c.host, c.want) })
	}
}

func whileTaken(t *testing.T, hostsOwn, want string) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	dir := t.TempDir()
	host, tasks := filepath.Join(dir, "host"), filepath.Join(dir, "tasks")
	must(t, os.WriteFile(host, []byte(hostsOwn), 0o600))
	addr := netip.MustParseAddrPort(taken.LocalAddr().String())
	s, err := Open(Config{Addr: addr, HostResolvConf: host, TaskResolvConf: tasks})
	must(t, err)
	answered := func(want string) error {
		text, failed := os.ReadFile(tasks)
		if failed == nil && (strings.Count(string(text), "nameserver") != 1 ||
			!strings.Contains(string(text), "nameserver "+want+"\n")) {
			failed = fmt.Errorf("tasks have %q, want %s alone", text, want)
		}
		return failed
	}
	must(t, answered(want))
	if !strings.Contains(s.Failed(), "address already in use") {
		t.Errorf("why it does not answer: %q", s.Failed())
	}
	must(t, taken.Close())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	defer running.Wait()
	defer cancel()
	deadline := time.After(20 * time.Second)
	for err = answered("127.0.0.1"); err != nil || s.Failed() != ""; err = answered("127.0.0.1") {
		select {
		case <-deadline:
			t.Fatal(err, s.Failed())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
