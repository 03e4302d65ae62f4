package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// fdStore holds open files of a service while it is not there, as systemd does with
// FileDescriptorStoreMax= (sd_notify(3), sd_listen_fds(3)).
type fdStore struct {
	socket string // inside the host, where the service says what to hold

	mu   sync.Mutex
	held []heldFile
}

type heldFile struct {
	name string
	fd   int
}

const (
	maxHeldFiles   = 1_200   // as in packaging/systemd/skein.service
	maxNotifyBytes = 4 << 10 // of one message
	notifySocket   = "/run/notify"
)

// openFDStore serves the notify socket for as long as the host lives.
func openFDStore(path string) (*fdStore, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("open notify socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect notify socket: %w", err), conn.Close())
	}
	s := &fdStore{socket: path}
	go s.serve(conn)
	return s, nil
}

func (s *fdStore) serve(conn *net.UnixConn) {
	b, oob := make([]byte, maxNotifyBytes), make([]byte, unix.CmsgSpace(16*4))
	for {
		n, oobn, _, _, err := conn.ReadMsgUnix(b, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			s.take(string(b[:n]), fdsOf(oob[:oobn]))
		}
	}
}

func fdsOf(oob []byte) (all []int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			all = append(all, fds...)
		}
	}
	for _, fd := range all {
		unix.CloseOnExec(fd)
	}
	return all
}

// take obeys one message. What it does not know, like READY=1, it ignores.
func (s *fdStore) take(text string, fds []int) {
	said := map[string]string{"FDNAME": "stored"}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			said[key] = value
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name := said["FDNAME"]; {
	case said["FDSTOREREMOVE"] == "1":
		s.close(func(h heldFile) bool { return h.name == name })
	case said["FDSTORE"] == "1" && !strings.Contains(name, ":"):
		for len(fds) > 0 && len(s.held) < maxHeldFiles {
			s.held = append(s.held, heldFile{name, fds[0]})
			fds = fds[1:]
		}
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// close closes what fits; the lock is held.
func (s *fdStore) close(fits func(heldFile) bool) {
	var stay []heldFile
	for _, h := range s.held {
		if fits(h) {
			_ = unix.Close(h.fd)
		} else {
			stay = append(stay, h)
		}
	}
	s.held = stay
}

// clear closes all: the service is not to come back.
func (s *fdStore) clear() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close(func(heldFile) bool { return true })
}

// lend calls start with the files and what of the environment tells of them.
func (s *fdStore) lend(start func(fds []uintptr, env []string)) {
	if s == nil {
		start(nil, nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	env := []string{"NOTIFY_SOCKET=" + s.socket}
	var fds []uintptr
	var names []string
	for _, h := range s.held {
		fds, names = append(fds, uintptr(h.fd)), append(names, h.name)
	}
	if len(fds) > 0 {
		env = append(env, fmt.Sprintf("%s=%d", listenFDs, len(fds)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	start(fds, env)
}

// listenFDs is set where files are lent; who becomes the service adds whom they are for.
const listenFDs = "LISTEN_FDS"

// claimFiles says that this process, and what it becomes, is whom the lent files are for.
func claimFiles() error {
	if os.Getenv(listenFDs) == "" {
		return nil
	}
	return os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
}
