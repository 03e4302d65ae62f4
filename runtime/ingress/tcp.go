package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"skein/runtime/ingress/proxyproto"
	"skein/runtime/ingress/route"
	"skein/runtime/ingress/upstream"
)

// serveTCP passes the connection on to a target.
func (c *client) serveTCP() { c.passOn(route.Request{Source: c.source.Addr()}) }

// serveTLS passes the connection on by the name that its first message asks for.
func (c *client) serveTLS() {
	name, err := c.serverName()
	if err != nil {
		return
	}
	c.passOn(route.Request{Host: []byte(strings.ToLower(name)), Source: c.source.Addr()})
}

func (c *client) passOn(request route.Request) {
	h := &choice{request: request, began: c.engine.config.Clock.Mono()}
	if !h.find(c) || h.group == nil {
		return
	}
	h.rule.Requests.Add(1)
	up := c.connect(h)
	if up == nil {
		return
	}
	defer h.target.Release()
	h.target.Requests.Add(1)
	h.target.Series.Observe(200, c.engine.config.Clock.Mono()-h.began)
	if rest := c.in.rest(); len(rest) > 0 {
		if _, err := up.Write(rest); err != nil {
			_ = up.Close()
			return
		}
	}
	c.in = buffer{}
	if c.conn.SetDeadline(time.Time{}) != nil {
		_ = up.Close()
		return
	}
	tunnel(side{c.conn, c.tcp}, side{up.Conn, up.TCP()}, c.idle())
}

// connect opens a connection to one target after the other, until one succeeds; nil: none did.
func (c *client) connect(h *choice) *upstream.Conn {
	for attempt := range attempts {
		if !h.take(c) {
			h.unserved(0)
			return nil
		}
		up, err := c.connectTo(h.target, h.group.Noun.ProxyProtocol)
		if err == nil {
			return up
		}
		c.engine.eject(h.target, err)
		if attempt+1 < attempts {
			h.target.Series.Retries.Add(1)
		} else {
			h.target.Series.Observe(0, 0)
		}
		h.tried.Add(h.target)
		h.target.Release()
	}
	return nil
}

func (c *client) connectTo(target *route.Target, introduce bool) (*upstream.Conn, error) {
	ctx, cancel := context.WithTimeout(c.engine.ctx, connectTimeout)
	defer cancel()
	up, err := target.Pool.Dial(ctx)
	if err != nil {
		return nil, err
	}
	up.Patience(userTimeout)
	if introduce {
		if err = c.introduce(up); err != nil {
			_ = up.Close()
			return nil, err
		}
	}
	return up, nil
}

// introduce tells the target who the client is.
func (c *client) introduce(up io.Writer) error {
	_, err := up.Write(proxyproto.Append(nil, proxyproto.Header{Source: c.source, Destination: c.local}))
	return err
}

// serverName reads the client's first message, which stays in the buffer, and returns the
// name that it asks for; empty: none.
func (c *client) serverName() (name string, err error) {
	if err = c.conn.SetReadDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return "", err
	}
	seen := false
	conn := tls.Server(&firstMessage{Conn: c.conn, in: &c.in}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name, seen = hello.ServerName, true
			return nil, errSeen
		},
	})
	if err = conn.HandshakeContext(c.engine.ctx); seen {
		return name, nil
	}
	return "", err
}

var errSeen = errors.New("the name was seen")

// firstMessage lets what is read stay in the buffer, and says nothing to the client.
type firstMessage struct {
	net.Conn
	in *buffer
	at int // of what is in the buffer
}

func (f *firstMessage) Read(into []byte) (int, error) {
	if f.at == len(f.in.rest()) {
		if err := f.in.fill(f.Conn); err != nil {
			return 0, err
		}
	}
	n := copy(into, f.in.rest()[f.at:])
	f.at += n
	return n, nil
}

func (f *firstMessage) Write(text []byte) (int, error) { return len(text), nil }

func (f *firstMessage) Close() error { return nil }
