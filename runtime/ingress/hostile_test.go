package ingress_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// witness is a backend of each protocol that notes whether it was asked for /evil.
type witness struct {
	rig  *rig
	evil atomic.Int64
}

// newWitness has a listener whose paths /one and /two lead to targets of HTTP/1.1 and HTTP/2.
func newWitness(t *testing.T) *witness {
	w := &witness{rig: newRig(t, ingress.Config{})}
	note := func(answer http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			answer.WriteHeader(http.StatusBadRequest) // the target may see the fault first
		}
		if r.URL.Path == "/evil" || bytes.Contains(body, []byte("evil")) || r.Header.Get("Evil") != "" {
			w.evil.Add(1)
		}
	}
	w.rig.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("one"))
	w.rig.rule("web", 1, all("two"), fleet.RuleCondition{Field: fleet.FieldPath, Values: []string{"/two"}})
	w.rig.group(fleet.TargetGroup{Name: "one", Protocol: fleet.GroupHTTP1}, backend(t, "one", note))
	w.rig.group(fleet.TargetGroup{Name: "two", Protocol: fleet.GroupHTTP2}, backend2(t, note))
	w.rig.apply()
	return w
}

const (
	evil    = "GET /evil HTTP/1.1\nHost: x\n\n"
	chunked = "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n"
)

// hostile are messages that someone before or behind the ingress might read otherwise; what
// follows the first reading's end is evil.
var hostile = map[string]string{
	"two lengths":              "POST / HTTP/1.1\nHost: x\nContent-Length: 0\nContent-Length: 33\n\n" + evil,
	"the same length twice":    "POST / HTTP/1.1\nHost: x\nContent-Length: 0\nContent-Length: 0\n\n" + evil,
	"a list of lengths":        "POST / HTTP/1.1\nHost: x\nContent-Length: 0, 0\n\n" + evil,
	"a signed length":          "POST / HTTP/1.1\nHost: x\nContent-Length: +0\n\n" + evil,
	"a length that overflows":  "POST / HTTP/1.1\nHost: x\nContent-Length: 18446744073709551616\n\n" + evil,
	"an empty length":          "POST / HTTP/1.1\nHost: x\nContent-Length:\n\n" + evil,
	"a space before the colon": "POST / HTTP/1.1\nHost: x\nContent-Length : 0\n\n" + evil,
	"a length and chunks": "POST / HTTP/1.1\nHost: x\nContent-Length: 6\nTransfer-Encoding: chunked\n\n0\n\n" +
		evil,
	"chunks and a length":            chunked + "Content-Length: 6\n\n0\n\n" + evil,
	"chunks twice":                   chunked + "Transfer-Encoding: chunked\n\n0\n\n" + evil,
	"a list of codings":              "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: identity, chunked\n\n0\n\n" + evil,
	"a coding like chunked":          "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: xchunked\n\n0\n\n" + evil,
	"a coding after a vertical tab":  "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: \vchunked\n\n0\n\n" + evil,
	"chunks of HTTP/1.0":             "POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n0\n\n" + evil,
	"a folded coding":                "POST / HTTP/1.1\nHost: x\nTransfer-Encoding:\n chunked\n\n0\n\n" + evil,
	"a folded first field":           "POST / HTTP/1.1\n Host: x\n\n" + evil,
	"a coding that Connection names": chunked + "Connection: Transfer-Encoding\n\n0\n\n" + evil,
	"a length that Connection names": "POST / HTTP/1.1\nHost: x\nConnection: Content-Length\nContent-Length: 5\n\nhello" +
		evil,
	"two hosts":                   "GET / HTTP/1.1\nHost: x\nHost: y\n\n" + evil,
	"no host":                     "GET / HTTP/1.1\n\n" + evil,
	"another host in the target":  "GET http://y/ HTTP/1.1\nHost: x\n\n" + evil,
	"a host with a path":          "GET / HTTP/1.1\nHost: x/evil\n\n" + evil,
	"a host with a user":          "GET / HTTP/1.1\nHost: y@x\n\n" + evil,
	"a target without a slash":    "GET evil HTTP/1.1\nHost: x\n\n" + evil,
	"a target of another scheme":  "GET file:///evil HTTP/1.1\nHost: x\n\n" + evil,
	"a tunnel":                    "CONNECT evil:80 HTTP/1.1\nHost: evil:80\n\n" + evil,
	"two spaces in the line":      "GET  / HTTP/1.1\nHost: x\n\n" + evil,
	"a tab in the line":           "GET\t/ HTTP/1.1\nHost: x\n\n" + evil,
	"words after the version":     "GET / HTTP/1.1 evil\nHost: x\n\n" + evil,
	"no version":                  "GET /\n\n" + evil,
	"a NUL in a field":            "GET / HTTP/1.1\nHost: x\nA: b\x00c\n\n" + evil,
	"a name of no letters":        "GET / HTTP/1.1\nHost: x\n: b\n\n" + evil,
	"a bare carriage return":      "GET / HTTP/1.1\nHost: x\nA: b\rEvil: 1\n\n" + evil,
	"HTTP/2 in the midst":         "PRI * HTTP/2.0\n\nSM\n\n" + evil,
	"a chunk of a negative size":  chunked + "\n-1\nx\n0\n\n" + evil,
	"a chunk of size 0x0":         chunked + "\n0x0\n\n" + evil,
	"a chunk of an endless size":  chunked + "\nffffffffffffffff\nx\n0\n\n" + evil,
	"a chunk after a space":       chunked + "\n 0\n\n" + evil,
	"a chunk with a space":        chunked + "\n0 \n\n" + evil,
	"a long extension of a chunk": chunked + "\n0;" + strings.Repeat("a", 100_000) + "\n\n" + evil,
	"an extension with a bare CR": chunked + "\n0;a\r;b\n\n" + evil,
	"chunks of a byte each": chunked + "\n" +
		strings.Repeat("1;"+strings.Repeat("a", 100)+"\nx\n", 1000) + "0\n\n" + evil,
	"a trailer that frames": chunked + "\n0\nContent-Length: 5\n\n" + evil,
	"a trailer that routes": chunked + "\n0\nHost: evil\n\n" + evil,
	"a long trailer": chunked + "\n0\nA: " + strings.Repeat("a", 100_000) +
		"\n\n" + evil,
	"a large head":    "GET / HTTP/1.1\nHost: x\nA: " + strings.Repeat("a", 100_000) + "\n\n" + evil,
	"too many fields": "GET / HTTP/1.1\nHost: x\n" + strings.Repeat("A: b\n", 1000) + "\n" + evil,
	"a long line":     "GET /" + strings.Repeat("a", 100_000) + " HTTP/1.1\nHost: x\n\n" + evil,
}

