package peer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"skein/agent/peer/listener"
	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

func (a *rigAgent) counts(t *testing.T, reason string, want uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d connections counted as %q", want, reason),
		func() string { return fmt.Sprint(a.port.Counts()) }, func() bool {
			return a.port.Counts()[reason] >= want
		})
}

func knock(t *testing.T, a *rigAgent) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", a.raw.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(waitTime)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestGarbageOnThePortIsDroppedAndCounted(t *testing.T) {
	r := newRig(t)
	a := r.agents[0]
	for name, text := range map[string][]byte{
		"plaintext HTTP": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"garbage":        bytes.Repeat([]byte{0x5a}, 4096),
		"half a record":  {0x16, 0x03, 0x01, 0xff, 0xff},
		"ssh":            []byte("SSH-2.0-OpenSSH_9.2\r\n"),
	} {
		conn := knock(t, a)
		if _, err := conn.Write(text); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		if answer, _ := io.ReadAll(conn); bytes.Contains(answer, []byte("HTTP/1.1 2")) {
			t.Errorf("%s was answered %q", name, answer)
		}
	}
	a.counts(t, "not-tls", 3)
	a.lines.has(t, "peer connection refused", "reason=not-tls")
	r.join("h2", a).host().up() // it serves as before
}

func TestAHandshakeThatDawdlesIsEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	conn := knock(t, r.agents[0])
	if _, err := conn.Write([]byte{0x16}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("it was never ended")
	}
	if took := time.Since(start); took < protocol.HandshakeTime-time.Second {
		t.Errorf("ended after %s", took)
	}
	r.agents[0].counts(t, "too-slow", 1)
}

// A peer that is not verified yet may not have its say kept in memory.
func TestAHandshakeThatIsTooLongIsEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	conn := knock(t, r.agents[0])
	hello := append([]byte{0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xf0}, make([]byte, 0x4000-4)...)
	for sent := 0; sent < 2*listener.MaxHandshake; sent += len(hello) {
		if _, err := conn.Write(hello); err != nil {
			break // it has hung up already
		}
		hello[5] = 0 // what follows is the rest of the same message
	}
	r.agents[0].counts(t, "handshake-too-long", 1)
}

func TestOneSourceCannotHoldThePort(t *testing.T) {
	r := newRig(t)
	a := r.agents[0]
	var held []net.Conn
	for range listener.MaxHalfOpenPerSource + 10 {
		conn := knock(t, a)
		held = append(held, conn)
		if _, err := conn.Write([]byte{0x16}); err != nil && len(held) <= listener.MaxHalfOpenPerSource {
			t.Fatal(err)
		}
	}
	a.counts(t, "too-many-half-open-of-source", 10)
	if half := a.port.listener.HalfOpen(); half > listener.MaxHalfOpenPerSource {
		t.Errorf("%d half-open connections are held", half)
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	half := a.port.listener.HalfOpen
	eventually(t, "all are given back", func() string { return fmt.Sprint(half()) }, func() bool { return half() == 0 })
	r.join("h2", a).host().up()
}

// A newcomer has no certificate, so what it holds open counts as half-open.
func TestAJoinConnectionCountsUntilItCloses(t *testing.T) {
	r := newRig(t)
	a := r.agents[0]
	half := a.port.listener.HalfOpen
	conn := tls.Client(knock(t, a), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{trust.ProtocolJoin}})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	a.counts(t, "accepted", 1)
	if half() != 1 {
		t.Errorf("%d half-open", half())
	}
	_ = conn.Close()
	eventually(t, "given back", func() string { return fmt.Sprint(half()) }, func() bool { return half() == 0 })
}

func TestTheJoinDoorIsOnlyADoor(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{PathPing, PathSession, PathPropose, PathWanted, APIPrefix + "/v1/status", "/",
		"/v1/join/../peer/ping"} {
		conn := tls.Client(knock(t, r.agents[0]),
			&tls.Config{InsecureSkipVerify: true, NextProtos: []string{trust.ProtocolJoin}})
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			path); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode < 300 {
			t.Errorf("%s answered %s", path, response.Status)
		}
		_ = response.Body.Close()
	}
}

