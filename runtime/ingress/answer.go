package ingress

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"skein/runtime/ingress/http1"
	"skein/runtime/ingress/upstream"
)

// answer is a target's answer while it is passed on.
type answer struct {
	head http1.Head
	in   buffer
	out  []byte
}

var answers = sync.Pool{New: func() any { return &answer{} }}

func (c *client) takeAnswer() *answer {
	a := answers.Get().(*answer)
	a.in.start, a.in.end = 0, 0
	return a
}

// giveAnswer keeps buffers of the usual size for the next.
func (c *client) giveAnswer(a *answer) {
	if len(a.in.bytes) <= copyBuffer && cap(a.out) <= 2*copyBuffer {
		answers.Put(a)
	}
}

// progress is how much of an answer there was.
type progress uint8

const (
	nothing progress = iota // not a byte
	part                    // of a head
	passed                  // a hint, which the client has got, or more
)

var (
	errTunnelled = errors.New("the connection became a tunnel, which has ended")
	errClient    = errors.New("the client takes no more")

	errTooManyHints = errors.New("the target gives hints without end")
)

// maxHints bounds the answers before the answer.
const maxHints = 16

// readAnswer reads the head of the answer, and passes on the hints before it.
func (x *exchange) readAnswer(up *upstream.Conn, a *answer) (progress, error) {
	began, hints := nothing, 0
	head := string(x.client.head.Method) == "HEAD"
	for {
		n, err := a.head.ParseAnswer(a.in.rest(), head)
		if err != nil {
			return max(began, part), err
		}
		if n > 0 {
			a.in.start += n
			if a.head.Status >= 200 {
				return passed, nil
			}
			if hints++; hints > maxHints {
				return passed, errTooManyHints
			}
			if err = x.passHint(up, a); err != nil {
				return passed, err
			}
			began = passed
			continue
		}
		if err = up.ExtendRead(time.Now(), x.timeout()); err != nil {
			return began, err
		}
		if err = a.in.fill(up); err != nil {
			if isTimeout(err) && x.body.pumps() {
				continue // the time of an answer counts from the end of the body
			}
			return began, cutOff(err)
		}
		began = max(began, part)
	}
}

// passHint passes on an answer before the answer, or becomes a tunnel.
func (x *exchange) passHint(up *upstream.Conn, a *answer) error {
	c := x.client
	if a.head.Status == 101 && (!a.head.Upgrade || !c.head.Upgrade || !x.body.whole) {
		return http1.ErrMalformed
	}
	a.out = a.head.AppendAnswer(a.out[:0], false)
	if a.head.Status == 101 {
		x.observe(a.head.Status)
		a.out = append(a.out, a.in.rest()...)
	}
	if err := c.write(a.out); err != nil {
		return errors.Join(errClient, err)
	}
	if a.head.Status == 101 {
		x.tunnel(up)
		return errTunnelled
	}
	return nil
}

// tunnel passes bytes both ways until both have ended.
func (x *exchange) tunnel(up *upstream.Conn) {
	c := x.client
	up.Patience(userTimeout)
	if rest := c.in.rest(); x.length < len(rest) {
		if _, err := up.Write(rest[x.length:]); err != nil {
			return
		}
	}
	c.readUntil, c.writeUntil = time.Time{}, time.Time{}
	if c.conn.SetDeadline(time.Time{}) != nil || up.Forever() != nil {
		return
	}
	tunnel(side{c.conn, c.tcp}, side{up.Conn, up.TCP()}, c.idle())
}

// passAnswer passes the answer on. Keep: the target's connection can be used again.
func (x *exchange) passAnswer(up *upstream.Conn, a *answer) (keep bool, err error) {
	c := x.client
	x.observe(a.head.Status)
	x.closing = x.closing || a.head.Framing == http1.UntilClose || x.target.Leaving() || c.leaving.Load() ||
		x.early(a)
	a.out = a.head.AppendAnswer(a.out[:0], x.closing, x.line[:]...)
	ended := false
	switch a.head.Framing {
	case http1.NoBody:
		ended, err = a.in.start == a.in.end, c.write(a.out)
	case http1.ByLength:
		ended, err = x.passLength(up, a)
	case http1.Chunked:
		ended, err = x.passChunks(up, a)
	case http1.UntilClose:
		err = x.passAll(up, a)
	}
	return ended && a.head.KeepAlive, err
}