func TestHostileMessagesAreRefusedAndWhatFollowsThemIsNotHeard(t *testing.T) {
	w := newWitness(t)
	for name, text := range hostile {
		for before, first := range map[string]string{
			"as the first":                "",
			"after a request":             "GET /one HTTP/1.1\nHost: x\n\n",
			"after one of HTTP/1.0":       "GET /one HTTP/1.0\nConnection: keep-alive\n\n",
			"after one to a target of h2": "GET /two HTTP/1.1\nHost: x\n\n",
		} {
			t.Run(name+" "+before, func(t *testing.T) {
				c := w.rig.dial(80)
				c.tell(first + text)
				answers := 0
				for {
					response, err := http.ReadResponse(c.r, nil)
					if err != nil {
						break
					}
					_, _ = io.Copy(io.Discard, response.Body)
					answers++
					if ok := first != "" && answers == 1; (response.StatusCode == 200) != ok {
						t.Errorf("answer %d: status %d", answers, response.StatusCode)
					}
				}
				if most := 1 + min(len(first), 1); answers > most {
					t.Errorf("%d answers", answers)
				}
				if n := w.evil.Swap(0); n != 0 {
					t.Errorf("a target was asked for what was hidden, %d times", n)
				}
			})
		}
	}
}

// tell sends what the ingress may stop reading at any time.
func (c *raw) tell(text string) { _, _ = c.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))) }

// frame is a frame of HTTP/2. RFC 9113, 4.1.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// getHead is the head of "GET http://x/", RFC 7541, 6.1 and 6.2.2.
var getHead = []byte{0x82, 0x84, 0x86, 0x01, 0x01, 'x'}

const (
	frameHeaders, frameReset, frameSettings, framePing, frameContinuation = 1, 3, 4, 6, 9
	endStream, endHeaders                                                 = 1, 4
)

