package fdstore_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skein/runtime/fdstore"
)

// manager reads what a service manager is told.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	dir, err := os.MkdirTemp("", "sk") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "n")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{t, conn}
}

func (m *manager) told() (text string, file *os.File) {
	m.t.Helper()
	b, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	if err := m.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	n, oobn, _, _, err := m.conn.ReadMsgUnix(b, oob)
	if err != nil {
		m.t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		m.t.Fatal(err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil || len(fds) != 1 {
			m.t.Fatalf("%v, %v", fds, err)
		}
		file = os.NewFile(uintptr(fds[0]), "told")
		m.t.Cleanup(func() { _ = file.Close() })
	}
	return string(b[:n]), file
}

// TestMain lets the test binary be the process that is given files.
func TestMain(m *testing.M) {
	if os.Getenv("FDSTORE_CHILD") == "" {
		os.Exit(m.Run())
	}
	_ = os.Setenv("LISTEN_PID", os.Getenv("FDSTORE_CHILD"))
	if os.Getenv("FDSTORE_CHILD") == "self" {
		_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	_, kept := fdstore.Open()
	for name, file := range kept {
		l, err := net.FileListener(file)
		if err != nil {
			os.Stdout.WriteString(name + " is no listener\n")
			continue
		}
		os.Stdout.WriteString(name + " at " + l.Addr().String() + "\n")
	}
	if _, again := fdstore.Open(); len(again) > 0 {
		os.Stdout.WriteString("given twice\n")
	}
}

func listen(t *testing.T) *net.TCPListener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener)
}

func TestASocketIsKeptByItsNameAndDroppedByIt(t *testing.T) {
	m := newManager(t)
	store, _ := fdstore.Open()
	l := listen(t)
	if err := store.Keep("listener-80", l); err != nil {
		t.Fatal(err)
	}
	text, file := m.told()
	if text != "FDSTORE=1\nFDNAME=listener-80" || file == nil {
		t.Fatalf("told %q with %v", text, file)
	}
	if kept, err := net.FileListener(file); err != nil || kept.Addr().String() != l.Addr().String() {
		t.Errorf("the file is no handle of the socket: %v", err)
	}
	if err := store.Drop("listener-80"); err != nil {
		t.Fatal(err)
	}
	if text, file = m.told(); text != "FDSTOREREMOVE=1\nFDNAME=listener-80" || file != nil {
		t.Errorf("told %q with %v", text, file)
	}
}

func TestWithoutAManagerNothingIsKept(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	store, kept := fdstore.Open()
	if err := store.Keep("x", listen(t)); err != nil || len(kept) > 0 {
		t.Errorf("%v, %v", err, kept)
	}
	if err := store.Drop("x"); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", "/nobody/there")
	store, _ = fdstore.Open()
	if err := store.Keep("x", listen(t)); err == nil {
		t.Error("a manager that is not there was told")
	}
}

func TestTheNextProcessIsGivenWhatIsForItByName(t *testing.T) {
	first, second := listen(t), listen(t)
	files := make([]*os.File, 2)
	var err error
	for i, l := range []*net.TCPListener{first, second} {
		if files[i], err = l.File(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = files[i].Close() }()
	}
	for who, want := range map[string][]string{
		"self": {"a at " + first.Addr().String(), "b at " + second.Addr().String()},
		"1":    nil, // files for another process, in an environment that was handed on
	} {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.ExtraFiles = files
		child.Env = append(os.Environ(), "FDSTORE_CHILD="+who, "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b")
		out, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, line := range want {
			if !strings.Contains(string(out), line+"\n") {
				t.Errorf("for %s: %q lacks %q", who, out, line)
			}
		}
		if n := strings.Count(string(out), "\n"); n != len(want) {
			t.Errorf("for %s: %q", who, out)
		}
	}
}
