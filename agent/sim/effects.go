package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"skein/agent/effects"
	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// executing runs the executor of effects of one voter, for one term of leadership
// after the other.
type executing struct {
	a        *agent
	detector func() plan.FleetLiveness
	driver   *effects.Driver // nil while it does not lead
	timer    *virtual.Timer
	turns    turns[effects.Event]
}

func (x *executing) begin() {
	x.driver = effects.NewDriver(x.a.node.State())
	x.step(x.driver)
}

func (x *executing) stop() {
	x.driver = nil
	x.timer.Stop()
}

// wake says that State has changed in what effects are about.
func (x *executing) wake(changes fleet.ChangeSet) {
	if x.driver != nil && effects.Concerns(x.a.node.State(), changes) {
		term := x.driver
		x.a.life.After(0, func() { x.step(term) })
	}
}

// step steps the driver of a term, if that term goes on.
func (x *executing) step(term *effects.Driver, events ...effects.Event) {
	if x.driver == nil || term != x.driver || x.a.node == nil {
		return
	}
	x.turns.take(events, func() bool { return x.driver == term }, func(due []effects.Event) {
		in := effects.Input{
			Wall: x.a.fleetTime(), Mono: x.a.w.time.Now(), State: x.a.node.State(), Liveness: x.detector,
		}
		for _, action := range term.Step(in, due...) {
			x.carryOut(term, action)
		}
	})
}

func (x *executing) carryOut(term *effects.Driver, action effects.Action) {
	switch action := action.(type) {
	case effects.Wake:
		x.timer.Stop()
		x.timer = x.a.life.After(action.At-x.a.w.time.Now(), func() { x.step(term) })
	case effects.Verify:
		x.a.node.Verify(func(err error) { x.step(term, effects.Verified{Err: err}) })
	case effects.Propose:
		x.a.node.Propose(action.Items, x.a.fleetTime(), func(results []fleet.Result, index uint64, err error) {
			x.step(term, effects.Proposed{Index: index, Results: results, Err: err})
		})
		x.mutate(action.Items)
	case effects.Ask:
		x.ask(term, action)
	}
}

// ask makes a request of a host, itself included.
func (x *executing) ask(term *effects.Driver, ask effects.Ask) {
	again := false
	answered := func(a effects.Answer, err error, notSent bool) {
		x.step(term, effects.Answered{N: ask.N, ID: ask.Request.ID, Answer: a, Err: err, NotSent: notSent})
		if answersTwice(ask.Request) && !again {
			again = true
			x.a.life.After(time.Second, func() {
				x.step(term, effects.Answered{N: ask.N, ID: ask.Request.ID, Answer: secondAnswer()})
			})
		}
	}
	x.a.askEffect(ask.Host, ask.Request, answered)
}

// askEffect makes a request of a host; notSent says that it surely never got there.
func (a *agent) askEffect(id fleet.HostID, r effects.Request, done func(_ effects.Answer, err error, notSent bool)) {
	to := a.w.hosts[id]
	dial := virtual.Connected
	if to == nil {
		dial = virtual.Refused
	} else if to != a.host {
		dial = a.w.net.Dial(a.id, id)
	}
	switch {
	case dial == virtual.Refused:
		a.life.After(time.Millisecond, func() { done(effects.Answer{}, errRefused, true) })
		return
	case dial == virtual.Silent || to.frozen():
		a.life.After(protocol.HandshakeTime, func() { done(effects.Answer{}, errNoAnswer, true) })
		return
	}
	a.call(to, effects.CallFor, func(v *agent, reply func(func())) {
		v.runs.take(a.id, r, func(answer effects.Answer, err error) {
			reply(func() { done(answer, err, err != nil) })
		})
	}, func(err error) {
		a.w.sometimes("a request for an effect has no answer")
		done(effects.Answer{}, err, false)
	})
}

// running is what an agent carries out of effects: an inbox, and runs that are timers.
type running struct {
	a     *agent
	inbox *effects.Inbox
	runs  map[fleet.EffectID]effectRun // under way
	waits map[fleet.EffectID][]func()  // for the end of one
}

type effectRun struct {
	attempt int
	end     *virtual.Timer
}

