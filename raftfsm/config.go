package raftfsm

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

// Config is what a node needs. Dir, ID, Dial and Accept must be set.
type Config struct {
	// Dir is the node's own folder (see Identity). Its parent exists.
	Dir string
	// ID names the node in the Raft configuration, and its log for ever.
	ID fleet.RaftID
	// Dial connects to the raft port of a host, authenticated both ways. It obeys
	// its context.
	Dial func(ctx context.Context, host fleet.HostID) (net.Conn, error)
	// Accept yields authenticated connections of hosts that Admits allows. Close
	// closes it, and so does an Open that fails.
	Accept net.Listener

	Log   *slog.Logger // nil: silent
	Clock clock.Clock  // nil: the machine's
	FS    vfs.FS       // nil: the machine's

	Timing Timing
	// SnapshotEvery is after how many entries a snapshot is taken; 0: 8192.
	SnapshotEvery uint64
	// SnapshotBytes is after how many bytes of entries; 0: 64 MiB.
	SnapshotBytes int64
	// TrailingLogs is how many entries stay behind a snapshot, so that a follower
	// that was away needs no snapshot; 0: 10240, and never more than 128 MiB of them.
	TrailingLogs uint64
	// BallastBytes is the size of the ballast file; 0: 16 MiB; negative: none.
	BallastBytes int64

	gate         fleet.Gate            // tests: kinds that came later
	segmentBytes int64                 // tests: small files
	inject       func(op string) error // tests: the store's seam
}

// Timing are a node's timers; zero fields take their default.
type Timing struct {
	Heartbeat time.Duration // 500 ms; a follower that hears nothing for one to two times this asks for votes
	Election  time.Duration // 500 ms; a candidate that has not won by then asks again
	Lease     time.Duration // 250 ms; a leader that reaches no quorum for this long steps down
	// 500 ms; a follower to which the message about the last commit was lost learns of it
	// after one to two times this.
	Commit  time.Duration
	Stall   time.Duration // 2 s; a write that is pending for this long cuts the node off
	Probe   time.Duration // 3 s; the disk of a log that is not written to for this long is probed
	Propose time.Duration // 5 s; then the outcome of a proposal is unknown
	Dial    time.Duration // 1 s
	// 5 s: for one exchange of up to MaxEntryBytes x 64, by the library x size / 256 KiB for snapshots
	RPC      time.Duration
	Snapshot time.Duration // 30 s to 60 s, at random: how often the need of a snapshot is looked at
}

func (t Timing) withDefaults() Timing {
	return Timing{
		Heartbeat: cmp.Or(t.Heartbeat, 500*time.Millisecond),
		Election:  cmp.Or(t.Election, 500*time.Millisecond),
		Lease:     cmp.Or(t.Lease, 250*time.Millisecond),
		Commit:    cmp.Or(t.Commit, 500*time.Millisecond),
		Stall:     cmp.Or(t.Stall, 2*time.Second),
		Probe:     cmp.Or(t.Probe, 3*time.Second),
		Propose:   cmp.Or(t.Propose, 5*time.Second),
		Dial:      cmp.Or(t.Dial, time.Second),
		RPC:       cmp.Or(t.RPC, 5*time.Second),
		Snapshot:  cmp.Or(t.Snapshot, 30*time.Second),
	}
}

// Scaled returns the timers of Raft itself stretched by a factor, for hosts that
// are not protected from their tasks' load and for long simulations.
func (t Timing) Scaled(by float64) Timing {
	t = t.withDefaults()
	for _, d := range []*time.Duration{&t.Heartbeat, &t.Election, &t.Lease} {
		*d = time.Duration(float64(*d) * by)
	}
	return t
}

const (
	defaultSnapshotEvery = 8192
	defaultSnapshotBytes = 64 << 20
	defaultTrailing      = 10240
	// trailingBytes bounds what stays behind a snapshot where entries are large,
	// and with it the log: an opening reads all of it.
	trailingBytes = 128 << 20
	// minTrailing keeps followers that are only a few entries behind from needing
	// a snapshot even where entries are of the largest size.
	minTrailing = 256
	// maxAppend is the entries in one message: 64 of the largest are 32 MiB.
	maxAppend = 64
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Dir == "":
		return c, errors.New("open raft: no folder")
	case c.ID.Number() < 1 || c.ID.Host() == "":
		return c, errors.New("open raft: want a raft id like h-0123456789abcdef.1, got \"" + string(c.ID) + "\"")
	case c.Dial == nil || c.Accept == nil:
		return c, errors.New("open raft: no connections")
	}
	c.Timing = c.Timing.withDefaults()
	c.SnapshotEvery = cmp.Or(c.SnapshotEvery, defaultSnapshotEvery)
	c.SnapshotBytes = cmp.Or(c.SnapshotBytes, defaultSnapshotBytes)
	c.TrailingLogs = cmp.Or(c.TrailingLogs, defaultTrailing)
	c.BallastBytes = max(0, cmp.Or(c.BallastBytes, defaultBallast))
	c.segmentBytes = cmp.Or(c.segmentBytes, defaultSegment)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	if c.FS == nil {
		c.FS = vfs.OS
	}
	return c, nil
}
