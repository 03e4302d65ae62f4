package ingress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
	"skein/runtime/seam/clock"
)

// store is a service manager's: it holds handles of its own.
type store struct {
	mu   sync.Mutex
	kept map[string]*os.File
}

func newStore(t *testing.T) *store {
	s := &store{kept: map[string]*os.File{}}
	t.Cleanup(func() {
		for _, file := range s.taken() {
			_ = file.Close()
		}
	})
	return s
}

func (s *store) Keep(address string, socket syscall.Conn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var file *os.File
	controlErr := raw.Control(func(fd uintptr) {
		var twin int
		if twin, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			file = os.NewFile(uintptr(twin), address)
		}
	})
	if err = errors.Join(controlErr, err); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[address] = file
	return nil
}

// Drop is slow: until the test ends the handle stays.
func (s *store) Drop(address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if file := s.kept[address]; file != nil {
		s.kept["dropped "+address] = file
		delete(s.kept, address)
	}
	return nil
}

// taken is what the next process is given.
func (s *store) taken() map[string]*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.kept)
}

// door is a listener as its clients use it.
type door struct {
	noun fleet.Listener
	ask  func(r *rig) error // one request on a connection of its own, or one that is kept
}

// doors are a listener of each kind.
func doors(t *testing.T) []door {
	certificate, roots := selfSigned(t, "shop.example")
	certificatePath, keyPath := write(t, t.TempDir(), certificate)
	files := []fleet.CertificateFile{{Certificate: certificatePath, Key: keyPath}}
	trust := &tls.Config{RootCAs: roots, ServerName: "shop.example"}
	over := func(transport *http.Transport) *http.Client {
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: 20 * time.Second}
	}
	get := func(scheme string, port int, client *http.Client) func(*rig) error {
		return func(r *rig) error { return getFrom(client, scheme+"://"+r.address(port)+"/") }
	}
	h2 := protocols((*http.Protocols).SetHTTP2)
	return []door{
		{fleet.Listener{Name: "kept", Port: 80, Protocol: fleet.ListenHTTP}, get("http", 80, over(&http.Transport{}))},
		{fleet.Listener{Name: "new", Port: 81, Protocol: fleet.ListenHTTP},
			get("http", 81, over(&http.Transport{DisableKeepAlives: true}))},
		{fleet.Listener{Name: "h2c", Port: 82, Protocol: fleet.ListenHTTP}, get("http", 82, h2c(t))},
		{fleet.Listener{Name: "tls", Port: 443, Protocol: fleet.ListenHTTPS, Certificates: files},
			get("https", 443, over(&http.Transport{TLSClientConfig: trust.Clone()}))},
		{fleet.Listener{Name: "h2", Port: 444, Protocol: fleet.ListenHTTPS, Certificates: files},
			get("https", 444, over(&http.Transport{TLSClientConfig: trust.Clone(), Protocols: h2}))},
		{fleet.Listener{Name: "tcp", Port: 5432, Protocol: fleet.ListenTCP},
			func(r *rig) error { return talk(r.address(5432), "", nil) }},
		{fleet.Listener{Name: "proxied", Port: 5433, Protocol: fleet.ListenTCP, ProxyProtocol: true},
			func(r *rig) error { return talk(r.address(5433), "PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n", nil) }},
		{fleet.Listener{Name: "named", Port: 445, Protocol: fleet.ListenTLS},
			func(r *rig) error { return talk(r.address(445), "", roots) }},
	}
}

func getFrom(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return err
}

// talk has one conversation with a greeter, over TLS if roots are given.
func talk(address, first string, roots *x509.CertPool) error {
	conn, err := net.DialTimeout("tcp", address, 20*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err = conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if roots != nil {
		conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "shop.example"})
	}
	if _, err = io.WriteString(conn, first+"hello"); err != nil {
		return err
	}
	if err = conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	if text, readErr := io.ReadAll(conn); readErr != nil || string(text) != "a\nhello" {
		return fmt.Errorf("%q, %w", text, readErr)
	}
	return nil
}

