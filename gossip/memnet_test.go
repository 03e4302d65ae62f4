package gossip

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"skein/runtime/seam/clock/clocktest"
)

// memNet is a network in memory for rings inside a synctest bubble, where real
// sockets would stop fake time.
type memNet struct {
	mu    sync.Mutex
	nodes map[string]*memTransport
	cut   func(from, to string) bool // nil: everything passes
}

func newMemNet() *memNet { return &memNet{nodes: make(map[string]*memTransport)} }

func (n *memNet) attach(addr netip.AddrPort) *memTransport {
	t := &memTransport{net: n, addr: addr, packets: make(chan *memberlist.Packet, 256), streams: make(chan net.Conn),
		done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[addr.String()] = t
	return t
}

func (n *memNet) setCut(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

func (n *memNet) find(from, to string) *memTransport {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut != nil && n.cut(from, to) {
		return nil
	}
	return n.nodes[to]
}

type memTransport struct {
	net     *memNet
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
}

func (t *memTransport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.addr.Addr().AsSlice(), int(t.addr.Port()), nil
}

func (t *memTransport) WriteTo(b []byte, addr string) (time.Time, error) {
	if to := t.net.find(t.addr.String(), addr); to != nil {
		packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(t.addr),
			Timestamp: time.Now()}
		select {
		case to.packets <- packet:
		default: // a full buffer loses packets, as a socket would
		}
	}
	return time.Now(), nil
}

func (t *memTransport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *memTransport) StreamCh() <-chan net.Conn           { return t.streams }

func (t *memTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to := t.net.find(t.addr.String(), addr)
	if to == nil {
		clocktest.Elapse(timeout)
		return nil, errors.New("dial " + addr + ": no answer")
	}
	here, there := net.Pipe()
	select {
	case to.streams <- there:
		return here, nil
	case <-to.done:
		return nil, errors.New("dial " + addr + ": connection refused")
	case <-time.After(timeout):
		return nil, errors.New("dial " + addr + ": timeout")
	}
}

func (t *memTransport) Shutdown() error {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	if t.net.nodes[t.addr.String()] == t {
		delete(t.net.nodes, t.addr.String())
	}
	close(t.done)
	return nil
}
