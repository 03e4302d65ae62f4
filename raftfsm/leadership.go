package raftfsm

import "sync"

// leadershipBuffer lets the library go on while the forwarder is scheduled.
const leadershipBuffer = 8

// leadership hands changes of leadership to whoever asked.
type leadership struct {
	changes chan bool // from the library, which waits until they are taken

	mu    sync.Mutex
	heads []chan bool
}

// Leadership yields true when this node becomes leader and false when it stops
// being it. Each call makes a channel of its own, for one reader and for the
// node's life; it is closed when the node closes. A slow reader misses what was
// undone meanwhile, but always gets the last: a true after a true is a new term.
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
	for {
		select {
		case leads := <-n.leading.changes:
			n.leading.tell(leads)
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
