package effectstest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"skein/agent/effects"
	"skein/raftfsm/fleet"
)

// Kind is the kind of effects that every host of a fixture has a runner for.
const Kind = "contract"

// Fixture is a fleet of five ready hosts that are heard. The first three vote, and one
// of them leads.
type Fixture struct {
	Hosts  []fleet.HostID
	State  func() *fleet.State
	Leader func() fleet.HostID
	// Commit applies a command through the leader.
	Commit func(fleet.Command) error
	// Depose has another voter lead.
	Depose func()
	// Begun is called when a run begins on a host, from any goroutine. It says what
	// the run answers, and after how long. Set by the suite.
	Begun *func(host fleet.HostID, job effects.Job) (after time.Duration, a effects.Answer)
	// Ask makes a request of a host in the name of another.
	Ask       func(from, to fleet.HostID, r effects.Request) (effects.Answer, error)
	KillAgent func(fleet.HostID)
	Start     func(fleet.HostID) // its agent runs again
	Cut       func(a, b fleet.HostID)
	Heal      func()
	// Step lets StepTime pass.
	Step func()
}

// StepTime is how often the suite looks.
const StepTime = 50 * time.Millisecond

// soon is how long anything takes for which nothing has to be waited, elections included.
const soon = 15 * time.Second

// Executor runs the contract. open makes a fixture, once for each case; the case runs
// inside, so that a fixture may put it into a time of its own.
func Executor(t *testing.T, open func(t *testing.T, run func(*testing.T, Fixture))) {
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			open(t, func(t *testing.T, f Fixture) {
				b := &bed{Fixture: f, t: t}
				b.answers(0, effects.Done(nil))
				*f.Begun = b.begun
				run(b)
			})
		})
	}
}

// bed is a fixture with what began on it.
type bed struct {
	Fixture
	t    *testing.T
	mu   sync.Mutex
	runs []begun
	next func(host fleet.HostID, job effects.Job) (time.Duration, effects.Answer)
}

// begun is a run that began.
type begun struct {
	host fleet.HostID
	job  effects.Job
}

// begun notes a run. In every case it must be what State says: handed to this very
// host, as this very attempt.
func (b *bed) begun(host fleet.HostID, job effects.Job) (time.Duration, effects.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs = append(b.runs, begun{host, job})
	e := b.State().Effect(job.ID)
	handed := e != nil && e.Status == fleet.EffectHanded && e.Attempt == job.Attempt && e.Runner == host
	if !handed || e.Token != job.Token {
		b.t.Errorf("%s begins attempt %d of %s (%s), State has %+v", host, job.Attempt, job.ID, job.Token, e)
	}
	return b.next(host, job)
}

// answers has runs answer so from now on.
func (b *bed) answers(after time.Duration, all ...effects.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := 0
	b.next = func(fleet.HostID, effects.Job) (time.Duration, effects.Answer) {
		a := all[min(i, len(all)-1)]
		i++
		return after, a
	}
}

func (b *bed) began() []begun {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]begun(nil), b.runs...)
}

// intend commits an effect with so much time until its deadline and for one attempt.
func (b *bed) intend(id fleet.EffectID, role fleet.Role, deadline, timeout time.Duration) {
	b.t.Helper()
	err := b.Commit(fleet.IntendEffect{
		ID: id, EffectKind: Kind, Role: role, Subject: fleet.FleetSubject(), Input: []byte("in of " + id),
		Token: "token of " + string(id), Deadline: b.State().Now().Add(deadline), TimeoutMs: timeout.Milliseconds(),
		MaxAttempts: 4,
	})
	if err != nil {
		b.t.Fatalf("intend %s: %v", id, err)
	}
}

// await steps until something holds.
func (b *bed) await(what string, within time.Duration, holds func() bool) {
	b.t.Helper()
	for range within / StepTime {
		if holds() {
			return
		}
		b.Step()
	}
	last := ""
	for e := range b.State().Effects() {
		last += fmt.Sprintf("\n  %+v", *e)
	}
	b.t.Fatalf("never: %s; effects: %s\nbegun: %+v", what, last, b.began())
}

// becomes waits until an effect has a status and returns it.
func (b *bed) becomes(id fleet.EffectID, status fleet.EffectStatus, within time.Duration) *fleet.Effect {
	b.t.Helper()
	b.await(fmt.Sprintf("%s is %s", id, status), within, func() bool { return b.State().Effect(id).Status == status })
	return b.State().Effect(id)
}

// running waits until so many runs have begun.
func (b *bed) running(n int) []begun {
	b.t.Helper()
	b.await(fmt.Sprintf("%d runs have begun", n), soon, func() bool { return len(b.began()) >= n })
	return b.began()
}

// total checks that so many runs began, no more, now and a while later.
func (b *bed) total(n int) {
	b.t.Helper()
	for range 2 * soon / StepTime {
		b.Step()
	}
	if got := b.began(); len(got) != n {
		b.t.Errorf("%d runs have begun, want %d: %+v", len(got), n, got)
	}
}
