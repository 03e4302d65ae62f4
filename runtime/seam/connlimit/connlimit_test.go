package connlimit

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
)

func TestConnectionsAreCountedInAllAndBySource(t *testing.T) {
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	l := New(3, 2)
	var releases []func()
	for _, step := range []struct {
		from netip.Addr
		want error
	}{{a, nil}, {a, nil}, {a, ErrSourceFull}, {b, nil}, {c, ErrFull}, {b, ErrFull}} {
		release, err := l.Take(step.from)
		if !errors.Is(err, step.want) {
			t.Fatalf("from %s: got %v, want %v", step.from, err, step.want)
		}
		if err == nil {
			releases = append(releases, release)
		}
	}
	releases[0]()
	releases[0]() // counts once
	if got := l.Open(); got != 2 {
		t.Errorf("after one release: got %d open, want 2", got)
	}
	if _, err := l.Take(a); err != nil {
		t.Errorf("a released place was not given again: %v", err)
	}
	for _, release := range releases {
		release()
	}
	if got := l.Open(); got != 1 {
		t.Errorf("after all releases: got %d open, want 1", got)
	}
}

func TestOneMachineIsOneSource(t *testing.T) {
	for _, pair := range [][2]string{
		{"192.0.2.1:1", "192.0.2.1:2"},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2"},
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:2"},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1"},
	} {
		one := SourceOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(pair[0])))
		other := SourceOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(pair[1])))
		if one != other || !one.IsValid() {
			t.Errorf("%s and %s: got %s and %s, want one source", pair[0], pair[1], one, other)
		}
	}
}

func TestBytesAreBoundedUntilTheLimitIsLifted(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _ = here.Close() }()
	go func() {
		_, _ = there.Write(bytes.Repeat([]byte{1}, 100))
		_ = there.Close()
	}()
	c := Bound(here, 40)
	got, err := io.ReadAll(c)
	if len(got) != 40 || !errors.Is(err, ErrTooMuch) {
		t.Fatalf("within the limit: got %d bytes and %v, want 40 and %v", len(got), err, ErrTooMuch)
	}
	c.Lift()
	if got, err = io.ReadAll(c); len(got) != 60 || err != nil {
		t.Errorf("after the limit: got %d bytes and %v, want 60 and none", len(got), err)
	}
}
