package intake

import (
	"fmt"
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// Batcher gathers reports of many hosts into few entries. The leader waits a moment
// for more; another voter sends on what it has. A batch that is refused as a whole is
// parted until the report that cannot be committed is alone: only its host is told so,
// since a host drops a report that is refused. To propose a report again is safe, by
// its number.
//
// Not safe for concurrent use. The zero value has nothing to do.
type Batcher struct {
	waiting  []waiting
	gone     map[uint64]bool // of those that wait, nobody waits for the answer any more
	batches  map[uint64]*batch
	proposed uint64 // numbers of proposals

	now time.Duration
	out []Effect
}

// waiting is a report that waits for its batch.
type waiting struct {
	Arrived
	since time.Duration
}

// batch is what one slot commits: its parts, one after the other.
type batch struct{ parts [][]Arrived }

// Event is something that happened to a Batcher. Closed set.
type Event interface{ event() }

type (
	// Arrived: a report of about Size bytes is to be committed. Ref names it in Answer,
	// and is never used again.
	Arrived struct {
		Ref  uint64
		Item fleet.Item
		Size int
	}
	// GivenUp: nobody waits for the answer to Ref any more. What is not proposed yet is
	// not written: its host sends it again.
	GivenUp struct{ Ref uint64 }
	// Committed answers Propose N.
	Committed struct {
		N       uint64
		Results []fleet.Result
		Index   uint64
		Err     error
	}
)

func (Arrived) event()   {}
func (GivenUp) event()   {}
func (Committed) event() {}

// Effect is something for the caller of a Batcher to do. Closed set.
type Effect interface{ effect() }

type (
	// Propose commits items as one entry, from any voter.
	Propose struct {
		N     uint64
		Items []fleet.Item
	}
	// Answer says what became of a report. ErrBusy when too many waited.
	Answer struct {
		Ref    uint64
		Result fleet.Result
		Index  uint64
		Err    error
	}
	// Wake steps the batcher at a time of the monotonic clock.
	Wake struct{ At time.Duration }
)

func (Propose) effect() {}
func (Answer) effect()  {}
func (Wake) effect()    {}

// Step takes what happened and returns what to do; leads says whether this voter
// leads.
func (b *Batcher) Step(now time.Duration, leads bool, events ...Event) []Effect {
	b.now, b.out = now, nil
	for _, e := range events {
		switch e := e.(type) {
		case Arrived:
			b.arrived(e)
		case GivenUp:
			b.giveUp(e.Ref)
		case Committed:
			b.committed(e)
		}
	}
	for len(b.waiting) > 0 && len(b.batches) < BatchesInFlight {
		n, full := b.first()
		if due := b.waiting[0].since + Gather; leads && !full && now < due {
			b.do(Wake{At: due})
			break
		}
		b.begin(n)
	}
	return b.out
}

func (b *Batcher) do(e Effect) { b.out = append(b.out, e) }

func (b *Batcher) arrived(e Arrived) {
	if len(b.waiting) >= MaxWaiting {
		b.do(Answer{Ref: e.Ref, Err: fmt.Errorf("%d reports wait: %w", MaxWaiting, protocol.ErrBusy)})
		return
	}
	b.waiting = append(b.waiting, waiting{e, b.now})
}

func (b *Batcher) giveUp(ref uint64) {
	for _, w := range b.waiting {
		if w.Ref == ref {
			if b.gone == nil {
				b.gone = map[uint64]bool{}
			}
			b.gone[ref] = true
			return
		}
	}
}

// first is how many of those that wait go into the next batch, and whether no more do.
func (b *Batcher) first() (n int, full bool) {
	size := 0
	for n < len(b.waiting) && n < GatherItems && size < GatherBytes {
		size += b.waiting[n].Size
		n++
	}
	return n, n == GatherItems || size >= GatherBytes
}

// begin proposes the first n that wait, but for those that nobody waits for.
func (b *Batcher) begin(n int) {
	var live []Arrived
	for _, w := range b.waiting[:n] {
		if b.gone[w.Ref] {
			delete(b.gone, w.Ref)
		} else {
			live = append(live, w.Arrived)
		}
	}
	b.waiting = slices.Clone(b.waiting[n:])
	if len(live) > 0 {
		b.propose(&batch{parts: [][]Arrived{live}})
	}
}

// propose has the next part of a batch committed.
func (b *Batcher) propose(of *batch) {
	items := make([]fleet.Item, len(of.parts[0]))
	for i, a := range of.parts[0] {
		items[i] = a.Item
	}
	if b.batches == nil {
		b.batches = map[uint64]*batch{}
	}
	b.proposed++
	b.batches[b.proposed] = of
	b.do(Propose{N: b.proposed, Items: items})
}

// committed answers for a part, or parts it once more, and goes on with the next.
func (b *Batcher) committed(e Committed) {
	of := b.batches[e.N]
	if of == nil {
		return
	}
	delete(b.batches, e.N)
	part := of.parts[0]
	of.parts = of.parts[1:]
	if e.Err == nil && len(e.Results) != len(part) {
		e.Err = fmt.Errorf("%d results for %d commands: %w", len(e.Results), len(part), protocol.ErrUnknown)
	}
	if half := len(part) / 2; half > 0 && e.Err != nil && !passes(e.Err) {
		of.parts = append([][]Arrived{part[:half], part[half:]}, of.parts...)
	} else {
		b.answer(part, e)
	}
	if len(of.parts) > 0 {
		b.propose(of)
	}
}

func (b *Batcher) answer(part []Arrived, e Committed) {
	for i, a := range part {
		answer := Answer{Ref: a.Ref, Index: e.Index, Err: e.Err}
		if e.Err == nil {
			answer.Result = e.Results[i]
		}
		b.do(answer)
	}
}
