package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/failpoint"
)

// machine is the replicated state machine: it implements raft.BatchingFSM.
//
// One goroutine of the library applies, restores and takes snapshots. Readers
// see published clones. Entries up to the State's index are skipped, because
// Open has applied what was committed before the library learns that it was.
//
// After an entry that cannot be applied the machine is frozen: the State of
// that voter would differ from the others' from there on.
type machine struct {
	onFail func(error)
	notify subscribers

	live      *fleet.State // the apply goroutine's
	frozen    error        // the apply goroutine's
	published atomic.Pointer[fleet.State]
	applied   atomic.Uint64 // highest index of a command or configuration seen
	since     atomic.Int64  // bytes applied since the last snapshot
	progress  progress
}

func newMachine(onFail func(error)) *machine {
	m := &machine{onFail: onFail, live: fleet.New()}
	m.publish()
	return m
}

func (m *machine) saw(index uint64) { m.applied.Store(max(index, m.applied.Load())) }

func (m *machine) publish() { m.published.Store(m.live.Clone()) }

// reach tells those who wait for an index that State holds it.
func (m *machine) reach() { m.progress.reach(m.applied.Load()) }

// Apply implements raft.FSM.
func (m *machine) Apply(log *raft.Log) any { return m.ApplyBatch([]*raft.Log{log})[0] }

// ApplyBatch implements raft.BatchingFSM. A command's answer is its
// fleet.Outcome or an error.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	changes := make([]change, 0, len(logs))
	for i, log := range logs {
		out, err := m.apply(log)
		switch {
		case err != nil:
			answers[i] = err
		case out != nil:
			answers[i] = *out
			changes = append(changes, change{log.Index, out.ChangeSet})
		}
	}
	if len(changes) > 0 {
		m.publish()
	}
	m.reach()
	m.notify.tell(changes)
	return answers
}

// apply applies one entry; nil for one that holds no command or was applied.
func (m *machine) apply(log *raft.Log) (*fleet.Outcome, error) {
	if m.frozen != nil {
		return nil, m.frozen
	}
	if log.Type == raft.LogCommand && log.Index > m.live.Index() {
		if err := failpoint.Hit("raftfsm/before-apply"); err != nil {
			return nil, m.freeze(log, err)
		}
		out, err := applyEntry(m.live, log)
		if err != nil {
			return nil, m.freeze(log, err)
		}
		m.since.Add(int64(len(log.Data)))
		m.saw(log.Index)
		return out, nil
	}
	m.saw(log.Index)
	return nil, nil
}

// applyEntry decodes and applies. A panic of apply is a bug that every voter
// would meet at this entry, again after each restart: it is an error here, so
// that hosts go on running what they run.
func applyEntry(state *fleet.State, log *raft.Log) (out *fleet.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("apply panicked: %v\n%s", p, debug.Stack())
		}
	}()
	entry, err := wire.DecodeEntry(log.Data)
	if errors.Is(err, wire.ErrFormat) {
		err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if err != nil {
		return nil, err
	}
	if format := state.Outgrown(log.Index, entry, fleet.FormatVersion); format > 0 {
		return nil, fmt.Errorf("%w: it raises the fleet to format %d, this build reads %d", ErrUnreadable, format,
			fleet.FormatVersion)
	}
	outcome := state.Apply(log.Index, entry)
	return &outcome, nil
}

func (m *machine) freeze(log *raft.Log, err error) error {
	m.frozen = fmt.Errorf("apply entry %d of term %d: %w", log.Index, log.Term, err)
	m.onFail(m.frozen)
	return m.frozen
}

// Snapshot implements raft.FSM in O(1): the State is written by Persist, from a
// clone, while entries are applied.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if m.frozen != nil {
		return nil, m.frozen
	}
	return &stateSnapshot{state: m.live.Clone(), taken: func(bytes int64) { m.since.Add(-bytes) }, since: m.since.Load()},
		nil
}

type stateSnapshot struct {
	state *fleet.State
	taken func(bytes int64)
	since int64
}

// Persist implements raft.FSMSnapshot.
func (s *stateSnapshot) Persist(sink raft.SnapshotSink) error {
	if err := wire.WriteState(sink, s.state); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	s.taken(s.since)
	return nil
}

// Release implements raft.FSMSnapshot.
func (s *stateSnapshot) Release() {}

// Restore implements raft.FSM: a snapshot from the leader. One that is older
// than what was applied changes nothing, since both are the same history.
func (m *machine) Restore(r io.ReadCloser) error {
	state, err := readState(r)
	if err != nil {
		m.frozen = fmt.Errorf("restore a snapshot: %w", err)
		m.onFail(m.frozen)
		return m.frozen
	}
	if state.Index() <= m.live.Index() {
		return nil
	}
	m.live = state
	m.saw(state.Index())
	m.since.Store(0)
	m.publish()
	m.reach()
	m.notify.tell([]change{{state.Index(), fleet.FullChangeSet(state)}})
	return nil
}

func readState(r io.Reader) (*fleet.State, error) {
	state, err := wire.ReadState(r)
	if errors.Is(err, wire.ErrFormat) {
		err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return state, err
}

// change is what an entry changed.
type change struct {
	index     uint64
	changeSet fleet.ChangeSet
}

// subscribers are told of changes, in order, after they are published.
type subscribers struct {
	mu   sync.Mutex
	next int
	// calls is replaced, never changed, so that tell needs no lock while calling.
	calls map[int]func(index uint64, t fleet.ChangeSet)
}

func (s *subscribers) add(call func(uint64, fleet.ChangeSet)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.next
	s.next++
	s.replace(func(calls map[int]func(uint64, fleet.ChangeSet)) { calls[id] = call })
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.replace(func(calls map[int]func(uint64, fleet.ChangeSet)) { delete(calls, id) })
	}
}

func (s *subscribers) replace(edit func(map[int]func(uint64, fleet.ChangeSet))) {
	calls := make(map[int]func(uint64, fleet.ChangeSet), len(s.calls)+1)
	for id, call := range s.calls {
		calls[id] = call
	}
	edit(calls)
	s.calls = calls
}

func (s *subscribers) tell(changes []change) {
	s.mu.Lock()
	calls := s.calls
	s.mu.Unlock()
	for _, c := range changes {
		for _, call := range calls {
			call(c.index, c.changeSet)
		}
	}
}
