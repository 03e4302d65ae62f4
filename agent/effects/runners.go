package effects

import (
	"context"
	"sync"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
)

// Job is one attempt at an effect, as a runner sees it.
type Job struct {
	ID      fleet.EffectID
	Attempt int
	Subject fleet.Subject
	Input   []byte
	Token   string // what the far side knows the action by, the same in every attempt
}

// Runner carries out one attempt of a kind of effects. It returns soon after ctx ends,
// which has the attempt's deadline.
type Runner func(ctx context.Context, job Job) Answer

// Runners runs an Inbox with goroutines: the effects that this host carries out. See
// NewRunners.
type Runners struct {
	clock  clock.Clock
	byKind map[string]Runner

	mu    sync.Mutex
	inbox *Inbox
	under map[fleet.EffectID]*underWay
	ended bool // no run begins any more
	runs  sync.WaitGroup
}

// underWay is a run that has not returned.
type underWay struct {
	stop context.CancelFunc
	over chan struct{} // closed when it has
}

// NewRunners returns the runners of an agent by kind. Nothing runs before a session
// was opened.
func NewRunners(c clock.Clock, byKind map[string]Runner) *Runners {
	return &Runners{
		clock: c, byKind: byKind, under: map[fleet.EffectID]*underWay{},
		inbox: NewInbox(func(kind string) bool { return byKind[kind] != nil }),
	}
}

// Run waits for ctx, then stops what runs and returns when all of it has returned.
func (r *Runners) Run(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	r.ended = true
	for _, run := range r.under {
		run.stop()
	}
	r.mu.Unlock()
	r.runs.Wait()
	return nil
}

// Opened takes note of the agent's newest session; what was begun in another stops.
func (r *Runners) Opened(session uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.inbox.Opened(session) {
		r.under[id].stop()
	}
}

// Take answers a request: at once, or when the run has ended, within AnswerWithin.
func (r *Runners) Take(ctx context.Context, request Request) Answer {
	answer := r.take(request)
	r.mu.Lock()
	run := r.under[request.ID]
	r.mu.Unlock()
	if !answer.Running || run == nil {
		return answer
	}
	limit := time.NewTimer(AnswerWithin)
	defer limit.Stop()
	select {
	case <-run.over:
		return r.take(request)
	case <-limit.C:
	case <-ctx.Done():
	}
	return answer
}

// take has the inbox decide, and begins the run where it says so.
func (r *Runners) take(request Request) Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return Answer{Refusal: OtherSession}
	}
	begin, answer := r.inbox.Take(r.clock.Mono(), fleet.TimeOf(r.clock.Now()), request)
	if !begin {
		return answer
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Duration(request.WithinMs)*time.Millisecond)
	run := &underWay{stop: stop, over: make(chan struct{})}
	r.under[request.ID] = run
	r.runs.Go(func() {
		defer close(run.over)
		defer stop()
		outcome := r.byKind[request.Kind](ctx, Job{
			ID: request.ID, Attempt: request.Attempt, Subject: request.Subject, Input: request.Input, Token: request.Token,
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		r.inbox.Ended(r.clock.Mono(), request.ID, request.Attempt, outcome)
		delete(r.under, request.ID)
	})
	return Answer{Running: true}
}
