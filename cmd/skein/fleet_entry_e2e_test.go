//go:build e2e

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

// entryTest is a fleet with a service behind an entry address.
type entryTest struct {
	*fleetUnderTest
	prefix netip.Prefix
	url    string
}

// TestE2EEntryAddress sends all requests to an entry address while its holder changes.
func TestE2EEntryAddress(t *testing.T) {
	f := newFleet(t, lab.UpOptions{})
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 3, 3)
	view, err := f.lab.List(f.Context())
	f.must(err)
	e := &entryTest{fleetUnderTest: f, prefix: lab.EntryAddress(view.Subnet)}
	e.url = "http://" + netip.AddrPortFrom(e.prefix.Addr(), 8088).String() + "/"
	f.must(f.at("h2").Send(f.Context(), http.MethodPost, "/v1/services", map[string]any{
		"serviceName": "shop", "taskDefinition": f.register("h1", "shop", nil), "desiredCount": 6,
		"expose": map[string]any{"listen": 8088, "healthCheckPath": "/healthz"},
	}, nil))
	f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/entry-addresses",
		types.EntryAddressBody{Address: e.prefix.String()}, nil))
	f.awaitHealthy("h3", "shop", 6)
	e.awaitAnswer()
	for _, part := range []struct {
		name string
		run  func(*entryTest)
	}{
		{"a planned move loses nothing", (*entryTest).moveUnderLoad},
		{"two hosts never answer while one is cut off", (*entryTest).cutHolder},
		{"another host answers when the holder dies", (*entryTest).killHolder},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			part.run(&entryTest{&fleetUnderTest{TB: t, lab: f.lab, dir: f.dir, image: f.image}, e.prefix, e.url})
		}) {
			return
		}
	}
}

// via asks any host but the one given.
func (e *entryTest) entry(not string) (types.EntryAddress, error) {
	for _, host := range []string{"h1", "h2", "h3"} {
		if host != not {
			return get[types.EntryAddress](e.fleetUnderTest, host, "/v1/entry-addresses/"+e.prefix.Addr().String())
		}
	}
	return types.EntryAddress{}, errors.New("no host to ask")
}

func (e *entryTest) holder(not string) string {
	row, err := e.entry(not)
	e.must(err)
	if row.Holder == nil {
		e.Fatalf("nobody holds %s: %+v", e.prefix, row)
	}
	return row.Holder.Name
}

// awaitAnswer waits until a request is answered at the entry address.
func (e *entryTest) awaitAnswer() {
	e.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	e.eventually("the service answers at "+e.url, func() (string, bool) {
		_, err := askURL(c, e.url)
		return fmt.Sprint(err), err == nil
	})
}

// awaitHolder waits until another host than the one given holds the address.
func (e *entryTest) awaitHolder(other string) (now types.EntryAddress) {
	e.Helper()
	e.eventually("another than "+other+" holds the address", func() (string, bool) {
		var err error
		now, err = e.entry(other)
		return fmt.Sprintf("%+v %v", now, err), err == nil && now.Holder != nil && now.Holder.Name != other
	})
	return now
}

// entryLoad sends requests by several clients at a time, so that one that waits does not
// keep the others from finding out who answers.
func (e *entryTest) load(within time.Duration) (*load, func() []time.Time) {
	ctx, cancel := context.WithCancel(e.Context())
	l := &load{cancel: cancel}
	e.Cleanup(cancel)
	var mu sync.Mutex
	var answered []time.Time
	for i := range 8 {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}, Timeout: within}
		l.done.Go(func() {
			defer c.CloseIdleConnections()
			for pace := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-pace.C {
				began := time.Now()
				_, err := askURL(c, e.url)
				l.count(e.url, err, time.Since(began))
				if err == nil {
					mu.Lock()
					answered = append(answered, time.Now())
					mu.Unlock()
				}
			}
		})
	}
	return l, func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(answered)
	}
}

// held are connections that began at one holder and must go on at another.
type held struct {
	e         *entryTest
	keepAlive net.Conn
	socket    net.Conn
	download  chan error
}

const ticks = 120 // of a download, 100 ms each

func (e *entryTest) hold() *held {
	e.Helper()
	h := &held{e: e, keepAlive: e.dial(), socket: e.dial(), download: make(chan error, 1)}
	h.get()
	_, err := fmt.Fprint(h.socket, "GET /echo HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	e.must(err)
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(h.socket, 4096)), nil)
	e.must(err)
	if response.StatusCode != http.StatusSwitchingProtocols {
		e.Fatalf("no WebSocket: %s", response.Status)
	}
	h.echo()
	began := make(chan struct{})
	go func() { h.download <- e.download(began) }()
	<-began
	return h
}

