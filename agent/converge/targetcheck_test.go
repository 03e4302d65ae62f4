package converge

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

// serveTarget answers on loopback with HTTP/1.1, or HTTP/2 without TLS.
func serveTarget(t *testing.T, second bool, handler http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(!second)
	s.Config.Protocols.SetUnencryptedHTTP2(second)
	s.Start()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func TestATargetIsAskedInItsProtocol(t *testing.T) {
	grpc := func(code string, message bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/grpc" {
				t.Errorf("%s %v", r.Method, r.Header)
			}
			w.Header().Set("Content-Type", "application/grpc")
			if message {
				w.Header().Set("Trailer", "Grpc-Status")
				_, _ = w.Write(make([]byte, 5))
			}
			w.Header().Set("Grpc-Status", code)
		}
	}
	for _, c := range []struct {
		name     string
		protocol fleet.GroupProtocol
		second   bool
		handler  http.HandlerFunc
		code     int
		err      string
	}{
		{"HTTP/1.1", fleet.GroupHTTP1, false, func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 1 || r.URL.Path != "/up" {
				t.Errorf("%s %s", r.Proto, r.URL)
			}
			w.WriteHeader(503)
		}, 503, ""},
		{"a redirect is an answer", fleet.GroupHTTP1, false, http.RedirectHandler("/x", http.StatusFound).ServeHTTP, 302, ""},
		{"HTTP/2 without TLS", fleet.GroupHTTP2, true, func(_ http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Errorf("%s", r.Proto)
			}
		}, 200, ""},
		{"HTTP/2 of a target that has HTTP/1.1", fleet.GroupHTTP2, false, func(http.ResponseWriter, *http.Request) {}, 0,
			"http2"},
		{"gRPC with a message", fleet.GroupGRPC, true, grpc("0", true), 0, ""},
		{"gRPC without a message", fleet.GroupGRPC, true, grpc("12", false), 12, ""},
		{"gRPC of what is none", fleet.GroupGRPC, true, func(http.ResponseWriter, *http.Request) {}, 0,
			"without a code of gRPC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newExecutor(Config{}, nil, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			code, err := x.checkTarget(ctx, CheckTarget{Addr: serveTarget(t, c.second, c.handler), Protocol: c.protocol,
				Path: "/up"})
			if code != c.code || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("code %d, %v; want %d, %q", code, err, c.code, c.err)
			}
		})
	}
}

func TestAConnectionIsEnoughWithoutAPath(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(l.Addr().String())
	x := newExecutor(Config{}, nil, nil)
	if _, err := x.checkTarget(t.Context(), CheckTarget{Addr: addr, Protocol: fleet.GroupTCP}); err != nil {
		t.Errorf("where a target listens: %v", err)
	}
	_ = l.Close()
	if _, err := x.checkTarget(t.Context(), CheckTarget{Addr: addr, Protocol: fleet.GroupTCP}); err == nil {
		t.Error("where nobody listens: no error")
	}
}
