package simlog

import (
	"cmp"
	"time"

	"skein/raftfsm/fleet"
)

// Disk is what a voter's log is on its host's disk. It outlives agents and
// power, but for what was not synced.
type Disk struct {
	id    fleet.RaftID
	wiped bool

	term uint64
	vote fleet.RaftID
	log  entries
	hint uint64 // known to be committed when the last entry was written
	snap *snapshot
	// known is the State at hint in a shared log, so that a restart need not apply
	// what others have applied.
	known *fleet.State

	stalled, full bool
	takes         time.Duration // a sync; 0: as Config says

	node    *Node // that has it open
	queue   []*write
	syncing []*write // by the sync under way
	began   time.Duration
	hung    bool     // that sync would be done, but for the stall
	lost    []*write // by an agent that ended: safe unless the power goes
}

// write is one write: a part of what is kept, and what follows once it is safe.
type write struct {
	hard bool // term and vote
	term uint64
	vote fleet.RaftID

	from    uint64 // entries replace all from here on; 0: none
	entries []*entry
	hint    uint64
	known   *fleet.State

	snap  *snapshot
	reset bool // the log begins behind the snapshot
	trim  uint64

	done func()
}

// NewDisk makes the empty log of an id, which must be new.
func NewDisk(id fleet.RaftID) *Disk { return &Disk{id: id} }

// ID is whose log it is.
func (d *Disk) ID() fleet.RaftID { return d.id }

// Wipe empties the log; its id is still known. Nobody may have it open.
func (d *Disk) Wipe() { *d = Disk{id: d.id, wiped: true, stalled: d.stalled, full: d.full} }

// Clone copies what is safe on the disk.
func (d *Disk) Clone() *Disk {
	return &Disk{id: d.id, wiped: d.wiped, term: d.term, vote: d.vote, log: d.log.clone(), hint: d.hint, snap: d.snap,
		known: d.known}
}

// Stall has syncs not return until it is called again with false.
func (d *Disk) Stall(on bool) {
	was := d.stalled
	d.stalled = on
	switch {
	case d.node == nil:
	case on && !was:
		d.node.after(d.node.log.cfg.Probe, d.probe)
	case !on && d.hung:
		d.hung = false
		d.await()
	}
}

// probe writes nothing to a disk that stalls, so that an idle node meets the stall
// too. On a disk that answers it would change nothing, and is not made.
func (d *Disk) probe() {
	if d.stalled && d.syncing == nil {
		d.put(&write{})
	}
}

// Slow has each sync take so long.
func (d *Disk) Slow(takes time.Duration) { d.takes = takes }

// Full has the disk take no more entries. A node that leads hands over.
func (d *Disk) Full(on bool) {
	was := d.full
	d.full = on
	if d.node == nil || was == on {
		return
	}
	d.node.handOver()
	d.node.log.stir()
}

// put queues a write. One sync takes all that is queued when it begins.
func (d *Disk) put(w *write) {
	d.queue = append(d.queue, w)
	if d.syncing == nil {
		d.sync()
	}
}

func (d *Disk) sync() {
	d.syncing, d.queue = d.queue, nil
	d.began = d.node.log.time.Now()
	d.await()
}

func (d *Disk) await() {
	n := d.node
	takes := cmp.Or(d.takes, n.log.chance.Between(n.log.cfg.FsyncMin, n.log.cfg.FsyncMax))
	n.after(n.log.net.Takes(n.host, takes), d.synced)
}

// synced is when the sync under way returns, or begins to hang.
func (d *Disk) synced() {
	n := d.node
	if d.stalled {
		d.hung = true
		n.after(d.began+n.log.cfg.Stall-n.log.time.Now(), d.watch)
		return
	}
	done := d.syncing
	d.syncing = nil
	for _, w := range done {
		d.keep(w)
	}
	if len(d.queue) > 0 {
		d.sync()
	}
	n.connect(true)
	for _, w := range done {
		if w.done != nil && !n.closed {
			w.done()
		}
	}
}

// watch is the watchdog: a write that hangs cuts the node off.
func (d *Disk) watch() {
	if d.hung && d.node.log.time.Now()-d.began >= d.node.log.cfg.Stall {
		d.node.connect(false)
	}
}

// keep makes a write part of what is on the disk.
func (d *Disk) keep(w *write) {
	if w.hard {
		d.term, d.vote = w.term, w.vote
	}
	if w.from > 0 {
		d.log.cut(w.from)
		d.log.list = append(d.log.list, w.entries...)
		d.hint, d.known = w.hint, w.known
	}
	if w.snap != nil {
		d.snap = w.snap
		if w.reset {
			d.log = entries{base: w.snap.index, baseTerm: w.snap.term}
			d.hint, d.known = w.snap.index, w.snap.state
		}
		d.log.dropTo(w.trim)
	}
}

// Lose is a loss of power: of what was not synced some may be safe all the same,
// in order, but for a disk that hangs, and it hangs no more. A machine that is
// switched off under its agent does this by itself.
func (d *Disk) Lose() {
	if d.node == nil {
		d.lost, d.stalled = nil, false
	}
}

// release ends a node's hold on the disk. What an agent wrote outlives it in the
// kernel; what a machine wrote and did not sync does not, or not all.
func (d *Disk) release(powerLoss bool) {
	pending := append(d.syncing, d.queue...)
	if powerLoss && d.stalled {
		pending = nil
	} else if powerLoss {
		pending = pending[:d.node.log.chance.IntN(len(pending)+1)]
	}
	d.node, d.queue, d.syncing, d.hung, d.lost = nil, nil, nil, false, pending
	if powerLoss {
		d.settle()
	}
}

// settle makes what an agent left behind a part of the disk.
func (d *Disk) settle() {
	for _, w := range d.lost {
		d.keep(w)
	}
	d.lost = nil
}

// pending is how many writes are not synced.
func (d *Disk) pending() int { return len(d.syncing) + len(d.queue) }
