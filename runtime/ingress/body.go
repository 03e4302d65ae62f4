package ingress

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"skein/runtime/ingress/http1"
	"skein/runtime/ingress/upstream"
)

// copyBuffer is how much of a body is read at once.
const copyBuffer = 32 << 10

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}

var (
	errBodyTooLarge = errors.New("the body is larger than this listener takes")
	errCutOff       = errors.New("the message is cut off")
)

// body is a request's. What was read with the head is sent with the head; the rest is
// pumped by a goroutine of its own, so that the answer may begin before the body ends.
type body struct {
	framing  http1.Framing
	left     int64 // of its length
	chunks   http1.ChunkedBody
	limit    int64 // 0: none
	first    []byte
	buffered int
	whole    bool // first is all of it
	err      error
	tooLarge bool

	pumping chan struct{} // closed when the pump has ended; nil: there is none
	read    atomic.Bool   // the pump has read all, and sends the last of it
	failure atomic.Pointer[error]
}

// begin takes what follows the head in the client's buffer.
func (b *body) begin(head *http1.Head, rest []byte, limit int64) {
	b.framing, b.left, b.limit = head.Framing, head.Length, limit
	n, done := 0, false
	switch b.framing {
	case http1.NoBody, http1.UntilClose:
		done = true
	case http1.ByLength:
		b.tooLarge = limit > 0 && head.Length > limit
		n = int(min(b.left, int64(len(rest))))
		b.left -= int64(n)
		done = b.left == 0
	case http1.Chunked:
		n, done, b.err = b.chunks.Scan(rest)
		b.tooLarge = limit > 0 && b.chunks.Data() > limit
	}
	b.first, b.buffered, b.whole = rest[:n], n, done
}

// over reports whether the body was seen to be larger than it may be.
func (b *body) over() bool { return b.tooLarge || errors.Is(b.failed(), errBodyTooLarge) }

// failed is why the pump ended before the body did; nil: it did not.
func (b *body) failed() error {
	if err := b.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// pump sends the rest of the body.
func (b *body) pump(c *client, up *upstream.Conn) {
	b.pumping = make(chan struct{})
	idle := c.idle()
	c.engine.running.Go(func() {
		defer close(b.pumping)
		err := b.copy(c, up, idle)
		if err == nil {
			return
		}
		b.failure.Store(&err)
		if !errors.Is(err, errTarget) {
			// The target must not take what it has for all there is, and whoever waits for its
			// answer waits in vain. A target that reads no further may still answer.
			_ = up.Close()
		}
	})
}

// pumps reports whether the body has not ended.
func (b *body) pumps() bool {
	if b.pumping == nil {
		return false
	}
	select {
	case <-b.pumping:
		return false
	default:
		return true
	}
}

// unread reports whether the client has more of the body to send, as far as is known.
func (b *body) unread() bool { return b.pumps() && !b.read.Load() }

var errTarget = errors.New("the target reads no further")

func (b *body) copy(c *client, up *upstream.Conn, idle time.Duration) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		now := time.Now()
		if err := c.extendRead(now, idle); err != nil {
			return err
		}
		take := *buf
		if b.framing == http1.ByLength && int64(len(take)) > b.left {
			take = take[:b.left]
		}
		n, err := c.conn.Read(take)
		if n == 0 && err != nil {
			return err
		}
		used, done, err := b.account(take[:n])
		if err != nil {
			return err
		}
		if done {
			c.in.leave(take[used:n])
			b.read.Store(true)
		}
		if err = up.ExtendWrite(now, idle); err != nil {
			return errors.Join(errTarget, err)
		}
		if _, err = up.Write(take[:used]); err != nil {
			return errors.Join(errTarget, err)
		}
		if done {
			return nil
		}
	}
}

// account says how many bytes belong to the body, and whether it ends with them.
func (b *body) account(text []byte) (used int, done bool, err error) {
	if b.framing == http1.ByLength {
		b.left -= int64(len(text))
		return len(text), b.left == 0, nil
	}
	used, done, err = b.chunks.Scan(text)
	if err == nil && b.limit > 0 && b.chunks.Data() > b.limit {
		err = errBodyTooLarge
	}
	return used, done, err
}

// lastPiece is how long a target that has answered may take over what is left of the body.
const lastPiece = time.Second

// end waits for the pump, if all of the body was read, and stops it if not. It reports
// whether the target has all of it. It may be called again.
func (b *body) end(c *client, up *upstream.Conn) bool {
	if b.pumping == nil {
		return b.whole
	}
	select {
	case <-b.pumping:
	default:
		if b.read.Load() {
			_ = up.Hurry(lastPiece)
		} else {
			_ = c.conn.SetReadDeadline(time.Now())
			_ = up.Hurry(0)
		}
		<-b.pumping
	}
	c.readUntil = time.Time{} // whatever is set, it is to be set anew
	return b.failed() == nil
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// cutOff makes an end that came too early an error.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return errCutOff
	}
	return err
}
