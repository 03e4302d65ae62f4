package ingress

import (
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// side is one end of a tunnel: what is read and written, and the socket below it.
type side struct {
	conn net.Conn
	tcp  *net.TCPConn
}

// tunnel passes bytes both ways until both have ended, and closes both connections. The end
// of one way is passed on as such. Between sockets the kernel moves the bytes by itself.
func tunnel(a, b side, idle time.Duration) {
	watch := watchIdle(a, b, idle)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.copyTo(b)
	}()
	b.copyTo(a)
	<-ended
	watch.stop()
	_ = a.conn.Close()
	_ = b.conn.Close()
}

// copyTo passes on one way. An error ends both ways: whoever reads the other would wait for
// an end that nobody sends.
func (s side) copyTo(to side) {
	_, err := io.Copy(to.conn, s.conn)
	if half, ok := to.conn.(interface{ CloseWrite() error }); err == nil && ok {
		err = half.CloseWrite()
	}
	if err != nil {
		_ = s.conn.Close()
		_ = to.conn.Close()
	}
}

// idleWatch closes a tunnel on which no byte has moved for a time. It asks the kernel, which
// counts what it moves; a deadline on a socket would lose what the kernel holds just then.
type idleWatch struct {
	sides [2]side
	every time.Duration
	quiet int
	moved [2]uint64
	done  chan struct{}
}

// looks is how often an idle time is looked at: the tunnel is closed that part late.
const looks = 4

func watchIdle(a, b side, idle time.Duration) *idleWatch {
	w := &idleWatch{sides: [2]side{a, b}, every: idle / looks, done: make(chan struct{})}
	go w.run()
	return w
}

func (w *idleWatch) run() {
	ticker := time.NewTicker(max(w.every, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-ticker.C:
		}
		if moved := [2]uint64{w.sides[0].bytes(), w.sides[1].bytes()}; moved != w.moved {
			w.moved, w.quiet = moved, 0
			continue
		}
		if w.quiet++; w.quiet >= looks {
			for _, s := range w.sides {
				_ = s.conn.Close()
			}
			return
		}
	}
}

func (w *idleWatch) stop() { close(w.done) }

// bytes is what the socket has sent and received.
func (s side) bytes() uint64 {
	if s.tcp == nil {
		return 0
	}
	raw, err := s.tcp.SyscallConn()
	if err != nil {
		return 0
	}
	var sum uint64
	_ = raw.Control(func(fd uintptr) {
		if info, infoErr := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); infoErr == nil {
			sum = info.Bytes_acked + info.Bytes_received
		}
	})
	return sum
}

// setUserTimeout gives up on a peer that acknowledges nothing.
func setUserTimeout(tcp *net.TCPConn) {
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
		})
	}
}
