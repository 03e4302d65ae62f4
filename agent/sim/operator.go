package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// request is an operator's write under way: asked of one host after another with
// the same client token until it is answered for good.
type request struct {
	w     *World
	what  string
	make  func(*fleet.State) fleet.Command // by what the asked host's voter knows
	token string
	hash  []byte
	tries int
	done  func(result fleet.Result, index uint64, err error)
}

// Times of an operator's patience.
const (
	answerWithin = 20 * time.Second
	askMost      = 8
)

// write has an operator ask a host for a change of the fleet.
func (w *World) write(
	via *host, what string, build func(*fleet.State) fleet.Command, done func(fleet.Result, uint64, error),
) {
	w.requests++
	token := fmt.Sprintf("request-%d", w.requests)
	sum := sha256.Sum256([]byte(what))
	r := &request{w: w, what: what, make: build, token: token, hash: sum[:], done: done}
	if r.done == nil {
		r.done = func(fleet.Result, uint64, error) {}
	}
	r.ask(via)
}

// ask puts the request to a host, and to another if it does not answer.
func (r *request) ask(via *host) {
	w := r.w
	r.tries++
	answered := false
	answer := func(result fleet.Result, index uint64, err error) {
		if answered {
			return
		}
		answered = true
		r.answered(result, index, err)
	}
	w.time.After(answerWithin, func() { answer(fleet.Result{}, 0, errNoAnswer) })
	if via.agent == nil || via.frozen() {
		return // the operator waits
	}
	via.agent.life.After(time.Millisecond, func() { r.serve(via.agent, answer) })
}

// serve has a voter propose: this one, or one that this worker knows.
func (r *request) serve(a *agent, answer func(fleet.Result, uint64, error)) {
	if a == nil {
		return
	}
	if a.node == nil {
		for _, id := range a.knownVoters() {
			if v := r.w.hosts[id]; v != nil && r.w.net.Linked(a.id, id) {
				a.connect(v, func(v *agent, reply func(func())) {
					if v.node != nil {
						r.serve(v, func(res fleet.Result, index uint64, err error) { reply(func() { answer(res, index, err) }) })
					}
				}, func() { answer(fleet.Result{}, 0, errReset) })
				return
			}
		}
		answer(fleet.Result{}, 0, protocol.ErrNoLeader)
		return
	}
	c := r.make(a.node.State())
	if c == nil {
		answer(fleet.Result{Err: fleet.ErrNotFound}, 0, nil)
		return
	}
	item := fleet.Item{Command: c, By: "operator", Receipt: &fleet.Receipt{Token: r.token, BodyHash: r.hash}}
	a.serves.propose([]fleet.Item{item}, func(results []fleet.Result, index uint64, err error) {
		if err != nil {
			answer(fleet.Result{}, 0, err)
			return
		}
		answer(results[0], index, nil)
	})
}

func (r *request) answered(result fleet.Result, index uint64, err error) {
	w := r.w
	switch {
	case err != nil && r.tries < askMost:
		w.sometimes("an operator's request is sent again with its token")
		r.ask(w.order[w.people.IntN(len(w.order))])
		return
	case err != nil:
		w.note("operator: %s: no answer: %v", r.what, err)
	case result.Err != nil && errors.Is(result.Err, fleet.ErrMoved) && r.tries < askMost:
		r.ask(w.order[w.people.IntN(len(w.order))])
		return
	case result.Err != nil:
		w.sometimes("an operator's request is refused")
		w.note("operator: %s: refused: %v", r.what, result.Err)
	default:
		w.note("operator: %s: done at index %d", r.what, index)
		w.watch.acked(r, index, result)
		if w.people.Is(0.05) {
			w.repeat(r)
		}
	}
	r.done(result, index, err)
}

// repeat sends an answered request once more, as a client does whose answer got
// lost: it must have no second effect.
func (w *World) repeat(r *request) {
	w.sometimes("an answered request comes again")
	again := *r
	again.tries = askMost
	again.done = func(fleet.Result, uint64, error) {}
	again.ask(w.order[w.people.IntN(len(w.order))])
}
