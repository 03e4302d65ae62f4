package ingress

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// SocketStore holds listening sockets open for the process that follows this one, so that
// whoever connects meanwhile waits and is not refused. Addresses are as Config.Listen has
// them, ":443".
type SocketStore interface {
	// Keep holds the socket from now on.
	Keep(address string, socket syscall.Conn) error
	// Drop closes what is held.
	Drop(address string) error
}

// open opens a port, or takes the socket that the process before this one had.
func (e *Engine) open(address string) (net.Listener, error) {
	if file := e.inherited[address]; file != nil {
		delete(e.inherited, address)
		socket, err := adopt(file)
		if err == nil {
			return socket, nil
		}
		e.config.Log.Warn("inherited socket is of no use", "address", address, "err", err)
	}
	socket, err := e.config.Listen(address)
	if err != nil || e.config.Store == nil {
		return socket, err
	}
	if conn, ok := socket.(syscall.Conn); ok {
		if err = e.config.Store.Keep(address, conn); err != nil {
			e.config.Log.Warn("clients will be refused while the agent restarts: its socket is not kept",
				"address", address, "err", err)
		}
	}
	return socket, nil
}

var errNotListening = errors.New("it does not listen")

// adopt makes a listener of a file, which it closes.
func adopt(file *os.File) (net.Listener, error) {
	defer func() { _ = file.Close() }()
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	listens := 0
	controlErr := raw.Control(func(fd uintptr) {
		listens, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	})
	if err = errors.Join(controlErr, err); err != nil {
		return nil, err
	}
	if listens == 0 {
		return nil, errNotListening
	}
	return net.FileListener(file)
}

// bequeath has the next listener of the port take over the socket.
func (e *Engine) bequeath(address string, file *os.File) {
	if e.inherited == nil {
		e.inherited = map[string]*os.File{}
	}
	if was := e.inherited[address]; was != nil {
		_ = was.Close()
	}
	e.inherited[address] = file
}

// giveUp refuses clients of the address from now on. The socket itself is shut down: whoever
// else holds it, and might for a while, must not let them wait for nobody.
func (e *Engine) giveUp(address string, socket syscall.Conn) {
	if socket != nil {
		if raw, err := socket.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
		}
	}
	if e.config.Store == nil {
		return
	}
	if err := e.config.Store.Drop(address); err != nil {
		e.config.Log.Warn("socket may be kept on", "address", address, "err", err)
	}
}

// giveUpOne gives up what was inherited of an address.
func (e *Engine) giveUpOne(address string) {
	if file := e.inherited[address]; file != nil {
		e.giveUp(address, file)
		_ = file.Close()
		delete(e.inherited, address)
	}
}

// giveUpInherited gives up what no listener has wanted.
func (e *Engine) giveUpInherited() {
	for address := range e.inherited {
		e.giveUpOne(address)
		e.config.Log.Info("inherited socket closed: no listener wants it", "address", address)
	}
	e.inherited = nil
}
