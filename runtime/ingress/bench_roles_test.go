package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// Each part of a benchmark is a process of its own, so that its processor time can be told
// from the others': this test binary again, with a role.
const roleVariable = "INGRESS_BENCH_ROLE"

func TestMain(m *testing.M) {
	roles := map[string]func() error{"backend": beBackend, "ingress": beIngress, "splice": beSplice}
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		if err := role(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// order is what an ingress or a splice is to do.
type order struct {
	Address string // to listen at; empty: any
	Target  string // of the splice
	Routes  fleet.Routes
	Shake   bool // weights change ten times a second
}

const answerHead = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 256\r\n\r\n"

// beBackend answers every request at once with 256 bytes.
func beBackend() error {
	text := []byte(answerHead + strings.Repeat("x", 256))
	return beServer("", func(conn net.Conn) {
		buf := make([]byte, 16<<10)
		have := 0
		for {
			n, err := conn.Read(buf[have:])
			if err != nil {
				return
			}
			have += n
			if !bytes.HasSuffix(buf[:have], []byte("\r\n\r\n")) {
				continue
			}
			have = 0
			if _, err = conn.Write(text); err != nil {
				return
			}
		}
	})
}

// beSplice is the least a relay of connections can be.
func beSplice() error {
	var o order
	if err := json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&o); err != nil {
		return err
	}
	return beServer(o.Address, func(conn net.Conn) {
		up, err := net.Dial("tcp", o.Target)
		if err != nil {
			return
		}
		defer func() { _ = up.Close() }()
		go func() {
			_, _ = io.Copy(up, conn)
			_ = up.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(conn, up)
	})
}

// beServer says where it listens, and serves until its input ends.
func beServer(address string, serve func(net.Conn)) error {
	l, err := net.Listen("tcp", or(address, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	go untilInputEnds()
	fmt.Println(l.Addr())
	for {
		conn, acceptErr := l.Accept()
		if acceptErr != nil {
			return acceptErr
		}
		go func() {
			defer func() { _ = conn.Close() }()
			serve(conn)
		}()
	}
}

func or(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

func untilInputEnds() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func beIngress() error {
	var o order
	if err := json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&o); err != nil {
		return err
	}
	go untilInputEnds()
	engine := ingress.New(ingress.Config{Zone: "a", Listen: func(string) (net.Listener, error) {
		l, err := net.Listen("tcp", or(o.Address, "127.0.0.1:0"))
		if err == nil {
			fmt.Println(l.Addr())
		}
		return l, err
	}})
	for index := uint64(1); ; index++ {
		if err := engine.Apply(o.Routes, index); err != nil {
			return err
		}
		if !o.Shake {
			select {}
		}
		<-time.After(100 * time.Millisecond)
		for i := range o.Routes.Rules {
			if f := o.Routes.Rules[i].Action.Forward; f != nil && len(f.Groups) == 2 {
				weight := int(index%11) * 1000
				o.Routes.Rules[i].Action = to(fleet.GroupWeight{Group: f.Groups[0].Group, Weight: 10_000 - weight},
					fleet.GroupWeight{Group: f.Groups[1].Group, Weight: weight})
			}
		}
	}
}

// process is a part that runs.
type process struct {
	pid     int
	address string
}

// start runs this binary in a role.
func start(b *testing.B, role string, o order) process {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), roleVariable+"="+role)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err = command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
	})
	if err = json.NewEncoder(in).Encode(o); err != nil {
		b.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("%s does not say where it listens: %v", role, err)
	}
	return process{command.Process.Pid, strings.TrimSpace(address)}
}

// startHAProxy runs Debian's HAProxy with the routes that the benchmark's ingress has.
func startHAProxy(b *testing.B, mode, target string) process {
	b.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		b.Skip("haproxy is not installed: apt-get install haproxy")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	config := fmt.Sprintf(`
global
  nbthread 2
  maxconn 1000
defaults
  mode %s
  timeout client 60s
  timeout server 60s
  timeout connect 1500ms
  timeout http-request 10s
frontend in
  bind %s
`, mode, address)
	if mode == "http" {
		config += `  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port 80
  acl shop hdr(host) -i shop.example
  acl api path_beg /api/
  use_backend out if shop api
backend out
  http-reuse always
`
	} else {
		config += "  default_backend out\nbackend out\n"
	}
	config += "  server one " + target + "\n"
	path := filepath.Join(b.TempDir(), "haproxy.cfg")
	if err = os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, "-q", "-db", "-f", path)
	command.Stderr = os.Stderr
	if err = command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cancel()
		_ = command.Wait()
	})
	until(b, "haproxy listens", func() bool {
		conn, dialErr := net.Dial("tcp", address)
		if dialErr == nil {
			_ = conn.Close()
		}
		return dialErr == nil
	})
	return process{command.Process.Pid, address}
}

// spent is the processor time of a process, of all its threads. Source: proc(5), schedstat;
// the fields of stat have a grain of 10 ms.
func (p process) spent(b *testing.B) time.Duration {
	b.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid))
	if err != nil || len(paths) == 0 {
		b.Fatalf("no threads of process %d: %v", p.pid, err)
	}
	var sum int64
	for _, path := range paths {
		text, readErr := os.ReadFile(path)
		if readErr != nil {
			continue // the thread has ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		nanos, parseErr := strconv.ParseInt(first, 10, 64)
		if parseErr != nil {
			b.Fatal(parseErr)
		}
		sum += nanos
	}
	return time.Duration(sum)
}