func (e *entryTest) dial() net.Conn {
	e.Helper()
	conn, err := net.DialTimeout("tcp", strings.Trim(strings.TrimPrefix(e.url, "http://"), "/"), 10*time.Second)
	e.must(err)
	e.Cleanup(func() { _ = conn.Close() })
	return conn
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

func (e *entryTest) moveUnderLoad() {
	from := e.holder("")
	h := e.hold()
	l, _ := e.load(20 * time.Second)
	to := map[string]string{"h1": "h2", "h2": "h3", "h3": "h2"}[from]
	e.must(e.at("h1").Send(e.Context(), http.MethodPost, "/v1/entry-addresses/"+e.prefix.Addr().String()+"/move",
		types.EntryMoveBody{Host: to}, nil))
	w := e.watchWire()
	e.eventually(to+" answers", func() (string, bool) { return fmt.Sprint(w.seen()), w.last() == e.mac(to) })
	for range 3 {
		h.get()
		h.echo()
	}
	if err := <-h.download; err != nil {
		e.Errorf("the download: %v", err)
	}
	h.get()
	h.echo()
	l.stop(e.fleetUnderTest)
}

func (e *entryTest) cutHolder() {
	e.must(e.lab.HealAll(e.Context()))
	from := e.holder("")
	w := e.watchWire()
	e.eventually(from+" answers", func() (string, bool) { return fmt.Sprint(w.seen()), w.last() == e.mac(from) })
	for _, host := range []string{"h1", "h2", "h3"} {
		if host != from {
			e.must(e.lab.Cut(e.Context(), from, host, false))
		}
	}
	e.awaitHolder(from)
	to := e.holder(from)
	e.eventually(to+" answers", func() (string, bool) { return fmt.Sprint(w.seen()), w.last() == e.mac(to) })
	e.awaitAnswer()
	e.must(e.lab.HealAll(e.Context()))
	e.awaitReady("h1", 3, 3)
	e.eventually(to+" goes on to answer", func() (string, bool) {
		return fmt.Sprint(w.seen()), w.last() == e.mac(to) && w.count(e.mac(to)) > 100
	})
	if both := w.interleaved(); both != "" {
		e.Errorf("two hosts answered in turn: %s", both)
	}
}

func (e *entryTest) killHolder() {
	from := e.holder("")
	l, answered := e.load(1500 * time.Millisecond)
	e.eventually("requests are answered", func() (string, bool) { n := len(answered()); return fmt.Sprint(n), n > 50 })
	died := time.Now()
	e.must(e.lab.Kill(e.Context(), from))
	killed := time.Now()
	e.awaitHolder(from)
	e.eventually("requests are answered again", func() (string, bool) {
		all := answered()
		again := slices.IndexFunc(all, func(at time.Time) bool { return at.After(killed.Add(200 * time.Millisecond)) })
		return fmt.Sprint(len(all)), again >= 0 && len(all) > again+200
	})
	all := answered()
	first := all[slices.IndexFunc(all, func(at time.Time) bool { return at.After(killed.Add(200 * time.Millisecond)) })]
	sent, failed := l.end()
	e.Logf("%s died: first answer %s after its power was cut, %d of %d requests failed (each gives up after 1.5 s)", from,
		first.Sub(died).Round(time.Millisecond), len(failed), sent)
	if took := first.Sub(died); took > 10*time.Second {
		e.Errorf("nobody answered for %s", took)
	}
	e.awaitAnswer()
}

// mac is a host's link address, as the host says.
func (e *entryTest) mac(host string) string {
	e.Helper()
	view, err := e.lab.List(e.Context())
	e.must(err)
	i := slices.IndexFunc(view.Hosts, func(h lab.HostView) bool { return h.Name == host })
	if i < 0 {
		e.Fatalf("no host %s", host)
	}
	neighbours, err := net.Interfaces()
	e.must(err)
	bridge := neighbours[slices.IndexFunc(neighbours, func(n net.Interface) bool { return n.Name == "sk-"+view.Name })]
	return net.HardwareAddr{0x02, bridge.HardwareAddr[1], bridge.HardwareAddr[2], bridge.HardwareAddr[3],
		bridge.HardwareAddr[4], byte(i + 1)}.String()
}

// wire asks on the lab's network who has the entry address, again and again.
type wire struct {
	mu      sync.Mutex
	answers []string // link addresses, in order
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
			w.mu.Lock()
			w.answers = append(w.answers, net.HardwareAddr(buf[senderLink:senderLink+6]).String())
			w.mu.Unlock()
		}
	}
}

func (w *wire) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.answers) == 0 {
		return ""
	}
	return w.answers[len(w.answers)-1]
}

func (w *wire) count(of string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.answers {
		if a == of {
			n++
		}
	}
	return n
}

// seen are those who answered, in order, each once in a row.
func (w *wire) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Compact(slices.Clone(w.answers))
}

// interleaved says when one host answered, another, and then the first again.
func (w *wire) interleaved() string {
	seen := w.seen()
	for i, who := range seen {
		if slices.Contains(seen[:i], who) {
			return strings.Join(seen, ", ")
		}
	}
	return ""
}