// early reports whether an answer ends, as far as is known, before the client has sent its body:
// the connection cannot go on then, since what follows would be read as the rest of the body.
// One that may last as long as the body, an echo say, is not early.
func (x *exchange) early(a *answer) bool {
	if !x.body.unread() {
		return false
	}
	waits := false // for a word of the target, before it sends the body
	x.client.head.Values("expect", func([]byte) bool { waits = true; return false })
	return waits || a.head.Framing == http1.NoBody ||
		a.head.Framing == http1.ByLength && a.head.Length <= int64(len(a.in.rest()))
}

// passLength reports whether the target sent no more than it said.
func (x *exchange) passLength(up *upstream.Conn, a *answer) (bool, error) {
	c := x.client
	rest := a.in.rest()
	n := min(int64(len(rest)), a.head.Length)
	a.out = append(a.out, rest[:n]...)
	if err := c.write(a.out); err != nil {
		return false, err
	}
	left := a.head.Length - n
	if left == 0 {
		return int(n) == len(rest), nil
	}
	a.in.start, a.in.end = 0, 0
	if tcp := up.TCP(); tcp != nil && c.tcp == c.conn && left >= spliceFrom {
		return true, x.splice(c.tcp, up, tcp, left)
	}
	for left > 0 {
		if err := x.more(up, a); err != nil {
			return false, err
		}
		got := a.in.rest()
		if int64(len(got)) > left {
			return false, c.write(got[:left])
		}
		if err := c.write(got); err != nil {
			return false, err
		}
		left -= int64(len(got))
	}
	return true, nil
}

// spliceFrom is how much of a body must be left for the kernel to pass it on by itself.
// Each piece has the listener's idle time-out for itself, so a client must take about a
// kilobyte a second.
const spliceFrom = 64 << 10

func (x *exchange) splice(to *net.TCPConn, up *upstream.Conn, from *net.TCPConn, left int64) error {
	c := x.client
	for left > 0 {
		now := time.Now()
		if err := errors.Join(c.extendWrite(now, c.idle()), up.ExtendRead(now, c.idle())); err != nil {
			return err
		}
		piece := io.LimitedReader{R: from, N: min(left, spliceFrom)}
		n, err := io.Copy(to, &piece)
		if err != nil {
			return err
		}
		if n == 0 {
			return errCutOff
		}
		left -= n
	}
	return nil
}

// more reads more of the body.
func (x *exchange) more(up *upstream.Conn, a *answer) error {
	if len(a.in.bytes) < copyBuffer {
		a.in.bytes = make([]byte, copyBuffer) // nothing refers to the old one any more
	}
	a.in.start, a.in.end = 0, 0
	if err := up.ExtendRead(time.Now(), x.client.idle()); err != nil {
		return err
	}
	return cutOff(a.in.fill(up))
}

func (x *exchange) passChunks(up *upstream.Conn, a *answer) (bool, error) {
	c := x.client
	var chunks http1.ChunkedBody
	n, done, err := chunks.Scan(a.in.rest())
	if err != nil {
		return false, err
	}
	a.out = append(a.out, a.in.rest()[:n]...)
	if err = c.write(a.out); err != nil {
		return false, err
	}
	ended := n == len(a.in.rest())
	for !done {
		if err = x.more(up, a); err != nil {
			return false, err
		}
		got := a.in.rest()
		if n, done, err = chunks.Scan(got); err != nil {
			return false, err
		}
		if err = c.write(got[:n]); err != nil {
			return false, err
		}
		ended = n == len(got)
	}
	return ended, nil
}

func (x *exchange) passAll(up *upstream.Conn, a *answer) error {
	c := x.client
	a.out = append(a.out, a.in.rest()...)
	err := c.write(a.out)
	for err == nil {
		if err = x.more(up, a); err == nil {
			err = c.write(a.in.rest())
		}
	}
	if errors.Is(err, errCutOff) {
		return nil
	}
	return err
}