// effectKind is the kind of all effects in a world. What a run does is said by the
// effect's input: see effectInput.
const effectKind = "sim"

func newRunning(a *agent) *running {
	return &running{
		a: a, runs: map[fleet.EffectID]effectRun{}, waits: map[fleet.EffectID][]func(){},
		inbox: effects.NewInbox(func(kind string) bool {
			return kind == effectKind || hookRunners[kind] != nil || a.w.cfg.RunEffect != nil
		}),
	}
}

// opened takes note of a session; what was begun in another stops.
func (r *running) opened(session uint64) {
	end := r.inbox.Opened(session)
	slices.Sort(end)
	for _, id := range end {
		run := r.runs[id]
		run.end.Stop()
		r.ended(id, run.attempt, effects.Retry("stopped"))
	}
}

// take answers a request of a voter: at once, or when the run has ended, within
// AnswerWithin.
func (r *running) take(from fleet.HostID, request effects.Request, done func(effects.Answer, error)) {
	if v := r.a.w.truth.VoterOf(from); v == nil {
		done(effects.Answer{}, protocol.ErrForbidden)
		return
	}
	if err := request.Check(); err != nil {
		done(effects.Answer{}, errors.Join(protocol.ErrMalformed, err))
		return
	}
	if answer := r.begin(request); !answer.Running {
		done(answer, nil)
		return
	}
	told := false
	tell := func() {
		if !told {
			told = true
			done(r.begin(request), nil)
		}
	}
	r.waits[request.ID] = append(r.waits[request.ID], tell)
	r.a.life.After(effects.AnswerWithin, tell)
}

// begin has the inbox decide, and begins the run where it says so.
func (r *running) begin(request effects.Request) effects.Answer {
	w := r.a.w
	begin, answer := r.inbox.Take(w.time.Now(), r.a.wallClock(), request)
	if answer.Refusal != effects.OlderLeader {
		w.watch.checker.EffectHeard(r.a.id, request.Session, request.Fence.Epoch, request.Fence.Index)
	}
	if answer.Refusal != 0 {
		w.sometimes("a host refuses to begin an effect")
		w.note("%s begins nothing of effect %s: %s", r.a.name, request.ID, answer.Refusal)
	}
	again := answer.Running && w.cfg.Mutation.is(MutationEffectTwice)
	if !begin && !again {
		return answer
	}
	w.note("%s begins attempt %d of effect %s", r.a.name, request.Attempt, request.ID)
	w.watch.effectBegun(r.a.host, request)
	if again {
		return answer
	}
	after, outcome := w.runEffect(r.a.id, request)
	within := time.Duration(request.WithinMs) * time.Millisecond
	if after >= within {
		after, outcome = within, effects.Retry("stopped")
	}
	id := request.ID
	r.runs[id] = effectRun{request.Attempt, r.a.life.After(after, func() { r.ended(id, request.Attempt, outcome) })}
	return effects.Answer{Running: true}
}

func (r *running) ended(id fleet.EffectID, attempt int, outcome effects.Answer) {
	r.inbox.Ended(r.a.w.time.Now(), id, attempt, outcome)
	waits := r.waits[id]
	delete(r.runs, id)
	delete(r.waits, id)
	for _, tell := range waits {
		tell()
	}
}

// effectInput is the input of an effect: what its runs answer, and after how long.
func effectInput(answer string, after time.Duration) []byte {
	return []byte(answer + " " + after.String())
}

// runEffect says what a run comes to, as its input or a test has it.
func (w *World) runEffect(host fleet.HostID, r effects.Request) (after time.Duration, a effects.Answer) {
	if w.cfg.RunEffect != nil {
		return w.cfg.RunEffect(host, r)
	}
	if run := hookRunners[r.Kind]; run != nil {
		return run(w, r)
	}
	answer, text, _ := strings.Cut(string(r.Input), " ")
	after, _ = time.ParseDuration(text) // checked when it was intended
	switch answer {
	case "retry":
		return after, effects.Retry("as its input says")
	case "fail":
		return after, effects.Failed("as its input says")
	case "once": // the first attempt fails
		if r.Attempt == 1 {
			return after, effects.Retry("as its input says")
		}
	}
	return after, effects.Done([]byte("on " + host))
}

