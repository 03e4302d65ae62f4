package raftfsm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// leadershipBuffer lets the library go on while the forwarder is scheduled.
const leadershipBuffer = 8

// confirmEvery is the pause between two tries to have leadership confirmed.
const confirmEvery = 100 * time.Millisecond

// leadership hands changes of leadership to whoever asked.
type leadership struct {
	changes chan bool // from the library, which waits until they are taken

	// doubted: the log stalled or failed, so that others may have elected another
	// leader while the library here, which hangs in the write, still believes that
	// it leads. It ends when a quorum confirms this node, or it steps down.
	doubted atomic.Bool

	// lastLed is when this node stopped leading, or was opened; the forwarder's own.
	lastLed    time.Time
	leaderless atomic.Int64 // nanoseconds: see Leaderless

	mu     sync.Mutex
	heads  []chan bool
	shaken chan struct{} // closed when a doubt begins; nil until asked for
}

// inDoubt returns a channel that is closed when the next doubt begins. From then on the
// outcome of what is under way is unknown.
func (l *leadership) inDoubt() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shaken == nil {
		l.shaken = make(chan struct{})
	}
	return l.shaken
}

// shake tells those who wait for inDoubt.
func (l *leadership) shake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shaken != nil {
		close(l.shaken)
		l.shaken = nil
	}
}

// Leadership yields true when this node becomes leader and false when it stops
// being it. Each call makes a channel of its own, for one reader and for the
// node's life; it is closed when the node closes. A slow reader misses what was
// undone meanwhile, but always gets the newest: a true after a true is a new term.
func (n *Node) Leadership() <-chan bool {
	c := make(chan bool, 1)
	n.leading.mu.Lock()
	defer n.leading.mu.Unlock()
	if n.leading.heads == nil {
		close(c)
		return c
	}
	n.leading.heads = append(n.leading.heads, c)
	return c
}

func (l *leadership) open() { l.heads = []chan bool{} }

// tell replaces what a reader has not taken yet.
func (l *leadership) tell(leads bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.heads {
		select {
		case <-c:
		default:
		}
		c <- leads
	}
}

func (l *leadership) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.heads {
		close(c)
	}
	l.heads = nil
}

// followLeadership runs until the node stops.
func (n *Node) followLeadership() {
	defer n.leading.close()
	n.leading.lastLed = time.Now()
	for {
		select {
		case leads := <-n.leading.changes:
			if !n.cutOff() {
				n.leading.doubted.Store(false) // elected anew, or not leading at all
			}
			n.noteTurn(leads)
			n.leading.tell(leads && n.IsLeader())
			if leads {
				n.cfg.Log.Info("leadership gained", "term", n.Term())
				n.loops.Go(n.checkSnapshot)
			} else {
				n.cfg.Log.Info("leadership lost", "term", n.Term())
			}
		case <-n.stop:
			return
		}
	}
}

// noteTurn measures how long this node was without a leader, before anybody hears
// that it leads.
func (n *Node) noteTurn(leads bool) {
	if !leads {
		n.leading.lastLed = time.Now()
		return
	}
	heard := n.raft.LastContact()
	if n.leading.lastLed.After(heard) {
		heard = n.leading.lastLed
	}
	n.leading.leaderless.Store(int64(time.Since(heard)))
}

// Leaderless is how long this node had heard no leader when it last became one:
// since it heard one, led itself, or was opened.
func (n *Node) Leaderless() time.Duration { return time.Duration(n.leading.leaderless.Load()) }

// doubt takes leadership away from a node whose log stalls or has failed. It
// waits for nothing.
func (n *Node) doubt() {
	n.leading.doubted.Store(true)
	n.leading.shake()
	n.leading.tell(false)
}

// confirm ends the doubt once the log answers again: the node leads if a quorum
// says so. Without an answer it goes on until the library steps down.
func (n *Node) confirm() {
	for n.leading.doubted.Load() && !n.cutOff() {
		if n.raft.State() != raft.Leader {
			n.leading.doubted.Store(false)
			return
		}
		if n.Verify(context.Background()) == nil && !n.cutOff() {
			n.leading.doubted.Store(false)
			n.leading.tell(n.IsLeader())
			return
		}
		select {
		case <-time.After(confirmEvery):
		case <-n.stop:
			return
		}
	}
}

// checkSnapshot reads the newest snapshot back when leadership begins: a leader
// that cannot would leave a lagging follower behind for ever.
func (n *Node) checkSnapshot() {
	list, err := n.snapshots.List()
	if err == nil && len(list) > 0 {
		err = n.snapshots.verify(list[0].ID)
	}
	if err == nil {
		return
	}
	n.cfg.Log.Error("snapshot cannot be read back", "err", err)
	if err := n.raft.Snapshot().Error(); err == nil {
		return
	}
	if err := n.Transfer(); err != nil {
		n.cfg.Log.Warn("leadership was not handed over", "err", err)
	}
}
