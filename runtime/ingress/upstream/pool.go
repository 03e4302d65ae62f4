// Package upstream keeps connections to one target open for the next request.
//
// The connection that was used last is used first, so that the others can grow old and
// be closed. It owns no choice of targets and speaks no protocol.
package upstream

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// MaxIdle is how many connections to a target lie idle at most.
	MaxIdle = 256
	// IdleFor is how long one may: less than what servers of most languages keep them.
	// Source: Node.js keeps 5 s, the shortest of those in wide use.
	IdleFor = 4 * time.Second
)

// DialFunc opens a connection.
type DialFunc func(ctx context.Context, address string) (net.Conn, error)

// Pool is the connections to one target. All methods may be called from any goroutine.
type Pool struct {
	address string
	dial    DialFunc

	mu     sync.Mutex
	idle   []*Conn // the one that was put back last is last
	closed bool
}

// NewPool makes a pool without a connection.
func NewPool(address string, dial DialFunc) *Pool { return &Pool{address: address, dial: dial} }

// Address is where the target is.
func (p *Pool) Address() string { return p.address }

// Get returns a connection that lies idle; nil: there is none. One that the target has
// closed, or on which it has sent what nobody asked for, is never returned: the next client
// would take that for its answer. The look costs a system call.
func (p *Pool) Get(now time.Duration) *Conn {
	for {
		c := p.take()
		switch {
		case c == nil:
			return nil
		case now-c.idleSince < IdleFor && !c.gone():
			c.Reused = true
			return c
		default:
			_ = c.Close()
		}
	}
}

func (p *Pool) take() *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// Put takes a connection back on which the last answer has ended.
func (p *Pool) Put(c *Conn, now time.Duration) {
	c.idleSince = now
	p.mu.Lock()
	keep := !p.closed && len(p.idle) < MaxIdle
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		_ = c.Close()
	}
}

// Dial opens a new connection.
func (p *Pool) Dial(ctx context.Context) (*Conn, error) {
	conn, err := p.dial(ctx, p.address)
	if err != nil {
		return nil, fmt.Errorf("connect to target %s: %w", p.address, err)
	}
	return newConn(conn), nil
}

// Close closes what lies idle; what is put back later is closed then.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	closeAll(idle)
}

// Open makes a closed pool keep connections again.
func (p *Pool) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
}

// Trim closes what has lain idle for too long, and returns how many are left.
func (p *Pool) Trim(now time.Duration) int {
	p.mu.Lock()
	old := 0
	for old < len(p.idle) && now-p.idle[old].idleSince >= IdleFor {
		old++
	}
	closing := append([]*Conn(nil), p.idle[:old]...)
	p.idle = append(p.idle[:0], p.idle[old:]...)
	left := len(p.idle)
	p.mu.Unlock()
	closeAll(closing)
	return left
}

func closeAll(conns []*Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
