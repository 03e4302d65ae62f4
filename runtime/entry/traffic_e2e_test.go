//go:build e2e

package entry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

var background = context.Background()

// The ports that each machine serves.
const (
	namePort = 80 // a byte in, the machine's name out, again and again on one connection
	slowPort = 81 // a line each 100 ms until the client goes, or slowLines are sent
)

const slowLines = 50

func (a *actor) serve() error {
	for port, handle := range map[int]func(net.Conn){
		namePort: func(c net.Conn) {
			buf := make([]byte, 1)
			for {
				if _, err := io.ReadFull(c, buf); err != nil {
					return
				}
				fmt.Fprintln(c, a.name)
			}
		},
		slowPort: func(c net.Conn) {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for i := range slowLines {
				<-tick.C
				if _, err := fmt.Fprintln(c, a.name, i); err != nil {
					return
				}
			}
		},
	} {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { defer c.Close(); handle(c) }()
			}
		}()
	}
	return nil
}

// load says what a client does: it connects to the address each 10 ms.
type load struct {
	Addr     netip.Addr
	Duration time.Duration
	Timeout  time.Duration
}

// seen is what came of it.
type seen struct {
	Total, Lost int
	Slow        int            // answered after more than 100 ms
	By          map[string]int // answers of each machine
	Errors      map[string]int
	Gap         time.Duration // the longest time without an answer that came
	FirstLost   time.Duration // when the first of the lost began, since the start
	LastLost    time.Duration
	Worst       time.Duration // the longest time until an answer
}

func (a *actor) asClient(word string, args []byte) string {
	switch word {
	case "load":
		var l load
		if err := json.Unmarshal(args, &l); err != nil {
			return err.Error()
		}
		return asJSON(l.run())
	case "keep": // open connections that are asked on until "kept"
		var addr netip.Addr
		if err := json.Unmarshal(args, &addr); err != nil {
			return err.Error()
		}
		kept = keepOpen(addr)
		return "ok"
	case "kept":
		return asJSON(kept())
	}
	return "unknown word " + word
}

func (l load) run() seen {
	out := seen{By: map[string]int{}, Errors: map[string]int{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	start := time.Now()
	lastAnswer := start
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < l.Duration {
		all.Go(func() {
			began := time.Now()
			name, err := askOnce(l.Addr, l.Timeout)
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			out.Total++
			if err != nil {
				if out.Lost++; out.Lost == 1 {
					out.FirstLost = began.Sub(start)
				}
				out.LastLost = max(out.LastLost, began.Sub(start))
				out.Errors[reason(err)]++
				return
			}
			out.By[name]++
			if now.Sub(began) > 100*time.Millisecond {
				out.Slow++
			}
			out.Worst = max(out.Worst, now.Sub(began))
			out.Gap = max(out.Gap, now.Sub(lastAnswer))
			lastAnswer = now
		})
		<-tick.C
	}
	all.Wait()
	return out
}

func reason(err error) string {
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return "timeout"
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

func askOnce(addr netip.Addr, timeout time.Duration) (string, error) {
	c, err := net.DialTimeout("tcp", netip.AddrPortFrom(addr, namePort).String(), timeout)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(timeout))
	return askOn(c)
}

func askOn(c net.Conn) (string, error) {
	if _, err := c.Write([]byte{'?'}); err != nil {
		return "", err
	}
	var name string
	_, err := fmt.Fscanln(c, &name)
	return name, err
}

// kept is set by "keep".
var kept func() connections

// connections is what came of connections that were kept open.
type connections struct {
	Asked   int // on the connection that is asked on each 20 ms
	By      []string
	AskErr  string
	Slowest time.Duration
	Idle    string // who answered on the connection that said nothing meanwhile, or the error
	End     string // what came of its end, which the other side answers with its own
	Lines   int    // of the slow download
	LineErr string
}

// keepOpen opens one connection that is asked on all the time, one that idles, and one
// that downloads slowly.
func keepOpen(addr netip.Addr) func() connections {
	var out connections
	dial := func(port uint16) net.Conn {
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(addr, port).String(), 3*time.Second)
		if err != nil {
			out.AskErr = err.Error()
			return nil
		}
		return c
	}
	busy, idle, slow := dial(namePort), dial(namePort), dial(slowPort)
	if busy == nil || idle == nil || slow == nil {
		return func() connections { return out }
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			began := time.Now()
			_ = busy.SetDeadline(began.Add(5 * time.Second))
			name, err := askOn(busy)
			if err != nil {
				out.AskErr = err.Error()
				return
			}
			out.Asked++
			out.Slowest = max(out.Slowest, time.Since(began))
			if !slices.Contains(out.By, name) {
				out.By = append(out.By, name)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	all.Go(func() {
		var name string
		var n int
		for {
			_ = slow.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := fmt.Fscanln(slow, &name, &n); err != nil {
				if !errors.Is(err, io.EOF) {
					out.LineErr = err.Error()
				}
				return
			}
			out.Lines++
		}
	})
	return func() connections {
		close(stop)
		all.Wait()
		_ = idle.SetDeadline(time.Now().Add(5 * time.Second))
		name, err := askOn(idle)
		out.Idle = name
		if err != nil {
			out.Idle = err.Error()
		}
		out.End = endOf(idle)
		return out
	}
}

// endOf says that nothing more will come, and what is read then: EOF where the other side
// has heard it.
func endOf(c net.Conn) string {
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err.Error()
	}
	_, err := c.Read(make([]byte, 1))
	return fmt.Sprint(err)
}
