package dns

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// keeper is a store that holds duplicates of the sockets, as a service manager does.
type keeper struct {
	testing.TB
	held map[string]*os.File
}

func newKeeper(t testing.TB) *keeper {
	k := &keeper{t, map[string]*os.File{}}
	t.Cleanup(func() {
		for name := range k.held {
			must(t, k.Drop(name))
		}
	})
	return k
}

func (k *keeper) Keep(name string, socket syscall.Conn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	controlErr := raw.Control(func(s uintptr) { fd, err = syscall.Dup(int(s)) })
	must(k, controlErr)
	if err == nil {
		k.held[name] = os.NewFile(uintptr(fd), name)
	}
	return err
}

func (k *keeper) Drop(name string) error {
	defer delete(k.held, name)
	if k.held[name] == nil {
		return nil
	}
	return k.held[name].Close()
}

// inherited are duplicates of what is held, for the next process.
func (k *keeper) inherited() map[string]*os.File {
	files := map[string]*os.File{}
	for name, file := range k.held {
		fd, err := syscall.Dup(int(file.Fd()))
		must(k, err)
		files[name] = os.NewFile(uintptr(fd), name)
	}
	return files
}

func openKept(t testing.TB, addr string, k *keeper) *Server {
	t.Helper()
	s, err := Open(Config{
		Addr: netip.MustParseAddrPort(addr), Clients: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		AliasAddr: aliasAddr, HostResolvConf: filepath.Join(t.TempDir(), "none"),
		TaskResolvConf: filepath.Join(t.TempDir(), "tasks"), Store: k, Inherited: k.inherited(),
	})
	must(t, err)
	return s
}

func TestAQueryBetweenTwoAgentsIsAnsweredByTheSecond(t *testing.T) {
	k := newKeeper(t)
	first := openKept(t, "127.0.0.1:0", k)
	addr := first.udp.LocalAddr().String()
	must(t, first.Close())

	ask := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName("web.skein."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	query, err := ask.Pack()
	must(t, err)
	conns := map[string]net.Conn{}
	for _, network := range []string{"udp", "tcp"} {
		conn, dialErr := net.Dial(network, addr)
		must(t, dialErr)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		if network == "udp" {
			_, err = conn.Write(query)
		} else {
			err = writeFramed(conn, query)
		}
		must(t, err)
		conns[network] = conn
	}

	second := openKept(t, addr, k)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if runErr := second.Run(ctx); runErr != nil {
			t.Errorf("Run: %v", runErr)
		}
	})
	defer running.Wait()
	defer cancel()
	buf := make([]byte, 512)
	n, err := conns["udp"].Read(buf)
	if err != nil || n < 12 {
		t.Errorf("udp: %d bytes, %v", n, err)
	}
	if b, err := readFramed(conns["tcp"], 512); err != nil || len(b) < 12 {
		t.Errorf("tcp: %d bytes, %v", len(b), err)
	}
}

func TestSocketsOfAnotherAddressAreReplaced(t *testing.T) {
	k := newKeeper(t)
	first := openKept(t, "127.0.0.1:0", k)
	must(t, first.Close())
	second := openKept(t, "127.0.0.2:0", k)
	defer second.Close()
	if got := second.udp.LocalAddr().(*net.UDPAddr).IP.String(); got != "127.0.0.2" {
		t.Errorf("listens at %s", got)
	}
	third := openKept(t, second.udp.LocalAddr().String(), k)
	defer third.Close()
	if got, want := third.tcp.Addr().String(), second.tcp.Addr().String(); got != want {
		t.Errorf("the third has %s of the store, the second has %s", got, want)
	}
}
