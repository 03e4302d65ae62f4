//go:build e2e

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"skein/cmd/skein/lab"
)

// entryClients send requests to the entry address at a time, so that one that waits does
// not keep the others from finding out who answers.
const entryClients = 8

// entryLoad is requests to the entry address, over connections that are kept and new ones.
type entryLoad struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	requests []request // in the order in which they ended
}

const patient = 20 * time.Second // above any wait of a request that is answered

type request struct {
	began, ended time.Time
	err          error
}

// load sends requests that give up after a time.
func (e *entryTest) load(within time.Duration) *entryLoad {
	e.Helper()
	ctx, cancel := context.WithCancel(e.Context())
	l := &entryLoad{cancel: cancel}
	e.Cleanup(cancel)
	for i := range entryClients {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}, Timeout: within}
		l.done.Go(func() {
			defer c.CloseIdleConnections()
			for pace := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-pace.C {
				one := request{began: time.Now()}
				_, one.err = askURL(c, e.url)
				one.ended = time.Now()
				l.mu.Lock()
				l.requests = append(l.requests, one)
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *entryLoad) all() []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.requests)
}

// awaitMore waits until that many more requests have ended.
func (l *entryLoad) awaitMore(e *entryTest, n int) {
	e.Helper()
	before := len(l.all())
	e.eventually("requests end", func() (string, bool) {
		more := len(l.all()) - before
		return fmt.Sprint(more), more >= n
	})
}

// end ends the load when what is under way has ended.
func (l *entryLoad) end() []request {
	l.cancel()
	l.done.Wait()
	return l.all()
}

// nothingLost ends the load; each request that failed fails the test.
func (e *entryTest) nothingLost(l *entryLoad) {
	e.Helper()
	all := l.end()
	slowest, lost := time.Duration(0), 0
	for _, r := range all {
		slowest = max(slowest, r.ended.Sub(r.began))
		if r.err != nil {
			lost++
			e.Errorf("lost at %s: %v", r.began.Format("15:04:05.000"), r.err)
		}
	}
	e.Logf("%d requests, %d lost, slowest %s", len(all), lost, slowest.Round(time.Millisecond))
	if len(all) < 100 {
		e.Errorf("no more than %d requests were sent", len(all))
	}
}

// held are connections that began at one holder and go on at another.
type held struct {
	e         *entryTest
	keepAlive net.Conn
	socket    net.Conn
	download  chan error
}

// ticks is how many lines a download has, one each 100 ms: it goes on for 12 s.
const ticks = 120

// hold opens a connection that is kept, a WebSocket and a download.
func (e *entryTest) hold() *held {
	e.Helper()
	h := &held{e: e, keepAlive: e.dial(), socket: e.dial(), download: make(chan error, 1)}
	_, err := fmt.Fprint(h.socket, "GET /echo HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	e.must(err)
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(h.socket, 4096)), nil)
	e.must(err)
	if response.StatusCode != http.StatusSwitchingProtocols {
		e.Fatalf("no WebSocket: %s", response.Status)
	}
	began := make(chan struct{})
	go func() { h.download <- e.download(began) }()
	<-began
	h.goOn()
	return h
}

