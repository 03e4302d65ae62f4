package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"skein/agent/peer"
	"skein/raftfsm"
	"skein/raftfsm/fleet"
	"skein/runtime/vfs"
)

// voter is this host's log while it has one. It opens and closes at the
// fleet's word (peer.VoterHooks); what runs beside an open log is started and
// stopped with it.
type voter struct {
	dir    string
	config func(id fleet.RaftID) raftfsm.Config
	beside func(ctx context.Context, log *raftfsm.Node) error // runs while the log is open
	role   func(role string)                                  // told of changes
	log    *slog.Logger

	mu     sync.Mutex // held while opening or closing
	open   atomic.Pointer[openLog]
	parent context.Context
}

// openLog is a log and what runs beside it.
type openLog struct {
	id   fleet.RaftID
	node *raftfsm.Node
	stop context.CancelFunc
	done chan error
}

func (v *voter) logDir() string { return filepath.Join(v.dir, "raft") }

// Prepare opens an empty log under id; again with the same id is no error.
func (v *voter) Prepare(_ context.Context, id fleet.RaftID) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.open.Load(); now != nil {
		if now.id == id {
			return nil
		}
		if err := v.closeLocked(); err != nil {
			return err
		}
	}
	return v.openLocked(id)
}

// Retire closes the log of id and deletes it. Another id's log is left alone.
func (v *voter) Retire(_ context.Context, id fleet.RaftID) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.open.Load()
	if now != nil && now.id != id {
		return nil
	}
	if now == nil {
		if held, err := raftfsm.Identity(vfs.OS, v.logDir()); err != nil || held != id {
			return err
		}
	} else if err := v.closeLocked(); err != nil {
		return err
	}
	return raftfsm.Discard(vfs.OS, v.logDir())
}

// retireOut deletes the open log if the fleet has taken its id out for ever, as
// happens to a voter that was away while it was replaced.
func (v *voter) retireOut(upTo int) {
	id := v.id()
	if id == "" || id.Number() > upTo {
		return
	}
	go func() { // closing takes a while, and frames come meanwhile
		if err := v.Retire(context.Background(), id); err != nil {
			v.log.Error("log of a retired voter not deleted", "raft_id", id, "err", err)
		}
	}()
}

// resume opens the log that an earlier life of the agent left. Whatever keeps it
// from opening, the host runs on as a worker: tasks need an agent more than the
// fleet needs this vote, and the keeper replaces a voter that is gone.
func (v *voter) resume() {
	v.mu.Lock()
	defer v.mu.Unlock()
	id, err := raftfsm.Identity(vfs.OS, v.logDir())
	if err == nil && id != "" {
		err = v.openLocked(id)
	}
	if err != nil {
		v.log.Error("log not opened, running on as a worker", "raft_id", id, "err", err)
	}
}

func (v *voter) openLocked(id fleet.RaftID) error {
	node, err := raftfsm.Open(v.config(id))
	if err != nil {
		return fmt.Errorf("open log %s: %w", id, err)
	}
	ctx, cancel := context.WithCancel(v.parent)
	opened := &openLog{id: id, node: node, stop: cancel, done: make(chan error, 1)}
	v.open.Store(opened)
	go func() { opened.done <- v.beside(ctx, node) }()
	v.role("voter")
	v.log.Info("log opened", "raft_id", id)
	return nil
}

// close hands leadership over and closes the log, if one is open.
func (v *voter) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.closeLocked()
}

func (v *voter) closeLocked() error {
	now := v.open.Load()
	if now == nil {
		return nil
	}
	now.stop()
	err := <-now.done
	v.open.Store(nil)
	v.role("worker")
	return errors.Join(err, now.node.Close())
}

// node returns the open log, or nil.
func (v *voter) node() *raftfsm.Node {
	if now := v.open.Load(); now != nil {
		return now.node
	}
	return nil
}

// id is the RaftID of the open log, empty for none.
func (v *voter) id() fleet.RaftID {
	if now := v.open.Load(); now != nil {
		return now.id
	}
	return ""
}

// peerLog is the log as the peer port asks for it; nil while there is none.
func (v *voter) peerLog() peer.Log {
	if node := v.node(); node != nil {
		return node
	}
	return nil
}

// toPeer gives the log's errors the names the peer port sends to others.
func toPeer(err error) error {
	for _, pair := range []struct{ from, to error }{
		{raftfsm.ErrUnknown, peer.ErrUnknown}, // first: whatever else the error says
		{raftfsm.ErrNotLeader, peer.ErrNotLeader},
		{raftfsm.ErrClosed, peer.ErrNotLeader},
		{raftfsm.ErrStalled, peer.ErrStalled},
		{raftfsm.ErrBusy, peer.ErrBusy},
		{raftfsm.ErrTooLarge, peer.ErrTooLarge},
		{fleet.ErrFormatAhead, fleet.ErrFormatAhead},
		{raftfsm.ErrUnencodable, fleet.ErrInvalid},
	} {
		if errors.Is(err, pair.from) {
			return fmt.Errorf("%w: %w", pair.to, err)
		}
	}
	return err
}
