package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"skein/agent/api/view"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// fakeVoter is a log of one: what is proposed is applied at once.
type fakeVoter struct {
	mu       sync.Mutex
	st       *fleet.State
	leads    bool
	leader   fleet.HostID
	age      time.Duration
	at       func() time.Time
	watchers map[int]func(uint64, fleet.ChangeSet)
	next     int
	// lose makes the next proposals end unknown; before says whether they were
	// applied all the same.
	lose   int
	before bool
	verify error
	busy   bool

	traffic plan.Traffic
	shown   []fleet.TargetGroupName // that traffic was asked of
}

func (f *fakeVoter) Traffic(groups []fleet.TargetGroupName) plan.Traffic {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown = groups
	return f.traffic
}

func newFakeVoter(now func() time.Time) *fakeVoter {
	return &fakeVoter{st: fleet.New(), leads: true, leader: hostID(1), at: now,
		watchers: map[int]func(uint64, fleet.ChangeSet){}}
}

func (f *fakeVoter) State() *fleet.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.st
}

func (f *fakeVoter) Age() time.Duration { return locked(f, func() time.Duration { return f.age }) }
func (f *fakeVoter) IsLeader() bool     { return locked(f, func() bool { return f.leads }) }

func (f *fakeVoter) Leader() (fleet.HostID, bool) {
	id := locked(f, func() fleet.HostID { return f.leader })
	return id, id != ""
}

func (f *fakeVoter) Verify(context.Context) error { return locked(f, func() error { return f.verify }) }

func locked[T any](f *fakeVoter, get func() T) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return get()
}

func (f *fakeVoter) set(change func(*fakeVoter)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeVoter) Propose(_ context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	f.mu.Lock()
	if f.busy {
		f.mu.Unlock()
		return nil, 0, fmt.Errorf("4096 commands wait: %w", ErrBusy)
	}
	if !f.leads {
		f.mu.Unlock()
		return nil, 0, ErrNotLeader
	}
	lost := f.lose > 0
	if lost {
		f.lose--
	}
	if lost && !f.before {
		f.mu.Unlock()
		return nil, 0, fmt.Errorf("leadership lost: %w", ErrUnknown)
	}
	outcome, index := f.apply(items)
	f.mu.Unlock()
	f.tell(index, outcome.ChangeSet)
	if lost {
		return nil, 0, fmt.Errorf("leadership lost: %w", ErrUnknown)
	}
	return outcome.Results, index, nil
}

func (f *fakeVoter) apply(items []fleet.Item) (fleet.Outcome, uint64) {
	st := f.st.Clone()
	index := st.Index() + 1
	outcome := st.Apply(index, fleet.Entry{At: fleet.TimeOf(f.at()), Items: items})
	f.st = st
	return outcome, index
}

func (f *fakeVoter) tell(index uint64, t fleet.ChangeSet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, watch := range f.watchers {
		watch(index, t)
	}
}

func (f *fakeVoter) Subscribe(watch func(uint64, fleet.ChangeSet)) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.next
	f.next++
	f.watchers[n] = watch
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, n)
	}
}

// must applies a command that may not be refused.
func (f *fakeVoter) must(t testing.TB, c fleet.Command) []string {
	t.Helper()
	if create, ok := c.(fleet.CreateTasks); ok {
		f.planned(t, create)
	}
	results, _, err := f.Propose(context.Background(), []fleet.Item{{Command: c, By: "test"}})
	if err != nil || results[0].Err != nil {
		t.Fatalf("%T: %v %v", c, err, results)
	}
	return results[0].IDs
}

// planned gives a service that has no goals its own, so that tasks can be created.
func (f *fakeVoter) planned(t testing.TB, c fleet.CreateTasks) {
	t.Helper()
	name, _ := c.Revision.Split()
	if s := f.State(); s.Goals(name) == nil {
		f.must(t, s.Service(name).DefaultGoals())
	}
}

func hostID(n int) fleet.HostID { return fleet.HostID(fmt.Sprintf("h-%016x", n)) }

// fakeTokens makes texts "<kind>.<id>.<secret>".
type fakeTokens struct{ made int }

func (f *fakeTokens) Mint(kind fleet.TokenKind, _ *fleet.Fleet) (fleet.TokenID, string, []byte, error) {
	f.made++
	id := fmt.Sprintf("t%d", f.made)
	hash := sha256.Sum256([]byte("secret-" + id))
	return fleet.TokenID(id), kind.String() + "." + id + ".secret-" + id, hash[:], nil
}

func (f *fakeTokens) Read(text string) (fleet.TokenID, []byte, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return "", nil, errors.New("not a token")
	}
	hash := sha256.Sum256([]byte(parts[2]))
	return fleet.TokenID(parts[1]), hash[:], nil
}

type fakeLocal struct {
	tasks []view.LocalTask
	alone time.Time
	err   error
}

func (f *fakeLocal) Tasks() []view.LocalTask { return f.tasks }
func (f *fakeLocal) AloneSince() time.Time   { return f.alone }
func (f *fakeLocal) Ready() error            { return f.err }
func (f *fakeLocal) ServesTraffic() error    { return f.err }

type fakeMembers struct {
	reports []fleet.CapacityReport
	members []view.Member
}

func (f *fakeMembers) Reports() []fleet.CapacityReport { return f.reports }
func (f *fakeMembers) Members() []view.Member          { return f.members }

type fakeImages func(ctx context.Context, image string) (string, error)

func (f fakeImages) Resolve(ctx context.Context, image string) (string, error) { return f(ctx, image) }

// forwardTo hands requests to another host's handler, as a peer port would.
type forwardTo struct {
	mu      sync.Mutex
	handler http.Handler
	err     error
	lose    int // answers lost after they were given
	seen    []*http.Request
}

func (f *forwardTo) Forward(w http.ResponseWriter, r *http.Request, toLeader bool) error {
	f.mu.Lock()
	handler, err := f.handler, f.err
	f.seen = append(f.seen, r)
	lose := f.lose > 0
	if lose {
		f.lose--
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if lose {
		handler.ServeHTTP(httptest.NewRecorder(), r)
		return errors.New("connection reset")
	}
	handler.ServeHTTP(w, r)
	_ = http.NewResponseController(w).Flush() // as the peer port does after each piece
	return nil
}
