package gossip

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// The largest fleet Skein is designed for must still meet: the bounds of the
// gate are for what is hostile.
func TestAPushPullOf10000HostsPasses(t *testing.T) {
	const hosts = 10_000
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 2)
		defer f.end()
		f.floor = false
		f.open(0, f.config(0))
		nodes, state := make([]wireNode, 0, hosts), []byte(nil)
		for i := 2; i < hosts; i++ {
			nodes = append(nodes, node(t, i))
			r := report(1, 1, i)
			r.Host, r.Runtime, r.Version = hostID(i), "containerd 1.6.20", "v1.2.3"
			r.OSImage, r.Boot = "sha256:0123456789abcdef", "boot-0123456789"
			encoded, err := encodeReport(r)
			if err != nil {
				t.Fatal(err)
			}
			state = appendState(state, encoded)
		}
		sent := wireExchange(nodes, state)
		t.Logf("a push/pull of %d hosts has %d bytes, %d of them reports", hosts, len(sent), len(state))
		conn, err := f.net.attach(f.addrs[1]).DialTimeout(f.addrs[0].String(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		secure := holderOf(t, f.keys, conn)
		if _, err := secure.Write(sent); err != nil {
			t.Fatalf("it was not taken: %v", err)
		}
		answer := make([]byte, 1)
		if _, err := secure.Read(answer); err != nil || answer[0] != typePushPull {
			t.Fatalf("answered %d, %v", answer, err)
		}
		go func() { _, _ = io.Copy(io.Discard, secure) }()
		f.until("all hosts and reports", time.Second, func() bool {
			s := f.rings[0].Stats()
			return s.Members == hosts-1 && s.Reports == hosts-2
		})
		// The same way back: a newcomer learns all of it from the answer.
		f.open(1, f.config(1))
		f.until("the newcomer has them", 3*time.Second, func() bool {
			s := f.rings[1].Stats()
			return s.Members > hosts*9/10 && s.Reports == hosts-2
		})
	})
}

func TestAStrangersStreamIsHungUpOnAndCounted(t *testing.T) {
	for name, say := range map[string]func(net.Conn){
		"what memberlist would say unencrypted": func(c net.Conn) {
			_, _ = c.Write(wireExchange([]wireNode{node(t, 5)}, nil))
		},
		"nothing": func(net.Conn) {},
		"a handshake with another key": func(c net.Conn) {
			_, _ = holderOf(t, [][]byte{key(9)}, c).Write([]byte{typePing})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleetOf(t, 2)
				defer f.end()
				f.start(0)
				conn, err := f.net.attach(f.addrs[1]).DialTimeout(f.addrs[0].String(), time.Second)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				go say(conn)
				_, _ = io.Copy(io.Discard, conn)
				if took := time.Since(began); took > handshakeTime {
					t.Errorf("hung up on after %s, at most %s", took, handshakeTime)
				}
				synctest.Wait()
				if got := f.rings[0].Stats(); got.Unauthenticated != 1 || got.Members != 1 {
					t.Errorf("got %+v, want one unauthenticated and one member", got)
				}
			})
		})
	}
}

func TestConnectionsOfOneSourceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 2)
		defer f.end()
		f.start(0)
		stranger := f.net.attach(f.addrs[1])
		for range maxStreamsPerSource + 5 {
			conn, err := stranger.DialTimeout(f.addrs[0].String(), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
		}
		synctest.Wait()
		if got := f.rings[0].Stats().Limited; got != 5 {
			t.Errorf("limited: got %d, want 5", got)
		}
		time.Sleep(handshakeTime + time.Second)
		if got := f.rings[0].Stats().Unauthenticated; got != maxStreamsPerSource {
			t.Errorf("ended as too slow: got %d, want %d", got, maxStreamsPerSource)
		}
		f.start(1)
		f.until("two members after the flood", 20*time.Second, f.allSee(2))
	})
}

