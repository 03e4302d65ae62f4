package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// SocketStore holds the server's sockets open for the process that follows this one, so that
// tasks that ask meanwhile wait and are not refused. Names are "udp" and "tcp".
type SocketStore interface {
	// Keep holds the socket from now on.
	Keep(name string, socket syscall.Conn) error
	// Drop closes what is held under the name.
	Drop(name string) error
}

// listen has the sockets of the process before this one, or opens its own and has them kept.
func (s *Server) listen() error {
	err := s.adopt()
	if err == nil {
		return nil
	}
	if !errors.Is(err, errNoneInherited) {
		s.config.Log.Warn("inherited sockets of DNS are of no use", "err", err)
	}
	if err = s.bind(); err != nil {
		return err
	}
	if s.config.Store == nil {
		return nil
	}
	if err = s.keep(); err != nil {
		s.config.Log.Warn("tasks will have no DNS while the agent restarts: its sockets are not kept", "err", err)
	}
	return nil
}

// keep has the sockets kept, and none of before.
func (s *Server) keep() error {
	store := s.config.Store
	return errors.Join(store.Drop("udp"), store.Drop("tcp"),
		store.Keep("udp", s.udp), store.Keep("tcp", s.tcp.(*net.TCPListener)))
}

var errNoneInherited = errors.New("none was inherited")

// adopt takes both inherited sockets, if they are at the server's address. It closes the files.
func (s *Server) adopt() error {
	files := s.config.Inherited
	s.config.Inherited = nil
	for _, file := range files {
		defer func() { _ = file.Close() }()
	}
	if files["udp"] == nil || files["tcp"] == nil {
		return errNoneInherited
	}
	packets, err := net.FilePacketConn(files["udp"])
	if err != nil {
		return fmt.Errorf("udp: %w", err)
	}
	tcp, err := net.FileListener(files["tcp"])
	if err != nil {
		return errors.Join(fmt.Errorf("tcp: %w", err), packets.Close())
	}
	udp, ok := packets.(*net.UDPConn)
	if !ok || !s.at(packets.LocalAddr()) || !s.at(tcp.Addr()) {
		err = fmt.Errorf("they are at %s and %s, not at %s", packets.LocalAddr(), tcp.Addr(), s.config.Addr)
		return errors.Join(err, packets.Close(), tcp.Close())
	}
	s.udp, s.tcp = udp, tcp
	return nil
}

// at tells whether a socket is at the server's address. Port 0 is any.
func (s *Server) at(addr net.Addr) bool {
	is, err := netip.ParseAddrPort(addr.String())
	want := s.config.Addr
	return err == nil && is.Addr().Unmap() == want.Addr() && (want.Port() == 0 || is.Port() == want.Port())
}

func (s *Server) bind() error {
	var config net.ListenConfig
	udp, err := config.ListenPacket(context.Background(), "udp", s.config.Addr.String())
	if err != nil {
		return err
	}
	conn := udp.(*net.UDPConn)
	_ = conn.SetReadBuffer(readBuffer) // a smaller one holds fewer
	tcp, err := config.Listen(context.Background(), "tcp", conn.LocalAddr().String())
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	s.udp, s.tcp = conn, tcp
	return nil
}

func (s *Server) closeSockets() { s.closeSocketsOf(s.udp, s.tcp)() }

func (s *Server) closeSocketsOf(udp *net.UDPConn, tcp net.Listener) func() {
	return func() {
		if udp != nil {
			_ = udp.Close()
			_ = tcp.Close()
		}
	}
}