// tlsGreeter greets over TLS.
func tlsGreeter(t *testing.T, listener fleet.Listener) string {
	certificate, err := tls.LoadX509KeyPair(listener.Certificates[0].Certificate, listener.Certificates[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go greetAll(l, "a")
	return l.Addr().String()
}

// withDoors is an engine behind each kind of listener.
func withDoors(t *testing.T, all []door, config ingress.Config) *rig {
	r := newRig(t, config)
	var secured fleet.Listener
	for _, d := range all {
		group := "web"
		switch {
		case d.noun.Protocol == fleet.ListenTLS:
			group = "secured"
		case !d.noun.Protocol.PerRequest():
			group = "db"
		}
		if len(d.noun.Certificates) > 0 {
			secured = d.noun
		}
		r.listener(d.noun, to(fleet.GroupWeight{Group: fleet.TargetGroupName(group), Weight: fleet.TotalWeight}))
	}
	r.group(fleet.TargetGroup{Name: "web", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo))
	r.group(fleet.TargetGroup{Name: "db", Protocol: fleet.GroupTCP}, greeter(t, "a"))
	r.group(fleet.TargetGroup{Name: "secured", Protocol: fleet.GroupTCP}, tlsGreeter(t, secured))
	r.apply()
	return r
}

func TestNothingIsLostWhileAnAgentRestartsWhateverTheListener(t *testing.T) {
	kept := newStore(t)
	all := doors(t)
	first := withDoors(t, all, ingress.Config{Store: kept})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var asking sync.WaitGroup
	asked := make([]atomic.Int64, len(all))
	for i, d := range all {
		for range 2 {
			asking.Go(func() {
				for ctx.Err() == nil {
					if err := d.ask(first); err != nil {
						t.Errorf("%s: request %d is lost: %v", d.noun.Name, asked[i].Load(), err)
						return
					}
					asked[i].Add(1)
				}
			})
		}
	}
	flows := func(state string) {
		t.Helper()
		var before []int64
		for i := range all {
			before = append(before, asked[i].Load())
		}
		until(t, state, func() bool {
			for i := range all {
				if asked[i].Load() < before[i]+20 {
					return t.Failed()
				}
			}
			return true
		})
	}
	flows("traffic flows")
	limit, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	if err := first.engine.Leave(limit); err != nil {
		t.Errorf("leave: %v", err)
	}
	flows("traffic flows through an agent that leaves")
	if err := first.engine.Close(limit); err != nil {
		t.Errorf("close: %v", err)
	}
	// Nobody accepts now: clients wait.
	next := newRig(t, ingress.Config{Store: kept, Inherited: kept.taken()})
	next.routes = first.routes
	next.apply()
	flows("traffic flows through the next agent")
	cancel()
	asking.Wait()
	for _, l := range next.engine.Status().Listeners {
		if l.Accepted == 0 {
			t.Errorf("%s: the next agent has accepted nothing", l.Name)
		}
	}
}

func TestAListenerThatChangesItsProtocolKeepsItsPortOpen(t *testing.T) {
	kept := newStore(t)
	r := newRig(t, ingress.Config{Store: kept})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenTCP}, all("db"))
	r.group(fleet.TargetGroup{Name: "db", Protocol: fleet.GroupTCP}, greeter(t, "a"))
	r.apply()
	before := r.address(80)
	r.routes.Listeners[0].ProxyProtocol = true
	r.apply()
	if r.address(80) != before {
		t.Fatal("another socket was opened")
	}
	if err := talk(before, "PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n", nil); err != nil {
		t.Error(err)
	}
	if files := kept.taken(); len(files) != 1 || files[":80"] == nil {
		t.Errorf("kept %v", files)
	}
}

func TestAPortThatIsGivenUpRefusesThoughItsSocketIsStillHeld(t *testing.T) {
	kept := newStore(t)
	r := newRig(t, ingress.Config{Store: kept})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenTCP}, all("db"))
	r.group(fleet.TargetGroup{Name: "db", Protocol: fleet.GroupTCP})
	r.apply()
	r.routes.Listeners = nil
	r.apply()
	if conn, err := net.Dial("tcp", r.address(80)); err == nil {
		_ = conn.Close()
		t.Error("clients wait for nobody")
	}
	if kept.taken()[":80"] != nil {
		t.Error("it is kept for the next agent")
	}
}