func init() {
	maps.Copy(verbs, map[string]verb{
		"effect": {
			use: "voter|HOST: something is to be done outside the log", least: 1, most: 1,
			options: []string{"answer", "after", "timeout", "deadline", "tries", "via"}, do: (*World).intendEffect,
		},
		"withdraw": {
			use: "the oldest effect that is open", most: 0, options: []string{"via"}, do: (*World).withdrawEffect,
		},
	})
}

func (w *World) intendEffect(d words) error {
	role := fleet.VoterRole()
	if d.objects[0] != "voter" {
		id, err := w.named(d)
		if err != nil {
			return err
		}
		role = fleet.HostRole(id)
	}
	times := map[string]time.Duration{"after": 0, "timeout": 20 * time.Second, "deadline": 2 * time.Minute}
	for key := range times {
		if text, ok := d.options[key]; ok {
			t, err := time.ParseDuration(text)
			if err != nil {
				return fmt.Errorf("effect: %s: %w", key, err)
			}
			times[key] = t
		}
	}
	tries, err := d.number("tries", 3)
	if err != nil {
		return err
	}
	answer := d.options["answer"]
	w.effects++
	id := fleet.EffectID(fmt.Sprintf("e-%d", w.effects))
	c := fleet.IntendEffect{
		ID: id, EffectKind: effectKind, Role: role, Subject: fleet.FleetSubject(), Input: effectInput(answer, times["after"]),
		Deadline: w.wall().Add(times["deadline"]), TimeoutMs: times["timeout"].Milliseconds(), MaxAttempts: int(tries),
	}
	return w.simple(d, fmt.Sprintf("effect %s for %s", id, role), func(*fleet.State) fleet.Command { return c })
}

func (w *World) withdrawEffect(d words) error {
	oldest := fleet.EffectID("")
	for e := range w.truth.OpenEffects() {
		oldest = e.ID
		break
	}
	if oldest == "" {
		return fmt.Errorf("withdraw: no effect is open")
	}
	return w.simple(d, "withdraw effect "+string(oldest), func(*fleet.State) fleet.Command {
		return fleet.WithdrawEffect{ID: oldest, Why: "by an operator"}
	})
}

// effects draws what is to be done outside the log, from a stream of its own: what
// else happens in the life of a seed does not depend on it.
func (d *drawing) effects(seed uint64) {
	c := virtual.NewChance(seed, "outside the log")
	if !c.Is(0.5) {
		return
	}
	every := virtual.Pick(c, 10*time.Second, 30*time.Second, 2*time.Minute)
	for at := 5 * time.Second; at < d.run.For; at += c.Between(every/4, 2*every) {
		role := virtual.Pick(c, "voter", d.names[c.IntN(len(d.names))])
		d.operation(at, "effect %s answer=%s after=%s timeout=%s deadline=%s tries=%d", role,
			virtual.Pick(c, "done", "done", "once", "retry", "fail"),
			virtual.Pick(c, 0, time.Second, 5*time.Second, 30*time.Second),
			virtual.Pick(c, 3*time.Second, 20*time.Second, time.Minute),
			virtual.Pick(c, 20*time.Second, 2*time.Minute, 5*time.Minute), 1+c.IntN(4))
		if c.Is(0.1) {
			d.operation(at+c.Between(0, 5*time.Second), "withdraw")
		}
	}
}

// mutate breaks a rule of effects: a host is asked before its hand has committed.
func (x *executing) mutate(items []fleet.Item) {
	if !x.a.w.cfg.Mutation.is(MutationEffectEarly) {
		return
	}
	for _, item := range items {
		hand, is := item.Command.(fleet.HandEffect)
		if !is {
			continue
		}
		e := x.a.node.State().Effect(hand.ID)
		x.a.askEffect(hand.Host, effects.Request{
			Fence: effects.Fence{Epoch: 1, Index: x.a.node.State().Index()}, ID: e.ID, Attempt: hand.Attempt,
			Session: hand.Session, Kind: e.Kind, Input: e.Input, Token: e.Token, WithinMs: e.TimeoutMs, Until: e.Deadline,
		}, func(effects.Answer, error, bool) {})
	}
}
