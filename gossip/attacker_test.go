package gossip

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// The shapes of memberlist's messages, for those who forge them.
type (
	wireHeader struct {
		Nodes, UserStateLen int
		Join                bool
	}
	wireNode struct {
		Name        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Incarnation uint32
		State       int
		Vsn         []uint8
	}
	wireAlive struct {
		Incarnation uint32
		Node        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Vsn         []uint8
	}
	wireIndirectPing struct {
		SeqNo  uint32
		Target []byte
		Port   uint16
		Node   string
		Nack   bool
	}
	wireCompressed struct {
		Algo uint8
		Buf  []byte
	}
)

const typeAlive = 4

var wireVersions = []uint8{1, 5, 2, 0, 0, 0}

func wireMessage(kind byte, body any) []byte {
	out := bytes.NewBuffer([]byte{kind})
	if err := codec.NewEncoder(out, &codec.MsgpackHandle{}).Encode(body); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func wireCompound(messages ...[]byte) []byte {
	out := []byte{typeCompound, byte(len(messages))}
	for _, m := range messages {
		out = binary.BigEndian.AppendUint16(out, uint16(len(m)))
	}
	return append(out, bytes.Join(messages, nil)...)
}

// wireExchange is a push/pull as memberlist sends it.
func wireExchange(nodes []wireNode, state []byte) []byte {
	out := bytes.NewBuffer([]byte{typePushPull})
	enc := codec.NewEncoder(out, &codec.MsgpackHandle{})
	_ = enc.Encode(wireHeader{Nodes: len(nodes), UserStateLen: len(state), Join: true})
	for i := range nodes {
		_ = enc.Encode(&nodes[i])
	}
	return append(out.Bytes(), state...)
}

// node is host i as a push/pull tells of it.
func node(t testing.TB, i int) wireNode {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
	encoded, err := encodeMeta(meta{
		Host: hostID(i), Name: "host-" + string(hostID(i)[10:]), Zone: "zone-a", Role: "worker", Version: "v1.2.3",
		Peer: netip.AddrPortFrom(addr, 7700), Status: "http://" + addr.String() + ":7702/",
	})
	if err != nil {
		t.Fatal(err)
	}
	return wireNode{
		Name: string(hostID(i)), Addr: addr.AsSlice(), Port: 7701, Meta: encoded, Incarnation: 1, Vsn: wireVersions,
	}
}

// holderOf opens a stream as one who holds the keys.
func holderOf(t testing.TB, keys [][]byte, conn net.Conn) net.Conn {
	t.Helper()
	ring, err := newKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(conn, ring.streamConfig())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		t.Logf("handshake: %v", err)
	}
	return secure
}
