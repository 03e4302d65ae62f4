package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// bindTries is for port 0 only: the port that the kernel gave for TCP may be in
	// use for UDP.
	bindTries = 10
	// acceptPause is the wait after the kernel refused to accept: it is out of
	// descriptors, or the peer has gone.
	acceptPause = 10 * time.Millisecond
	// receiveBuffer is what the kernel may hold of packets that were not read yet.
	receiveBuffer = 1 << 20
)

// sockets is the transport below the gate: TCP and UDP at one address. It reads
// packets into one buffer and keeps copies of their size; memberlist's own takes
// 64 KiB for each, so that a flood of small ones costs gigabytes a second.
type sockets struct {
	tcp     *net.TCPListener
	udp     *net.UDPConn
	log     *slog.Logger
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
	end     sync.Once
	work    sync.WaitGroup
}

func openSockets(bind netip.AddrPort, log *slog.Logger) (*sockets, error) {
	tries := 1
	if bind.Port() == 0 {
		tries = bindTries
	}
	var tcp *net.TCPListener
	var udp *net.UDPConn
	var err error
	for range tries {
		if tcp, udp, err = bindBoth(bind); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	s := &sockets{
		tcp: tcp, udp: udp, log: log,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), done: make(chan struct{}),
	}
	s.work.Go(s.readPackets)
	s.work.Go(s.accept)
	return s, nil
}

func bindBoth(bind netip.AddrPort) (*net.TCPListener, *net.UDPConn, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bind))
	if err != nil {
		return nil, nil, err
	}
	bound := netip.AddrPortFrom(bind.Addr(), portOf(tcp.Addr()))
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(bound))
	if err != nil {
		_ = tcp.Close()
		return nil, nil, err
	}
	_ = udp.SetReadBuffer(receiveBuffer) // a smaller one loses packets in bursts only
	return tcp, udp, nil
}

func portOf(addr net.Addr) uint16 { return addr.(*net.TCPAddr).AddrPort().Port() }

func (s *sockets) port() int { return int(portOf(s.tcp.Addr())) }

func (s *sockets) readPackets() {
	buf := make([]byte, maxPacket+1) // one byte more tells a packet that is too long
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || n == 0:
			continue
		}
		packet := &memberlist.Packet{
			Buf: bytes.Clone(buf[:n]), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now(),
		}
		select {
		case s.packets <- packet:
		case <-s.done:
			return
		}
	}
}

func (s *sockets) accept() {
	for {
		conn, err := s.tcp.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.log.Debug("gossip connection not accepted", "err", err)
			select {
			case <-time.After(acceptPause):
			case <-s.done:
				return
			}
			continue
		}
		select {
		case s.streams <- conn:
		case <-s.done:
			_ = conn.Close()
			return
		}
	}
}

// FinalAdvertiseAddr is the address of the configuration.
func (s *sockets) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, fmt.Errorf("advertised gossip address: %w", err)
	}
	return addr.Unmap().AsSlice(), port, nil
}

// WriteTo sends one packet.
func (s *sockets) WriteTo(packet []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = s.udp.WriteToUDPAddrPort(packet, to)
	return time.Now(), err
}

// PacketCh has what arrives by UDP.
func (s *sockets) PacketCh() <-chan *memberlist.Packet { return s.packets }

// StreamCh has the connections that others open.
func (s *sockets) StreamCh() <-chan net.Conn { return s.streams }

// DialTimeout opens a connection.
func (s *sockets) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", addr, timeout)
}

// Shutdown closes both sockets; a further call does nothing.
func (s *sockets) Shutdown() error {
	s.end.Do(func() {
		close(s.done)
		_, _ = s.tcp.Close(), s.udp.Close()
	})
	s.work.Wait()
	return nil
}
