package logtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

// Fixture is a fleet of three voters, which has been made and of which one leads.
// Calls are for hosts that run. Answers may come from any goroutine, once each,
// but not before Step is called.
type Fixture struct {
	Hosts []fleet.HostID

	State     func(fleet.HostID) *fleet.State
	IsLeader  func(fleet.HostID) bool
	Leader    func(fleet.HostID) (fleet.HostID, bool)
	Subscribe func(fleet.HostID, func(index uint64, t fleet.ChangeSet))

	Propose  func(on fleet.HostID, items []fleet.Item, done func([]fleet.Result, uint64, error))
	Barrier  func(on fleet.HostID, done func(error))
	Verify   func(on fleet.HostID, done func(error))
	Transfer func(on fleet.HostID, done func(error))

	Kill  func(fleet.HostID)                         // its power goes
	Die   func(fleet.HostID)                         // its program ends, its machine lives
	Start func(fleet.HostID)                         // it runs again
	Cut   func(fleet.HostID)                         // from all others, both ways
	Heal  func()                                     // all that was cut
	Slow  func(id fleet.HostID, takes time.Duration) // each write to its disk
	Stall func(id fleet.HostID, on bool)             // no write to its disk returns

	// Trouble is why a voter should not vote now.
	Trouble func(fleet.HostID) error

	NotLeader, Unknown, TooLarge, Unencodable, Busy, Stalled error // what errors are

	// Step lets StepTime pass.
	Step func()
}

// StepTime is how often the suite looks.
const StepTime = 5 * time.Millisecond

// Times that both keep.
const (
	// failover is until another voter takes a write after the leader is gone.
	failover = 3 * time.Second
	// handover is the same where its machine lives and refuses connections.
	handover = 500 * time.Millisecond
	// stepDown is until a leader that reaches nobody knows it: the lease and a look.
	stepDown = time.Second
	// noticed is until a stall shows though nobody writes: the pause between two looks
	// at an idle disk, and what a write may take.
	noticed = 5200 * time.Millisecond
	long    = 30 * time.Second
)

// Log runs the contract of the replicated log. open makes a fixture, once for
// each case; it runs inside, so that a fixture may put a case into a time of its
// own.
func Log(t *testing.T, open func(t *testing.T, run func(t *testing.T, f Fixture))) {
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			open(t, func(t *testing.T, f Fixture) { run(&bed{Fixture: f, t: t, down: map[fleet.HostID]bool{}}) })
		})
	}
}

// bed adds to a fixture what the cases need.
type bed struct {
	Fixture
	t    *testing.T
	down map[fleet.HostID]bool
}

// answer is what comes of a call.
type answer struct {
	mu      sync.Mutex
	times   int
	results []fleet.Result
	index   uint64
	err     error
}

func (a *answer) give(results []fleet.Result, index uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times++
	a.results, a.index, a.err = results, index, err
}

func (a *answer) come() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.times > 0
}

// await waits for a condition and returns how long that took.
func (b *bed) await(what string, limit time.Duration, holds func() bool) (took time.Duration) {
	b.t.Helper()
	for !holds() {
		if took >= limit {
			b.t.Fatalf("%s: not within %s", what, limit)
		}
		b.Step()
		took += StepTime
	}
	return took
}

func (b *bed) pass(d time.Duration) {
	for ; d > 0; d -= StepTime {
		b.Step()
	}
}

// propose begins to write tokens.
func (b *bed) propose(on fleet.HostID, names ...string) *answer {
	a := &answer{}
	items := make([]fleet.Item, len(names))
	for i, name := range names {
		items[i] = token(name)
	}
	b.Propose(on, items, a.give)
	return a
}

// got waits for an answer.
func (b *bed) got(a *answer) *answer {
	b.t.Helper()
	b.await("an answer", long, a.come)
	return a
}

// ask waits for what comes of a call that gives no results.
func (b *bed) ask(on fleet.HostID, call func(fleet.HostID, func(error))) error {
	b.t.Helper()
	a := &answer{}
	call(on, func(err error) { a.give(nil, 0, err) })
	return b.got(a).err
}

// leader waits for one that a majority confirms.
func (b *bed) leader() fleet.HostID {
	b.t.Helper()
	var leader fleet.HostID
	b.await("a leader", long, func() bool {
		for _, h := range b.up() {
			if b.IsLeader(h) && b.ask(h, b.Verify) == nil {
				leader = h
				return true
			}
		}
		return false
	})
	return leader
}

func (b *bed) up() []fleet.HostID {
	return slices.DeleteFunc(slices.Clone(b.Hosts), func(h fleet.HostID) bool { return b.down[h] })
}

func (b *bed) followers() []fleet.HostID {
	leader := b.leader()
	return slices.DeleteFunc(b.up(), func(h fleet.HostID) bool { return h == leader })
}

func (b *bed) kill(h fleet.HostID) {
	b.down[h] = true
	b.Kill(h)
}

func (b *bed) start(h fleet.HostID) {
	b.Start(h)
	b.down[h] = false
}

// put writes tokens, one entry each, and is sure of it.
func (b *bed) put(names ...string) (index uint64) {
	b.t.Helper()
	for _, name := range names {
		a := b.got(b.propose(b.leader(), name))
		if a.err != nil || a.results[0].Err != nil {
			b.t.Fatalf("write %s: %v, %v", name, a.results, a.err)
		}
		index = a.index
	}
	return index
}

// applied waits until all that run have applied an index.
func (b *bed) applied(index uint64) {
	b.t.Helper()
	b.await(fmt.Sprintf("all to apply %d", index), long, func() bool {
		return !slices.ContainsFunc(b.up(), func(h fleet.HostID) bool { return b.State(h).Index() < index })
	})
}

// have checks that hosts have these tokens and no others.
func (b *bed) have(hosts []fleet.HostID, names ...string) {
	b.t.Helper()
	slices.Sort(names)
	for _, h := range hosts {
		var got []string
		for v := range b.State(h).Tokens() {
			got = append(got, string(v.ID))
		}
		slices.Sort(got)
		if !slices.Equal(got, names) {
			b.t.Errorf("%s has %q, want %q", h, got, names)
		}
	}
}

func (b *bed) is(what string, err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// token is a small command with an effect that can be counted.
func token(name string) fleet.Item {
	return fleet.Item{Command: fleet.PutToken{
		ID: fleet.TokenID(name), TokenKind: fleet.TokenOperator, Hash: make([]byte, 32),
		NotAfter: fleet.Time(4_000_000_000_000),
	}}
}