// movedClock is a clock that a test moves.
type movedClock struct {
	clock.Clock
	by atomic.Int64
}

func (c *movedClock) Mono() time.Duration { return c.Clock.Mono() + time.Duration(c.by.Load()) }

func TestAnInheritedSocketWaitsForItsListenerAndNotForEver(t *testing.T) {
	kept := newStore(t)
	open := func(address string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if err = kept.Keep(address, l.(*net.TCPListener)); err != nil {
			t.Fatal(err)
		}
		return l.Addr().String()
	}
	late, stray := open(":80"), open(":81")
	now := &movedClock{Clock: clock.System()}
	r := newRig(t, ingress.Config{Clock: now, Store: kept, Inherited: kept.taken()})
	r.apply() // routes of before the listener was made
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenTCP}, all("db"))
	r.group(fleet.TargetGroup{Name: "db", Protocol: fleet.GroupTCP}, greeter(t, "a"))
	r.apply()
	if err := talk(late, "", nil); err != nil {
		t.Errorf("the socket was not taken: %v", err)
	}
	if conn, err := net.Dial("tcp", stray); err != nil {
		t.Errorf("a socket was closed at once: %v", err)
	} else {
		_ = conn.Close()
	}
	now.by.Store(int64(10 * time.Second))
	until(t, "what nobody wants is closed", func() bool {
		conn, err := net.Dial("tcp", stray)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil && kept.taken()[":81"] == nil
	})
	if err := talk(late, "", nil); err != nil {
		t.Errorf("what is wanted was closed: %v", err)
	}
}

func TestAnInheritedFileThatDoesNotListenIsNotUsed(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, ingress.Config{Inherited: map[string]*os.File{":80": file}})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenTCP}, all("db"))
	r.group(fleet.TargetGroup{Name: "db", Protocol: fleet.GroupTCP}, greeter(t, "a"))
	r.apply()
	if err = talk(r.address(80), "", nil); err != nil {
		t.Error(err)
	}
}

func TestAnAgentThatLeavesServesWhoComesAndTellsThemWithTheirFirstAnswer(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := simple(t, backend(t, "a", func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
	}))
	idle, busy := r.dial(80), r.dial(80)
	idle.send("GET / HTTP/1.1\nHost: x\n\n")
	_ = read(t, idle.receive("GET"))
	busy.send("GET /slow HTTP/1.1\nHost: x\n\n")
	<-entered
	left := make(chan error, 1)
	go func() { left <- r.engine.Leave(context.Background()) }()
	if _, err := idle.r.ReadByte(); !errors.Is(err, io.EOF) { // after it was idle for long enough
		t.Errorf("an idle connection ends with %v", err)
	}
	for range 3 {
		c := r.dial(80)
		c.send("GET / HTTP/1.1\nHost: x\n\n")
		if response := c.receive("GET"); response.StatusCode != 200 || !response.Close {
			t.Errorf("status %d, closes %t", response.StatusCode, response.Close)
		}
	}
	client := h2c(t)
	for range 3 {
		if err := getFrom(client, "http://"+r.address(80)+"/"); err != nil {
			t.Errorf("over HTTP/2: %v", err)
		}
	}
	select {
	case err := <-left:
		t.Errorf("it left before a request had ended: %v", err)
	default:
	}
	close(release)
	if response := busy.receive("GET"); response.StatusCode != 200 || !response.Close {
		t.Errorf("status %d, closes %t", response.StatusCode, response.Close)
	}
	if err := <-left; err != nil {
		t.Error(err)
	}
}

func TestAnAgentWaitsNoLongerThanItMayForTunnels(t *testing.T) {
	r := tcp(t, fleet.TargetGroup{}, greeter(t, "a"))
	c := r.dial(5432)
	if _, err := c.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() { left <- r.engine.Leave(ctx) }()
	if err := talk(r.address(5432), "", nil); err != nil {
		t.Errorf("a new connection: %v", err)
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("leave: %v", err)
	}
	c.send("still here")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text, err := bufio.NewReader(c.r).ReadString(0); !strings.HasPrefix(text, "still here") || !errors.Is(err, io.EOF) {
		t.Errorf("the tunnel: %q, %v", text, err)
	}
}