func TestFloodsOfHTTP2HarmNobodyElse(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	many := func(n int, one func(i int) []byte) []byte {
		var b []byte
		for i := range n {
			b = append(b, one(i)...)
		}
		return b
	}
	fields := bytes.Repeat([]byte{0, 1, 'a', 1, 'b'}, 3_000) // "a: b"
	floods := map[string][]byte{
		"streams that are reset at once": many(20_000, func(i int) []byte {
			stream := uint32(2*i + 1)
			return append(frame(frameHeaders, endStream|endHeaders, stream, getHead),
				frame(frameReset, 0, stream, []byte{0, 0, 0, 8})...)
		}),
		"settings": many(50_000, func(int) []byte { return frame(frameSettings, 0, 0, []byte{0, 4, 0, 0, 0xff, 0xff}) }),
		"pings":    many(50_000, func(int) []byte { return frame(framePing, 0, 0, make([]byte, 8)) }),
		"a head no end": append(frame(frameHeaders, endStream, 1, getHead), many(2_000, func(int) []byte {
			return frame(frameContinuation, 0, 1, bytes.Repeat([]byte{0, 1, 'a', 1, 'b'}, 3_000))
		})...),
		"a large head": frame(frameHeaders, endStream|endHeaders, 1, append(bytes.Clone(getHead), fields...)),
		"empty frames": append(frame(frameHeaders, endHeaders, 1, getHead),
			many(50_000, func(int) []byte { return frame(0, 0, 1, nil) })...),
		"a wrong stream": frame(frameHeaders, endStream|endHeaders, 2, getHead),
	}
	w := newWitness(t)
	client := h2c(t)
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			c := w.rig.dial(80)
			done := make(chan struct{})
			go func() { // reads nothing until all is sent, or the connection ends
				defer close(done)
				_, _ = c.Write(append(append([]byte(preface), frame(frameSettings, 0, 0, nil)...), flood...))
			}()
			for range 20 {
				if err := getFrom(client, "http://"+w.rig.address(80)+"/one"); err != nil {
					t.Fatalf("another client is not served: %v", err)
				}
			}
			<-done
			_ = c.Close()
			until(t, "nothing of the flood is open", func() bool {
				s := w.rig.engine.Status()
				return s.Connections <= 1 && s.Groups[0].Targets[0].Open == 0
			})
		})
	}
}

func TestAClientThatSaysNothingInAStreamHoldsNoTarget(t *testing.T) {
	for name, begins := range map[string]bool{"before the answer": false, "while the answer goes on": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ingress.Config{})
			r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP, IdleTimeoutS: 1}, all("calls"))
			r.routes.Rules[0].TimeoutS = 1
			r.group(fleet.TargetGroup{Name: "calls", Protocol: fleet.GroupHTTP2}, backend2(t,
				func(w http.ResponseWriter, r *http.Request) {
					if begins {
						_ = http.NewResponseController(w).Flush()
					}
					_, _ = io.Copy(io.Discard, r.Body)
				}))
			r.apply()
			body, writer := io.Pipe()
			defer func() { _ = writer.Close() }()
			response, err := h2c(t).Post("http://"+r.address(80)+"/", "text/plain", body)
			if begins {
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.ReadAll(response.Body)
				if err == nil {
					t.Error("the answer ended as if it were whole")
				}
			} else if err == nil && response.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("status %d", response.StatusCode)
			}
			until(t, "nothing is open", func() bool { return r.engine.Status().Groups[0].Targets[0].Open == 0 })
		})
	}
}

func TestALongUploadIsNotTakenForASlowAnswer(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("one"))
	r.routes.Rules[0].TimeoutS = 3
	r.group(fleet.TargetGroup{Name: "one", Protocol: fleet.GroupHTTP1}, backend(t, "a",
		func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprint(w, len(body))
		}))
	r.apply()
	for name, client := range map[string]*http.Client{"HTTP/1.1": {Transport: &http.Transport{}}, "HTTP/2": h2c(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, writer := io.Pipe()
			go func() {
				ticker := time.NewTicker(200 * time.Millisecond)
				defer ticker.Stop()
				for range 20 {
					<-ticker.C
					_, _ = writer.Write([]byte("piece"))
				}
				_ = writer.Close()
			}()
			response, err := client.Post("http://"+r.address(80)+"/", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, response); response.StatusCode != 200 || got != "100" {
				t.Errorf("status %d, %q", response.StatusCode, got)
			}
			client.CloseIdleConnections()
		})
	}
}

func TestAnUpgradeThatIsRefusedLeavesHTTP(t *testing.T) {
	const refusal = "HTTP/1.1 426 Upgrade Required\nUpgrade: websocket\nConnection: upgrade\nContent-Length: 2\n\nno"
	r := simple(t, canned(t, refusal))
	c := r.dial(80)
	for range 2 {
		c.send("GET / HTTP/1.1\nHost: x\nConnection: upgrade\nUpgrade: websocket\n\n")
		if response := c.receive("GET"); response.StatusCode != 426 || read(t, response) != "no" {
			t.Errorf("status %d", response.StatusCode)
		}
	}
}