func TestMessagesOfAHolderOfTheKeyAreBounded(t *testing.T) {
	ping, suspect := []byte{typePing, 0x80}, []byte{3, 0x80}
	checksummed := func(b []byte) []byte { return append([]byte{typeChecksummed, 1, 2, 3, 4}, b...) }
	packets := []struct {
		name   string
		packet []byte
		good   bool
	}{
		{"a ping", ping, true},
		{"a ping with news", wireCompound(ping, suspect, suspect), true},
		{"news with a checksum", checksummed(wireCompound(suspect, suspect)), true},
		{"two pings", wireCompound(ping, ping), false},
		{"two pings with a checksum", checksummed(wireCompound(ping, ping)), false},
		{"two pings in two compounds", wireCompound(wireCompound(ping), wireCompound(ping)), false},
		{"a packed message", bomb(10), false},
		{"a packed message with a checksum", checksummed(bomb(10)), false},
		{"a packed message in a compound", wireCompound(suspect, bomb(10)), false},
		{"compounds in compounds", wireCompound(wireCompound(wireCompound(wireCompound(wireCompound(ping))))), false},
		{"a compound cut short", []byte{typeCompound, 200, 1}, false},
	}
	for _, c := range packets {
		if err := checkPacket(c.packet); (err == nil) != c.good || err != nil && !errors.Is(err, errFormat) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	heads := []struct {
		name   string
		header wireHeader
		good   bool
	}{
		{"10,000 members and their reports", wireHeader{Nodes: 10_000, UserStateLen: 3 << 20, Join: true}, true},
		{"all there may be", wireHeader{Nodes: maxReports, UserStateLen: maxStateBytes}, true},
		{"too many members", wireHeader{Nodes: maxReports + 1}, false},
		{"fewer than none", wireHeader{Nodes: -1}, false},
		{"too much state", wireHeader{UserStateLen: maxStateBytes + 1}, false},
		{"state below nothing", wireHeader{UserStateLen: -1}, false},
	}
	for _, c := range heads {
		head := append(wireMessage(typePushPull, c.header)[1:], make([]byte, headBytes)...)
		if _, err := exchangeSize(head); (err == nil) != c.good {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestSealedPacketsOpenWithAnyKeyOfTheRingOnly(t *testing.T) {
	ring := func(keys ...byte) *keyring {
		var all [][]byte
		for _, b := range keys {
			all = append(all, key(b))
		}
		k, err := newKeyring(all)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	packet := []byte("a packet")
	sealed := ring(1, 2).seal(packet)
	if len(sealed) != len(packet)+sealOverhead {
		t.Errorf("sealing adds %d bytes, want %d", len(sealed)-len(packet), sealOverhead)
	}
	for name, k := range map[string]*keyring{"the same": ring(1, 2), "it as second": ring(3, 1)} {
		if got, err := k.open(sealed); err != nil || !bytes.Equal(got, packet) {
			t.Errorf("a ring with %s: got %q, %v", name, got, err)
		}
	}
	if _, err := ring(2, 3).open(sealed); !errors.Is(err, errUnauthenticated) {
		t.Errorf("a ring without its key: got %v", err)
	}
	for i := range sealed {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		if _, err := ring(1).open(broken); !errors.Is(err, errUnauthenticated) {
			t.Errorf("byte %d changed: got %v", i, err)
		}
	}
	for size := range sealOverhead + 1 {
		if _, err := ring(1).open(sealed[:size]); !errors.Is(err, errUnauthenticated) {
			t.Errorf("%d bytes of it: got %v", size, err)
		}
	}
}

func FuzzPacketsAreWalkedWithoutPanic(f *testing.F) {
	f.Add([]byte{typePing, 0x80})
	f.Add(wireCompound([]byte{typePing}, wireCompound(bomb(100))))
	f.Add([]byte{typeChecksummed, 0, 0, 0, 0, typeCompound, 255})
	f.Fuzz(func(_ *testing.T, packet []byte) { _ = checkPacket(packet) })
}
