package ingress_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
	"skein/runtime/ingress/proxyproto"
)

// greeter says its name and what it was sent, once that has ended.
func greeter(t testing.TB, name string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go greetAll(l, name)
	return l.Addr().String()
}

func greetAll(l net.Listener, name string) {
	for {
		conn, acceptErr := l.Accept()
		if acceptErr != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			if _, writeErr := fmt.Fprintf(conn, "%s\n", name); writeErr != nil {
				return
			}
			text, readErr := io.ReadAll(conn)
			if readErr == nil {
				_, _ = conn.Write(text)
			}
		}()
	}
}

func tcp(t testing.TB, noun fleet.TargetGroup, addresses ...string) *rig {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "db", Port: 5432, Protocol: fleet.ListenTCP, IdleTimeoutS: 1}, all("db"))
	noun.Name, noun.Protocol = "db", fleet.GroupTCP
	r.group(noun, addresses...)
	r.apply()
	return r
}

func TestAConnectionIsPassedOnAndEndsOneWayAfterTheOther(t *testing.T) {
	r := tcp(t, fleet.TargetGroup{}, greeter(t, "a"))
	c := r.dial(5432)
	if name, err := c.r.ReadString('\n'); name != "a\n" || err != nil {
		t.Fatalf("%q, %v", name, err)
	}
	text := strings.Repeat("all of this ", 200_000)
	c.send(text)
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c.r); err != nil || string(got) != text {
		t.Errorf("%d bytes of %d came back, %v", len(got), len(text), err)
	}
	until(t, "nothing is open", func() bool { return r.engine.Status().Groups[0].Targets[0].Open == 0 })
}

func TestAConnectionOnWhichNothingMovesIsClosed(t *testing.T) {
	r := tcp(t, fleet.TargetGroup{}, greeter(t, "a"))
	c := r.dial(5432)
	_, _ = c.r.ReadString('\n')
	for range 5 { // longer than the idle time-out in all
		c.send("x")
		untilPassed(300 * time.Millisecond)
	}
	if got := r.engine.Status().Connections; got != 1 {
		t.Fatalf("a connection on which bytes move was closed")
	}
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("%v", err)
	}
	until(t, "nothing is open", func() bool { return r.engine.Status().Connections == 0 })
}

// untilPassed waits for real time: the kernel's counters know no other.
func untilPassed(d time.Duration) { time.Sleep(d) }

func TestConnectionsGoToTargetsThatAnswer(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	r := tcp(t, fleet.TargetGroup{}, greeter(t, "a"), gone.Addr().String())
	for i := range 20 {
		c := r.dial(5432)
		if name, readErr := c.r.ReadString('\n'); name != "a\n" || readErr != nil {
			t.Fatalf("connection %d: %q, %v", i, name, readErr)
		}
		_ = c.Close()
	}
	until(t, "the other is ejected", func() bool {
		target := r.engine.Status().Groups[0].Targets[1]
		return !target.Ejected.IsZero() && strings.Contains(target.Reason, "refused")
	})
	// It comes to life at the same address, and is let in again without a request's help.
	l, err := net.Listen("tcp", gone.Addr().String())
	if err != nil {
		t.Skipf("the port was taken by others: %v", err)
	}
	defer func() { _ = l.Close() }()
	until(t, "it is readmitted", func() bool { return r.engine.Status().Groups[0].Targets[1].Ejected.IsZero() })
}

func TestClientsAreNamedByThePROXYProtocolInAndOut(t *testing.T) {
	seen := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		conn, acceptErr := l.Accept()
		if acceptErr != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		buf := make([]byte, 28+5)
		_, _ = io.ReadFull(conn, buf)
		header, n, parseErr := proxyproto.Parse(buf)
		seen <- fmt.Sprint(header.Source, string(buf[n:]), parseErr)
	}()
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "db", Port: 1, Protocol: fleet.ListenTCP, ProxyProtocol: true}, all("db"))
	r.group(fleet.TargetGroup{Name: "db", Protocol: fleet.GroupTCP, ProxyProtocol: true}, l.Addr().String())
	r.apply()
	r.dial(1).send("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\nhello")
	if got := <-seen; got != "192.0.2.1:1234hello<nil>" {
		t.Errorf("the target saw %s", got)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	r := newRig(t, ingress.Config{Limits: ingress.Limits{Connections: 3, PerSource: 2}})
	r.listener(fleet.Listener{Name: "db", Port: 1, Protocol: fleet.ListenTCP}, all("db"))
	r.group(fleet.TargetGroup{Name: "db", Protocol: fleet.GroupTCP}, greeter(t, "a"))
	r.apply()
	for i := range 2 {
		if name, err := r.dial(1).r.ReadString('\n'); name != "a\n" {
			t.Fatalf("connection %d: %q, %v", i, name, err)
		}
	}
	if _, err := r.dial(1).r.ReadByte(); err == nil {
		t.Error("a third connection of one source was served")
	}
	until(t, "it is counted", func() bool { return r.engine.Status().Refused == 1 })
}

func TestTLSIsPassedOnByName(t *testing.T) {
	certificate, roots := selfSigned(t, "a.example", "b.example")
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "tls", Port: 443, Protocol: fleet.ListenTLS}, all("none"))
	for i, name := range []string{"a", "b"} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, acceptErr := l.Accept()
				if acceptErr != nil {
					return
				}
				_, _ = fmt.Fprintf(conn, "%s\n", name)
				_ = conn.Close()
			}
		}()
		group := fleet.TargetGroupName(name)
		r.rule("tls", i+1, all(group), fleet.RuleCondition{Field: fleet.FieldHost, Values: []string{name + ".example"}})
		r.group(fleet.TargetGroup{Name: group, Protocol: fleet.GroupTCP}, l.Addr().String())
	}
	r.group(fleet.TargetGroup{Name: "none", Protocol: fleet.GroupTCP})
	r.apply()
	for _, name := range []string{"a", "b", "a"} {
		conn, err := tls.Dial("tcp", r.address(443), &tls.Config{ServerName: name + ".example", RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		if got, readErr := bufio.NewReader(conn).ReadString('\n'); got != name+"\n" {
			t.Errorf("%s.example leads to %q, %v", name, got, readErr)
		}
		_ = conn.Close()
	}
	if conn, err := tls.Dial("tcp", r.address(443), &tls.Config{ServerName: "c.example", RootCAs: roots}); err == nil {
		_ = conn.Close()
		t.Error("a name that no rule has was passed on")
	}
}

func TestAClientBehindABalancerIsKnownByItsOwnAddress(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP, ProxyProtocol: true}, all("none"))
	r.rule("web", 1, all("one"), fleet.RuleCondition{Field: fleet.FieldSource, Values: []string{"192.0.2.0/24"}})
	r.group(fleet.TargetGroup{Name: "none", Protocol: fleet.GroupHTTP1})
	r.group(fleet.TargetGroup{Name: "one", Protocol: fleet.GroupHTTP1}, backend(t, "a", seen))
	r.apply()
	c := r.dial(80)
	c.send("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\nGET / HTTP/1.1\nHost: x\n\n")
	if got := read(t, c.receive("GET")); !strings.Contains(got, "for=192.0.2.1 ") {
		t.Errorf("the target saw %s", got)
	}
	c = r.dial(80)
	c.send("GET / HTTP/1.1\nHost: x\n\n")
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("a connection without a header was served")
	}
}