func (e *entryTest) dial() net.Conn {
	e.Helper()
	conn, err := net.DialTimeout("tcp", strings.Trim(strings.TrimPrefix(e.url, "http://"), "/"), 10*time.Second)
	e.must(err)
	e.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (e *entryTest) download(began chan struct{}) error {
	response, err := (&http.Client{Transport: &http.Transport{}}).Get(fmt.Sprintf("%sticks?n=%d", e.url, ticks))
	close(began)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if n := bytes.Count(body, []byte("\n")); err != nil || n != ticks {
		return fmt.Errorf("%s: %d of %d lines: %w", response.Status, n, ticks, err)
	}
	return nil
}

// goOn fails unless the connection that is kept and the WebSocket work.
func (h *held) goOn() {
	h.e.Helper()
	for range 3 {
		h.get()
		h.echo()
	}
}

// finish waits until the download is over, and closes all.
func (h *held) finish() {
	h.e.Helper()
	if err := <-h.download; err != nil {
		h.e.Errorf("the download: %v", err)
	}
	h.echo()
	h.e.must(h.keepAlive.Close())
	h.e.must(h.socket.Close())
}

// get asks once on the connection that is kept.
func (h *held) get() {
	h.e.Helper()
	h.e.must(h.keepAlive.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err := fmt.Fprint(h.keepAlive, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
	h.e.must(err)
	response, err := http.ReadResponse(bufio.NewReader(h.keepAlive), nil)
	h.e.must(err)
	_, err = io.Copy(io.Discard, response.Body)
	h.e.must(err)
	if response.StatusCode != http.StatusOK {
		h.e.Errorf("on the connection that is kept: %s", response.Status)
	}
}

// echo sends a message on the WebSocket and reads it back.
func (h *held) echo() {
	h.e.Helper()
	h.e.must(h.socket.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err := h.socket.Write([]byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'})
	h.e.must(err)
	got := make([]byte, 4)
	_, err = io.ReadFull(h.socket, got)
	h.e.must(err)
	if string(got) != "\x81\x02hi" {
		h.e.Errorf("the WebSocket says %q", got)
	}
}

// linkOf is the link address of a host.
func (e *entryTest) linkOf(host string) string {
	e.Helper()
	view, err := e.lab.List(e.Context())
	e.must(err)
	i := slices.IndexFunc(view.Hosts, func(h lab.HostView) bool { return h.Name == host })
	if i < 0 {
		e.Fatalf("no host %s", host)
	}
	return view.Hosts[i].LinkAddr
}

// wire asks on the lab's network who has the entry address, again and again.
type wire struct {
	mu      sync.Mutex
	answers int
	turns   []turn
}

// turn is a host that answered, until another did.
type turn struct {
	from        string // its link address
	first, last time.Time
}

func (t turn) String() string {
	return fmt.Sprintf("%s from %s to %s", t.from, t.first.Format("05.000"), t.last.Format("05.000"))
}

func (e *entryTest) watchWire() *wire {
	e.Helper()
	view, err := e.lab.List(e.Context())
	e.must(err)
	link, err := net.InterfaceByName("sk-" + view.Name)
	e.must(err)
	const arp = 0x0608 // ETH_P_ARP in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, arp)
	e.must(err)
	e.must(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp, Ifindex: link.Index}))
	e.must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}))
	w := &wire{}
	ctx, cancel := context.WithCancel(e.Context())
	var done sync.WaitGroup
	e.Cleanup(func() { cancel(); done.Wait(); _ = unix.Close(fd) })
	hub := view.Subnet.Masked().Addr().Next()
	done.Go(func() {
		for ctx.Err() == nil {
			_, _ = unix.Write(fd, arpRequest(link.HardwareAddr, hub, e.prefix.Addr()))
			w.read(fd, e.prefix.Addr())
		}
	})
	return w
}

func arpRequest(from net.HardwareAddr, own, asked netip.Addr) []byte {
	frame := slices.Concat(bytes.Repeat([]byte{0xff}, 6), from, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, from, own.AsSlice(),
		make([]byte, 6), asked.AsSlice())
	return append(frame, make([]byte, 60-len(frame))...)
}

// read takes answers until none has come for a moment.
func (w *wire) read(fd int, addr netip.Addr) {
	buf := make([]byte, 128)
	for range 16 {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return
		}
		const reply, senderLink, sender = 2, 22, 28
		if n >= 42 && binary.BigEndian.Uint16(buf[20:]) == reply && bytes.Equal(buf[sender:sender+4], addr.AsSlice()) {
			w.heard(net.HardwareAddr(buf[senderLink:senderLink+6]).String(), time.Now())
		}
	}
}

func (w *wire) heard(from string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers++
	if n := len(w.turns); n == 0 || w.turns[n-1].from != from {
		w.turns = append(w.turns, turn{from: from, first: now})
	}
	w.turns[len(w.turns)-1].last = now
}

// last is who answered last.
func (w *wire) last() turn {
	seen := w.seen()
	if len(seen) == 0 {
		return turn{}
	}
	return seen[len(seen)-1]
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers
}

// seen are those who answered, in order.
func (w *wire) seen() []turn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.turns)
}
