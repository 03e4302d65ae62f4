package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"skein/agent/peer"
	"skein/raftfsm"
	"skein/raftfsm/fleet"
	rules "skein/raftfsm/voter"
	"skein/runtime/seam/vfs"
)

// voter carries out what package raftfsm/voter decides of this host's log; what runs
// beside an open log is started and stopped with it.
type voter struct {
	dir      string
	config   func(id fleet.RaftID) raftfsm.Config
	beside   func(ctx context.Context, log *raftfsm.Node) error // runs while the log is open
	role     func(role string)                                  // told of changes
	dropKeys func() error                                       // forgets the fleet key
	log      *slog.Logger
	again    time.Duration // between two tries to open a log that the disk does not give
	giveUp   func()        // ends these; nil: none

	mu      sync.Mutex // held while opening or closing
	stopped bool       // nothing is opened any more: a request may outlive the port that took it
	damaged string     // what was said last of a folder that is damaged: it is met with each word of State
	open    atomic.Pointer[openLog]
	parent  context.Context
	later   later
}

// resumeEvery is how often a log is tried that the disk did not give at the agent's start.
const resumeEvery = 10 * time.Second

// openLog is a log and what runs beside it.
type openLog struct {
	id   fleet.RaftID
	node *raftfsm.Node
	stop context.CancelFunc
	done chan error
}

func (v *voter) logDir() string { return filepath.Join(v.dir, "raft") }

// Prepare opens an empty log under id; see peer.VoterHooks.
func (v *voter) Prepare(_ context.Context, id fleet.RaftID, takeKeys func() error) error {
	return v.step(rules.Prepared{ID: id}, takeKeys)
}

// Retire closes the log of id and deletes it; see peer.VoterHooks.
func (v *voter) Retire(_ context.Context, id fleet.RaftID) error {
	return v.step(rules.Retired{ID: id}, nil)
}

// logsOut is told what a voter's stream says of this host's logs. It waits for nothing:
// closing takes a while, and frames come meanwhile.
func (v *voter) logsOut(upTo int) {
	if upTo == 0 {
		return
	}
	v.later.run(func() {
		if err := v.step(rules.LogsOut{UpTo: upTo}, nil); err != nil {
			v.log.Error("log of a retired voter not deleted", "up_to", upTo, "err", err)
		}
	})
}

// resume opens the log that an earlier life of the agent left. Whatever keeps it
// from opening, the host runs on as a worker: tasks need an agent more than the
// fleet needs this vote, and the keeper replaces a voter that is gone. What a disk
// could not do once is tried again until then.
func (v *voter) resume() {
	err := v.step(rules.Started{}, nil)
	if err == nil {
		return
	}
	if !raftfsm.MayPass(err) {
		v.log.Error("log not opened, running on as a worker", "err", err)
		return
	}
	v.log.Error("log not opened, running on as a worker until it can be: look at the disk", "err", err,
		"again_in", v.again)
	ctx, cancel := context.WithCancel(v.parent)
	v.giveUp = cancel
	v.later.run(func() { v.resumeLater(ctx) })
}

// resumeLater tries to open the log until it is open, there is none any more, or trying
// again is of no use.
func (v *voter) resumeLater(ctx context.Context) {
	again := time.NewTicker(v.again)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		switch err := v.step(rules.Started{}, nil); {
		case err == nil:
			return
		case !raftfsm.MayPass(err):
			v.log.Error("log not opened, running on as a worker", "err", err)
			return
		}
	}
}

// failed closes a log that takes nothing any more. It waits for nothing: what runs
// beside the log calls it.
func (v *voter) failed(id fleet.RaftID, why error) {
	v.log.Error("log failed, running on as a worker", "err", why)
	v.later.run(func() {
		if err := v.step(rules.Failed{ID: id}, nil); err != nil {
			v.log.Error("log that failed not closed well", "err", err)
		}
	})
}

// close hands leadership over and closes the log, if one is open. It returns when all
// that logsOut and failed have begun has ended.
func (v *voter) close() error {
	err := v.step(rules.Stopped{}, nil)
	if v.giveUp != nil {
		v.giveUp()
	}
	v.later.end()
	return err
}

// later is work that its caller does not wait for, until it ends.
type later struct {
	mu   sync.Mutex
	over bool
	all  sync.WaitGroup
}

// run begins work; none once it is over.
func (l *later) run(work func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.all.Go(work)
	}
}

func (l *later) end() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.all.Wait()
}

// step carries out what an event leads to, until something fails.
func (v *voter) step(event rules.Event, takeKeys func() error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	held, err := v.held()
	if err != nil {
		return err
	}
	held.Stopped = v.stopped
	if event == (rules.Stopped{}) {
		v.stopped = true
	}
	effects, err := rules.Step(held, event)
	if err != nil {
		return err
	}
	for _, effect := range effects {
		switch e := effect.(type) {
		case rules.Close:
			err = v.closeLog()
		case rules.TakeKeys:
			err = takeKeys()
		case rules.DropKeys:
			err = v.dropKeys()
		case rules.Open:
			err = v.openLog(e.ID)
		case rules.Delete:
			err = raftfsm.Discard(vfs.OS, v.logDir())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// held is which log this host holds. Whose a damaged folder is nobody knows: it counts
// for none, and is set aside when a log is opened.
func (v *voter) held() (rules.Held, error) {
	if open := v.id(); open != "" {
		return rules.Held{Open: open, Disk: open}, nil
	}
	disk, err := raftfsm.Identity(vfs.OS, v.logDir())
	if errors.Is(err, raftfsm.ErrLogDamaged) {
		if said := err.Error(); said != v.damaged {
			v.damaged = said
			v.log.Error("the folder of the log is damaged, it counts for none", "err", err)
		}
		return rules.Held{}, nil
	}
	v.damaged = ""
	return rules.Held{Disk: disk}, err
}

func (v *voter) openLog(id fleet.RaftID) error {
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

func (v *voter) closeLog() error {
	now := v.open.Load()
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
