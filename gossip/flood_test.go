package gossip

import (
	"bufio"
	"bytes"
	"compress/lzw"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// floodBudget is how much more memory than idle an agent may have while its
	// gossip port is flooded.
	floodBudget = 32 << 20
	// victimEnv makes the test program a ring that is flooded.
	victimEnv = "SKEIN_GOSSIP_VICTIM"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		beVictim()
		return
	}
	os.Exit(m.Run())
}

// beVictim runs a ring until its input ends, and then prints its counters.
func beVictim() {
	r, err := Open(Config{
		Host: "h-victim", Name: "victim", Keys: [][]byte{key(1)}, Log: slog.New(slog.DiscardHandler),
		Bind: netip.MustParseAddrPort("127.0.0.1:0"), Peer: netip.MustParseAddrPort("127.0.0.1:7700"),
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _ = r.Run(ctx, func() []netip.AddrPort { return nil }) }()
	fmt.Println(r.Addr())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Printf("%+v\n", r.Stats())
	cancel()
	_ = r.Close()
}

// victim is a ring in a process of its own, so that its memory is its own.
type victim struct {
	t    *testing.T
	addr string
	pid  int
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), victimEnv+"=1")
	cmd.Stderr = os.Stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if inErr != nil || outErr != nil {
		t.Fatal(inErr, outErr)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = in.Close()
		for lines.Scan() {
			t.Log(lines.Text())
		}
		_ = cmd.Wait()
	})
	if !lines.Scan() {
		t.Fatal("the ring did not open")
	}
	v := &victim{t: t, addr: strings.TrimSpace(lines.Text()), pid: cmd.Process.Pid}
	if _, err := netip.ParseAddrPort(v.addr); err != nil {
		t.Fatal(v.addr)
	}
	return v
}

// memory is a line of the process's status, in bytes: VmRSS, or VmHWM for the peak.
func (v *victim) memory(what string) int {
	v.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid))
	if err != nil {
		v.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == what {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				v.t.Fatal(err)
			}
			return kib << 10
		}
	}
	v.t.Fatalf("no %s in %s", what, status)
	return 0
}

// dial opens a connection that errors of the flood do not concern: the port may
// hang up at any time.
func (v *victim) dial() net.Conn {
	v.t.Helper()
	conn, err := net.Dial("tcp", v.addr)
	if err != nil {
		v.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// each runs one attacker on each of n connections and closes them at the end.
func (v *victim) each(n int, attack func(net.Conn)) {
	v.t.Helper()
	var all sync.WaitGroup
	for range n {
		conn := v.dial()
		defer func() { _ = conn.Close() }()
		all.Go(func() { attack(conn) })
	}
	all.Wait()
}

func (v *victim) send(n int, packet func(i int) []byte) {
	v.t.Helper()
	conn, err := net.Dial("udp", v.addr)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for i := range n {
		_, _ = conn.Write(packet(i))
	}
}

// untilClosed waits until the port hangs up.
func untilClosed(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1))
	for {
		if _, err := conn.Read(make([]byte, 512)); err != nil {
			return
		}
	}
}

var floodJunk = bytes.Repeat([]byte("junk"), 16<<10)

func pour(conn net.Conn, size int) {
	for sent := 0; sent < size; sent += len(floodJunk) {
		if _, err := conn.Write(floodJunk); err != nil {
			return
		}
	}
}

// bomb is size bytes of zeroes as a compressed message.
func bomb(size int) []byte {
	var out bytes.Buffer
	w := lzw.NewWriter(&out, lzw.LSB, 8)
	_, _ = w.Write(make([]byte, size))
	_ = w.Close()
	return wireMessage(typeCompressed, wireCompressed{Buf: out.Bytes()})
}

func foreignCertificate(t *testing.T, extra int) tls.Certificate {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, extra)
	for i := range names {
		names[i] = fmt.Sprintf("%0200d.test", i)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: private}
}

