package web

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it; nothing is kept secret by it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	tickEvery  = 100 * time.Millisecond
	mostTicks  = 3_000
	mostEchoed = 125 // bytes of a message, which a frame's second byte has room for
	echoTime   = 10 * time.Minute
)

// ticks is a slow download: a line each 100 ms, as many as n says.
func ticks(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 1 || n > mostTicks {
		http.Error(w, fmt.Sprintf("want n, 1 to %d", mostTicks), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for i := range n {
		if _, err := fmt.Fprintln(w, i); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// echo is a WebSocket that says what it is told, in messages of up to 125 bytes.
func echo(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" {
		http.Error(w, "want a WebSocket", http.StatusBadRequest)
		return
	}
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(echoTime)) != nil {
		return
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	for stream.Flush() == nil {
		if echoOne(stream) != nil {
			return
		}
	}
}

var errLong = errors.New("a message that is not masked, in parts or too long")

// echoOne reads a masked frame and writes the same without a mask.
func echoOne(stream *bufio.ReadWriter) error {
	var head [6]byte
	if _, err := io.ReadFull(stream, head[:]); err != nil {
		return err
	}
	const final, masked = 0x80, 0x80
	n := int(head[1] &^ masked)
	if head[0]&final == 0 || head[1]&masked == 0 || n > mostEchoed {
		return errLong
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(stream, text); err != nil {
		return err
	}
	for i := range text {
		text[i] ^= head[2+i%4]
	}
	_, err := stream.Write(append([]byte{head[0], byte(n)}, text...))
	return err
}