func TestJoinBodiesAreBounded(t *testing.T) {
	r := newRig(t)
	for name, body := range map[string][]byte{
		"too large":                    make([]byte, trust.MaxJoinBody+1),
		"no CBOR":                      []byte("{}"),
		"deeply nested":                bytes.Repeat([]byte{0x81}, 10_000),
		"a huge claim":                 {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"an empty one":                 {},
		"no UTF-8 in an unknown field": {0xa1, 0x18, 0x63, 0x61, 0xff},
	} {
		conn := tls.Client(knock(t, r.agents[0]),
			&tls.Config{InsecureSkipVerify: true, NextProtos: []string{trust.ProtocolJoin}})
		request, err := http.NewRequest(http.MethodPost, "https://x"+trust.JoinPath, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err = request.Write(conn); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s answered %s", name, response.Status)
		}
		_ = response.Body.Close()
	}
}

// A host that reads nothing loses its stream when the sockets are full, and
// holds up nobody.
func TestASlowReaderIsCutAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	slow, quick := r.join("h2", r.agents[0]), r.join("h3", r.agents[0])
	sh, qh := slow.host().up(), quick.host().up()
	r.ready(sh)
	r.ready(qh)
	session := sh.session()
	sh.stop()

	// The same session, but by a reader that never reads.
	deaf := &deafLink{agent: slow, session: session}
	conn := deaf.open(t)
	defer conn.Close()
	eventually(t, "the deaf stream is open", func() string { return fmt.Sprint(r.agents[0].port.Streams()) },
		func() bool { return r.agents[0].port.Streams() == 2 })
	for i := 0; i < 400 && r.agents[0].port.Streams() == 2; i++ {
		r.runFat(sh, i)
		r.run(qh, 1)
		qh.up() // in step, whatever the other does
	}
	r.agents[0].lines.has(t, "host stream cut", string(slow.id()))
	if got := len(qh.wanted().Tasks); got == 0 {
		t.Error("the quick host got nothing")
	}
	slow.hostWith(5).up() // and the slow one is served again
}

// runFat assigns a task whose definition fills the sockets.
func (r *rig) runFat(h *rigHost, n int) {
	r.t.Helper()
	var env []fleet.EnvVar
	for i := range 40 {
		env = append(env, fleet.EnvVar{Name: fmt.Sprintf("E%d", i), Value: strings.Repeat("x", 1000)})
	}
	def := r.must(fleet.RegisterTaskDef{Family: fmt.Sprintf("fat%d", n),
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
			Containers: []fleet.Container{{Name: "app", Image: "app:1", CPU: 1, MemoryReservation: 4, StopTimeoutS: 30,
				Environment: env}}}})[0]
	ids := []fleet.TaskID{fleet.TaskID(fmt.Sprintf("%032x", taskNumber.Add(1)))}
	r.must(fleet.RunTasks{TaskDef: fleet.TaskDefID(def), Tasks: ids})
	r.must(fleet.AssignTasks{Host: h.a.id(), Tasks: ids})
}

// deafLink opens a stream and beats, but reads nothing.
type deafLink struct {
	agent   *rigAgent
	session uint64
}

func (d *deafLink) open(t *testing.T) net.Conn {
	t.Helper()
	d.agent.cut.Store(nil)
	voter := d.agent.r.agents[0]
	eventually(t, "the voter takes a stream again", func() string { return "" },
		func() bool { return !voter.port.hub.tooSoon(d.agent.id()) })
	raw, err := net.Dial("tcp", voter.raw.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.(*net.TCPConn).SetReadBuffer(4096)
	conn, err := trust.Handshake(t.Context(), raw, d.agent.identity.ClientConfig(voter.id(), trust.ProtocolRPC,
		d.agent.r.clock.Now, d.agent.port.authority))
	if err != nil {
		t.Fatal(err)
	}
	at := stream.Position{Session: d.session}
	if _, err := fmt.Fprintf(conn, "GET %s?%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
		PathWanted, at.Query(), StreamProtocol); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		for sleep(ctx, protocol.HostBeat) {
			if wire.WriteFrame(conn, stream.HostFrame{}) != nil {
				return
			}
		}
	}()
	return conn
}

func TestAFrameTooLargeFromAHostEndsItsStream(t *testing.T) {
	r := newRig(t)
	h := r.join("h2", r.agents[0]).host().up()
	session := h.session()
	h.stop()
	conn := (&deafLink{agent: h.a, session: session}).open(t)
	defer conn.Close()
	eventually(t, "the stream is open", func() string { return fmt.Sprint(r.agents[0].port.Streams()) },
		func() bool { return r.agents[0].port.Streams() == 1 })
	if _, err := conn.Write([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	r.agents[0].lines.has(t, "host stream cut", string(h.a.id()), "too large")
}

// An agent may be flooded with calls by one host of its fleet: others are served.
func TestOneHostCannotTakeAllPlaces(t *testing.T) {
	f := newFlight()
	for range maxPerHost {
		if err := f.enter("h-1", false); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, f.enter("h-1", false), ErrBusy)
	if err := f.enter("h-2", false); err != nil {
		t.Error(err)
	}
	f.leave("h-1")
	if err := f.enter("h-1", false); err != nil {
		t.Error(err)
	}
	for i := 0; f.total < maxInFlight; i++ {
		if err := f.enter(fleet.HostID(fmt.Sprint("v", i/maxPerVoter)), true); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, f.enter("h-9", false), ErrBusy)
}