func TestMemoryStaysNearIdleUnderEachFlood(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector multiplies memory")
	}
	keys, err := newKeyring([][]byte{key(1)})
	if err != nil {
		t.Fatal(err)
	}
	packed, manyPacked := bomb(400<<10), bomb(30<<20)
	floods := map[string]func(v *victim){
		"connections that say nothing": func(v *victim) {
			v.each(600, untilClosed)
		},
		"announcing 20 MiB each, as memberlist frames it": func(v *victim) {
			v.each(64, func(conn net.Conn) {
				_, _ = conn.Write([]byte{10, 0x01, 0x40, 0, 0})
				pour(conn, 20<<20)
			})
		},
		"announcing the largest handshake message": func(v *victim) {
			v.each(300, func(conn net.Conn) {
				_, _ = conn.Write([]byte{0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xf0})
				pour(conn, 1<<20)
			})
		},
		"certificates of strangers, each of 200 KiB": func(v *victim) {
			cert := foreignCertificate(v.t, 1000)
			v.each(300, func(conn net.Conn) {
				secure := tls.Client(conn, &tls.Config{
					InsecureSkipVerify: true,
					NextProtos:         []string{streamProtocol}, Certificates: []tls.Certificate{cert},
				})
				if secure.Handshake() == nil {
					untilClosed(secure)
				}
			})
		},
		"a slow drip": func(v *victim) {
			v.each(300, func(conn net.Conn) {
				drip := time.NewTicker(20 * time.Millisecond)
				defer drip.Stop()
				hello := append([]byte{0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xf0}, floodJunk...)
				for i := range hello {
					if _, err := conn.Write(hello[i : i+1]); err != nil {
						return
					}
					<-drip.C
				}
			})
		},
		"packets of every size": func(v *victim) {
			v.send(100_000, func(i int) []byte { return floodJunk[:1+i*37%60_000] })
		},
		"packets that were heard and are sent again": func(v *victim) {
			heard := keys.seal(wireMessage(typeAlive, aliveOf(v.t, 1)))
			v.send(100_000, func(int) []byte { return heard })
		},
		"with the key: packets that unpack to 400 KiB": func(v *victim) {
			if len(packed)+sealOverhead+4 > maxPacket {
				v.t.Fatalf("the bomb has %d bytes", len(packed))
			}
			v.send(20_000, func(int) []byte { return keys.seal(packed) })
			v.send(20_000, func(int) []byte { return keys.seal(wireCompound(packed)) })
		},
		"with the key: packets full of requests": func(v *victim) {
			ask := wireMessage(typeIndirectPing, wireIndirectPing{
				Target: []byte{127, 0, 0, 1}, Port: 9, Node: "h-none", Nack: true,
			})
			one, many := keys.seal(ask), keys.seal(wireCompound(ask, ask, ask, ask, ask, ask, ask, ask, ask, ask))
			v.send(50_000, func(i int) []byte { return [][]byte{one, many}[i%2] })
		},
		"with the key: members without number": func(v *victim) {
			v.send(40_000, func(i int) []byte { return keys.seal(wireMessage(typeAlive, aliveOf(v.t, i))) })
		},
		"with the key: streams that unpack to 30 MiB": func(v *victim) {
			v.each(64, func(conn net.Conn) {
				secure := holderOf(v.t, [][]byte{key(1)}, conn)
				_, _ = secure.Write(manyPacked)
				untilClosed(secure)
			})
		},
		"with the key: exchanges that announce a million members": func(v *victim) {
			v.each(64, func(conn net.Conn) {
				secure := holderOf(v.t, [][]byte{key(1)}, conn)
				_, _ = secure.Write(append(wireMessage(typePushPull, wireHeader{Nodes: 1 << 20}), floodJunk...))
				untilClosed(secure)
			})
		},
		"with the key: exchanges as large as may be": func(v *victim) {
			forged := wireNode{Addr: []byte{127, 1, 1, 1}, Port: 7701, Meta: make([]byte, 450), Vsn: wireVersions}
			nodes := make([]wireNode, maxReports)
			for i := range nodes {
				nodes[i], nodes[i].Name = forged, string(hostID(i))
			}
			large := wireExchange(nodes, nil)
			v.each(maxStreamsPerSource, func(conn net.Conn) {
				secure := holderOf(v.t, [][]byte{key(1)}, conn)
				_, _ = secure.Write(large)
				untilClosed(secure)
			})
		},
		"with the key: exchanges that announce 20 MiB of state": func(v *victim) {
			v.each(64, func(conn net.Conn) {
				secure := holderOf(v.t, [][]byte{key(1)}, conn)
				_, _ = secure.Write(wireMessage(typePushPull, wireHeader{Nodes: 0, UserStateLen: 20 << 20}))
				pour(secure, 20<<20)
			})
		},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			idle := v.memory("VmRSS")
			flood(v)
			grown := v.memory("VmHWM") - idle
			t.Logf("idle %d KiB, at most %d KiB more", idle>>10, grown>>10)
			if grown > floodBudget {
				t.Errorf("grew by %d MiB, at most %d", grown>>20, floodBudget>>20)
			}
			v.awaitAnswer(keys)
		})
	}
}

// awaitAnswer checks that the port still serves those who hold the key.
func (v *victim) awaitAnswer(keys *keyring) {
	v.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn := v.dial()
		secure := tls.Client(conn, keys.streamConfig())
		_, err := secure.Write(wireMessage(typePing, struct{ SeqNo uint32 }{7}))
		if err == nil {
			first := make([]byte, 1)
			if _, err = secure.Read(first); err == nil && first[0] != typeAck {
				err = fmt.Errorf("message of type %d", first[0])
			}
		}
		_ = conn.Close()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("a ping was not answered after the flood: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func aliveOf(t *testing.T, i int) wireAlive {
	n := node(t, i)
	return wireAlive{Incarnation: 1, Node: n.Name, Addr: n.Addr, Port: n.Port, Meta: n.Meta, Vsn: n.Vsn}
}