func TestATargetCannotMakeATunnelOfWhatIsNone(t *testing.T) {
	const tunnel = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: upgrade\n\nContent-Length"
	r := simple(t, canned(t, tunnel))
	for _, text := range []string{
		"GET / HTTP/1.1\nHost: x\n\n",
		"GET / HTTP/1.1\nHost: x\nUpgrade: websocket\n\n",
		"GET / HTTP/1.1\nHost: x\nConnection: upgrade\nUpgrade: h2c\n\n",
		"POST / HTTP/1.1\nHost: x\nConnection: upgrade\nUpgrade: websocket\nContent-Length: 5\n\n",
	} {
		c := r.dial(80)
		c.tell(text)
		if response, err := http.ReadResponse(c.r, nil); err == nil && response.StatusCode != 502 {
			t.Errorf("%q: status %d", text, response.StatusCode)
		}
	}
}

func TestAnAnswerOfGRPCThatHasOnlyTrailersPasses(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("calls"))
	r.group(fleet.TargetGroup{Name: "calls", Protocol: fleet.GroupGRPC}, backend2(t,
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "5")
			w.WriteHeader(200)
		}))
	r.apply()
	response, err := h2c(t).Post("http://"+r.address(80)+"/a.B/C", "application/grpc", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, response); got != "" || response.Header.Get("Grpc-Status") != "5" || response.StatusCode != 200 {
		t.Errorf("%q, %d %v", got, response.StatusCode, response.Header)
	}
}

func TestAGroupWithoutTargetsFailsItsOwnShareAndNoMore(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP},
		to(fleet.GroupWeight{Group: "blue", Weight: 9000}, fleet.GroupWeight{Group: "green", Weight: 1000}))
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, backend(t, "blue", nil))
	r.group(fleet.TargetGroup{Name: "green", Protocol: fleet.GroupHTTP1})
	r.apply()
	for name, client := range map[string]*http.Client{"HTTP/1.1": {Transport: &http.Transport{}}, "HTTP/2": h2c(t)} {
		failed := 0
		for range 200 {
			response, err := client.Get("http://" + r.address(80) + "/")
			if err != nil {
				t.Fatal(err)
			}
			_ = read(t, response)
			switch response.StatusCode {
			case 503:
				failed++
			case 200:
			default:
				t.Errorf("status %d", response.StatusCode)
			}
		}
		if failed < 17 || failed > 23 {
			t.Errorf("%s: %d of 200 fail, want a tenth", name, failed)
		}
		client.CloseIdleConnections()
	}
}

func TestAHostWithoutACertificateSaysSoAndServesOnceItIsThere(t *testing.T) {
	folder := t.TempDir()
	certificate, roots := selfSigned(t, "shop.example")
	files := []fleet.CertificateFile{{Certificate: folder + "/certificate.pem", Key: folder + "/key.pem"}}
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "tls", Port: 443, Protocol: fleet.ListenHTTPS, Certificates: files}, all("one"))
	r.group(fleet.TargetGroup{Name: "one", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo))
	r.apply()
	dial := func() error {
		conn, err := tls.Dial("tcp", r.address(443), &tls.Config{RootCAs: roots, ServerName: "shop.example"})
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	var alert tls.AlertError
	var refused *net.OpError
	if err := dial(); !errors.As(err, &alert) && !errors.As(err, &refused) {
		t.Errorf("without a certificate: %v", err)
	}
	s := r.engine.Status().Listeners[0]
	if len(s.Certificates) != 1 || !strings.Contains(s.Certificates[0], files[0].Certificate) {
		t.Errorf("status %+v", s)
	}
	certificatePath, keyPath := write(t, t.TempDir(), certificate)
	move(t, keyPath, files[0].Key)
	move(t, certificatePath, files[0].Certificate)
	until(t, "the certificate is served", func() bool { return dial() == nil })
	until(t, "nothing is named any more", func() bool { return len(r.engine.Status().Listeners[0].Certificates) == 0 })
}

// A path that an operator mistyped must not cost the agent its memory, or its listener.
func TestACertificateFileThatNeverEndsIsNamed(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/dev/zero", pipe, "/"} {
		r := newRig(t, ingress.Config{})
		r.listener(fleet.Listener{Name: "tls", Port: 443, Protocol: fleet.ListenHTTPS,
			Certificates: []fleet.CertificateFile{{Certificate: path, Key: path}}}, all("one"))
		r.group(fleet.TargetGroup{Name: "one", Protocol: fleet.GroupHTTP1}, backend(t, "a", echo))
		r.apply()
		s := r.engine.Status().Listeners[0]
		if len(s.Certificates) != 1 || !strings.Contains(s.Certificates[0], path+" is no regular file") {
			t.Errorf("%s: status %+v", path, s)
		}
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
