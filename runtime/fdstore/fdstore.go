// Package fdstore keeps listening sockets open while an agent is not there: the service
// manager holds them, and gives them to the next agent when it starts it. It speaks the
// protocol of systemd, sd_notify(3) and sd_listen_fds(3), with any manager that does.
//
// What the sockets are for, and when they are to be given up, is the caller's.
package fdstore

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

const (
	// sendTimeout is how long a manager that does not read may keep up the agent, and
	// stalledTimeout the same once it has not read for that long: the agent has hundreds of
	// sockets, and other work.
	sendTimeout    = time.Second
	stalledTimeout = 5 * time.Millisecond
)

// Store is the service manager's, or none.
type Store struct {
	manager string // its socket; empty: there is no manager
	stalled atomic.Bool
}

// patience is how long the manager has to take the next word.
func (s *Store) patience() time.Duration {
	if s.stalled.Load() {
		return stalledTimeout
	}
	return sendTimeout
}

// Open finds the store that the environment tells of, and what it kept for this process, by
// name. Without a manager nothing is kept. The environment tells of files once: a second
// call returns none.
func Open() (*Store, map[string]*os.File) {
	kept := map[string]*os.File{}
	for _, file := range activation.Files(true) {
		if twin := kept[file.Name()]; twin != nil {
			_ = twin.Close()
		}
		kept[file.Name()] = file
	}
	return &Store{manager: os.Getenv("NOTIFY_SOCKET")}, kept
}

// Keep has the manager hold a socket under a name of 1 to 255 characters of ASCII without
// colons. A manager that can hold no more does not say so.
func (s *Store) Keep(name string, socket syscall.Conn) error {
	if s.manager == "" {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = s.send("FDSTORE=1\nFDNAME="+name, syscall.UnixRights(int(fd))) })
	if err != nil {
		return err
	}
	return sent
}

// Drop has the manager close what it holds under the name.
func (s *Store) Drop(name string) error {
	if s.manager == "" {
		return nil
	}
	return s.send("FDSTOREREMOVE=1\nFDNAME="+name, nil)
}

func (s *Store) send(text string, rights []byte) error {
	// Without a peer: a datagram with files cannot be written to a socket that has one.
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("reach the service manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err = conn.SetWriteDeadline(time.Now().Add(s.patience())); err != nil {
		return err
	}
	_, _, err = conn.WriteMsgUnix([]byte(text), rights, &net.UnixAddr{Name: s.manager, Net: "unixgram"})
	s.stalled.Store(errors.Is(err, os.ErrDeadlineExceeded))
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
