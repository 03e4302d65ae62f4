package ingress

import (
	"bytes"
	"errors"
	"net/http"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/http1"
	"skein/runtime/ingress/route"
)

// preface is what a client sends first that knows that HTTP/2 is spoken here. RFC 9113, 3.4.
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// serveHTTP answers requests until the connection ends. HTTP/1.1 to targets that speak it
// is relayed here; all else is given to the standard library.
func (c *client) serveHTTP(proto string) {
	c.saysOf(proto)
	if c.tcp == c.conn {
		first, err := c.isHTTP2()
		if err != nil {
			return
		}
		if first {
			c.engine.standard.serve(c, c.withPending())
			return
		}
	}
	for {
		n, err := c.readHead()
		if err != nil {
			c.refuse(err)
			return
		}
		if !c.asked.Load() {
			c.asked.Store(true)
		}
		x := &c.exchange
		*x = exchange{client: c, length: n, choice: choice{
			request: c.request(), cookies: &c.head, began: c.engine.config.Clock.Mono(),
		}}
		switch x.run() {
		case goOn:
			c.in.start += x.length
		case handOver:
			c.engine.standard.serve(c, c.withPending())
			return
		case endWell:
			c.linger()
			return
		case endNow:
			return
		}
	}
}

// isHTTP2 waits for the first bytes, and reports whether they are HTTP/2's.
func (c *client) isHTTP2() (bool, error) {
	if err := c.extendRead(time.Now(), c.engine.config.Limits.Head); err != nil {
		return false, err
	}
	if len(c.in.rest()) == 0 {
		c.idleSince.Store(int64(max(c.engine.config.Clock.Mono(), 1)))
		defer c.idleSince.Store(0)
	}
	for {
		got := c.in.rest()
		n := min(len(got), len(preface))
		switch {
		case !bytes.Equal(got[:n], preface[:n]):
			return false, nil
		case n == len(preface):
			return true, nil
		}
		if err := c.in.fill(c.conn); err != nil {
			return false, err
		}
	}
}

// errGone says that the client has closed its connection between two requests, or has
// said nothing for too long.
var errGone = errors.New("client has gone")

// readHead reads the head of the next request, and returns how long it is.
func (c *client) readHead() (int, error) {
	late := false
	for {
		if len(c.in.rest()) > 0 {
			n, err := c.head.ParseRequest(c.in.rest())
			if n > 0 || err != nil {
				return n, err
			}
			if !late {
				// From its first byte on, a head has its own deadline, which no further byte moves.
				late = true
				c.readUntil = time.Time{}
				if err = c.extendRead(time.Now(), c.engine.config.Limits.Head); err != nil {
					return 0, errGone
				}
			}
		}
		err := c.readMore()
		switch {
		case err == nil:
		case errors.Is(err, errFull):
			return 0, http1.ErrTooLarge
		case late && isTimeout(err):
			return 0, errLate
		default:
			return 0, errGone
		}
	}
}

// errLate says that a head was begun and not ended in time.
var errLate = errors.New("the request took too long")

// readMore reads the next bytes of a head, for the first of which it waits as long as a
// connection may be idle.
func (c *client) readMore() error {
	if len(c.in.rest()) > 0 {
		return c.in.fill(c.conn)
	}
	c.idleSince.Store(int64(max(c.engine.config.Clock.Mono(), 1)))
	defer c.idleSince.Store(0)
	if err := c.extendRead(time.Now(), c.idle()); err != nil {
		return err
	}
	if c.raw == nil {
		return c.in.fill(c.conn)
	}
	return c.readFirst()
}

// refuse answers a head that was not understood. What follows it cannot be told from a
// request, so the connection ends.
func (c *client) refuse(err error) {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, errGone):
		return
	case errors.Is(err, errLate):
		status = http.StatusRequestTimeout
	case errors.Is(err, http1.ErrTooLarge):
		status = http.StatusRequestHeaderFieldsTooLarge
	case errors.Is(err, http1.ErrVersion):
		status = http.StatusHTTPVersionNotSupported
	case errors.Is(err, http1.ErrCoding):
		status = http.StatusNotImplemented
	}
	c.out = appendAnswer(c.out[:0], status, "text/plain", err.Error()+"\n", true, false)
	if c.write(c.out) == nil {
		c.linger()
	}
}

// end is how an exchange ended.
type end uint8

const (
	goOn     end = iota // another request may follow
	endWell             // the answer says that the connection ends
	endNow              // the connection cannot be used any more
	handOver            // the standard library is to read the request again
)

// request is what rules are asked about.
func (c *client) request() route.Request {
	return route.Request{
		Host: hostOf(c.head.Host), Path: c.head.Path, Query: c.head.Query, Method: c.head.Method,
		Source: c.source.Addr(), Fields: &c.head,
	}
}

// hostOf takes the port off.
func hostOf(host []byte) []byte {
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 && bytes.IndexByte(host[colon:], ']') < 0 {
		return host[:colon]
	}
	return host
}

// isRelayed reports whether the group's targets are spoken with here.
func isRelayed(protocol fleet.GroupProtocol) bool {
	return protocol == fleet.GroupHTTP1 || protocol == fleet.GroupTCP
}
