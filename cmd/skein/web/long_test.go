package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTicksAreAsManyAsWereAskedFor(t *testing.T) {
	s := httptest.NewServer(Handler(Identity{}, Faults{}))
	defer s.Close()
	for query, want := range map[string]string{
		"n=3": "0\n1\n2\n", "n=0": "want n, 1 to 3000\n", "": "want n, 1 to 3000\n",
	} {
		response, err := http.Get(s.URL + "/ticks?" + query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", query, got, err, want)
		}
	}
}

func TestAWebSocketSaysWhatItIsTold(t *testing.T) {
	s := httptest.NewServer(Handler(Identity{}, Faults{}))
	defer s.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	// The example of RFC 6455, 1.3.
	if err != nil || response.StatusCode != 101 ||
		response.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("%+v, %v", response, err)
	}
	for range 2 {
		if _, err := conn.Write([]byte{0x81, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "\x81\x02hi" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := conn.Write([]byte{0x81, 0xFE, 1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a long message: %d bytes, %v", n, err)
	}
}
