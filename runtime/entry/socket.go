package entry

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket hears and sends what concerns the addresses of one family on one interface.
type socket struct {
	link  link
	file  *os.File
	raw   syscall.RawConn
	group int // a socket that is in the groups who asks for IPv6 addresses asks; -1: none
	in    []netip.Addr
	gone  atomic.Bool // nothing more comes: its interface was taken away
}

func openSocket(l link, family int) (*socket, error) {
	protocol := uint16(etherARP)
	if family == unix.AF_INET6 {
		protocol = etherIPv6
	}
	// The protocol comes with bind: a socket that has it from the start hears all interfaces until then.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("answer for entry addresses on %s: needs the capability CAP_NET_RAW: %w", l.name, err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return nil, fmt.Errorf("answer for entry addresses on %s: needs packet sockets"+
			" (systemd: RestrictAddressFamilies with AF_PACKET): %w", l.name, err)
	case err != nil:
		return nil, fmt.Errorf("open packet socket on %s: %w", l.name, err)
	}
	s := &socket{link: l, group: -1}
	if family == unix.AF_INET6 {
		if s.group, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("open IPv6 socket on %s: %w", l.name, err)
		}
	}
	if err = attach(fd, nil); err != nil {
		return nil, errors.Join(err, unix.Close(fd), s.close())
	}
	if err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swap(protocol), Ifindex: l.index}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind packet socket to %s: %w", l.name, err), unix.Close(fd), s.close())
	}
	s.file = os.NewFile(uintptr(fd), "packet:"+l.name)
	if s.raw, err = s.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func swap(v uint16) uint16 { return v<<8 | v>>8 }

// attach makes the kernel pass on frames about the addresses only; of no addresses none.
func attach(fd int, addrs []netip.Addr) error {
	program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	if len(addrs) > 0 {
		program = filterFor(addrs)
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("filter packet socket: %w", err)
	}
	return nil
}

// listen makes the addresses those that the socket hears of.
func (s *socket) listen(addrs []netip.Addr) error {
	if slices.Equal(addrs, s.in) {
		return nil
	}
	var inner error
	err := s.raw.Control(func(fd uintptr) { inner = attach(int(fd), addrs) })
	if err = errors.Join(err, inner); err != nil {
		return err
	}
	if s.group >= 0 {
		if err := s.join(addrs); err != nil {
			return err
		}
	}
	s.in = slices.Clone(addrs)
	return nil
}

// join enters the groups of new addresses and leaves those of old ones. The kernel tells
// switches, and the interface passes the group's frames on.
func (s *socket) join(addrs []netip.Addr) error {
	old, now := groups(s.in), groups(addrs)
	for g := range now {
		if old[g] {
			continue
		}
		if err := s.membership(unix.IPV6_JOIN_GROUP, g); err != nil && !errors.Is(err, unix.EADDRINUSE) {
			return fmt.Errorf("join group %s on %s: %w", g, s.link.name, err)
		}
	}
	for g := range old {
		if now[g] {
			continue
		}
		if err := s.membership(unix.IPV6_LEAVE_GROUP, g); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("leave group %s on %s: %w", g, s.link.name, err)
		}
	}
	return nil
}

func (s *socket) membership(option int, group netip.Addr) error {
	return unix.SetsockoptIPv6Mreq(s.group, unix.IPPROTO_IPV6, option,
		&unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(s.link.index)})
}

func groups(addrs []netip.Addr) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, a := range addrs {
		out[solicitedNode(a)] = true
	}
	return out
}

// read waits for a frame. It fails when the socket is closed or its interface is gone.
func (s *socket) read(buf []byte) (n int, err error) {
	var inner error
	err = s.raw.Read(func(fd uintptr) bool {
		n, _, inner = unix.Recvfrom(int(fd), buf, 0)
		return !errors.Is(inner, unix.EAGAIN) && !errors.Is(inner, unix.EINTR)
	})
	if err == nil && errors.Is(inner, unix.ENETDOWN) {
		return 0, nil // told once; frames come again when the interface is up
	}
	return n, errors.Join(err, inner)
}

// send does not wait: a frame that does not fit now is as one lost on the way.
func (s *socket) send(frame []byte) error {
	var inner error
	err := s.raw.Control(func(fd uintptr) {
		to := &unix.SockaddrLinklayer{Ifindex: s.link.index, Halen: 6}
		copy(to.Addr[:], frame[:6])
		inner = unix.Sendto(int(fd), frame, 0, to)
	})
	if errors.Is(inner, unix.EAGAIN) || errors.Is(inner, unix.ENOBUFS) {
		inner = nil
	}
	return errors.Join(err, inner)
}

func (s *socket) close() error {
	var err error
	if s.group >= 0 {
		err = unix.Close(s.group)
		s.group = -1
	}
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	return err
}
