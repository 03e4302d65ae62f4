package ingress_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// silentConn takes what is sent, and ends as the kernel ends a connection whose other
// machine acknowledges nothing.
type silentConn struct{ net.Conn }

func (silentConn) Write(b []byte) (int, error) { return len(b), nil }

func (silentConn) Read([]byte) (int, error) {
	return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}
}

// A request that waits for a machine that is gone goes to another target where that is safe.
func TestAMachineThatIsGoneLosesNoRequestThatMayBeRepeated(t *testing.T) {
	gone, lives := backend(t, "gone", nil), backend(t, "lives", nil)
	r := newRig(t, ingress.Config{Dial: func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil && address == gone {
			return silentConn{conn}, nil
		}
		return conn, err
	}})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, gone, lives)
	r.apply()
	for range 8 {
		response, err := http.Get("http://" + r.address(80) + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := response.Header.Get("Backend"); response.StatusCode != http.StatusOK || got != "lives" {
			t.Errorf("a GET is answered with %d by %q", response.StatusCode, got)
		}
	}
}

func TestARequestThatMustNotBeRepeatedIsNot(t *testing.T) {
	gone := backend(t, "gone", nil)
	r := newRig(t, ingress.Config{Dial: func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return silentConn{conn}, err
	}})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, gone)
	r.apply()
	response, err := http.Post("http://"+r.address(80)+"/", "text/plain", strings.NewReader("once"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}
