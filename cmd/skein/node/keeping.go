package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"skein/agent/peer"
	"skein/raftfsm"
	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

const (
	// keepEvery is how often the leader looks at its voters.
	keepEvery = 500 * time.Millisecond
	// askTimeout bounds one question to one voter; silence is an answer too.
	askTimeout = 400 * time.Millisecond
	// stepsAtOnce bounds the steps of one look: growing from one voter to three
	// takes four.
	stepsAtOnce = 8
	// changeTimeout bounds one change of the Raft configuration.
	changeTimeout = 5 * time.Second
)

// keeping carries out what the voter keeper decides, for one term of leadership.
type keeping struct {
	node *node
	log  *raftfsm.Node

	memory   keeper.Memory
	answers  map[fleet.RaftID]keeper.Answer
	since    map[fleet.RaftID]time.Duration // monotonic, of the present kind of answer
	prepared map[fleet.RaftID]bool          // handed over in this term
}

// run keeps voters until ctx ends.
func (k *keeping) run(ctx context.Context) error {
	k.memory, k.answers = keeper.Memory{}, map[fleet.RaftID]keeper.Answer{}
	k.since, k.prepared = map[fleet.RaftID]time.Duration{}, map[fleet.RaftID]bool{}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			// What follows at once follows at once: between the two additions that
			// lead from one voter to three, losing one of two would lose the fleet.
			for range stepsAtOnce {
				if !k.step(ctx) {
					break
				}
			}
		}
	}
}

// step decides and carries out once; false when there is nothing to follow.
func (k *keeping) step(ctx context.Context) (more bool) {
	state := k.log.State()
	members, err := k.log.Members()
	if err != nil || state.Fleet() == nil || ctx.Err() != nil {
		return false
	}
	k.ask(ctx, state)
	in := keeper.Input{
		State: state, Self: k.log.ID(), Commit: k.log.CommitIndex(), Answers: k.answers, Starved: map[fleet.HostID]bool{},
		Installs: map[fleet.RaftID]int{}, Leaving: k.log.Trouble() != nil,
	}
	for row := range state.Voters() {
		in.Installs[row.ID] = k.log.SnapshotInstalls(row.ID)
	}
	for _, member := range members {
		in.Members = append(in.Members, keeper.Member{ID: member.ID, Voting: member.Voting})
	}
	for _, report := range k.node.ring.Reports() {
		in.Starved[report.Host] = report.Starved
	}
	var plan keeper.Plan
	plan, k.memory = keeper.Step(k.log.FleetTime(), in, k.memory)
	if len(plan.Items) > 0 {
		results, _, err := k.log.Propose(ctx, plan.Items)
		if err != nil {
			return false // unknown: a later step looks at what became of it
		}
		for i, result := range results {
			if result.Err != nil {
				k.node.Log.Warn("voter change refused", "command", plan.Items[i].Command, "err", result.Err)
			}
		}
	}
	well := true
	for _, effect := range plan.Effects {
		well = k.do(ctx, effect) && well
	}
	return well && len(plan.Items)+len(plan.Effects) > 0
}

// ask asks every voter but this one how far its log is, all at once.
func (k *keeping) ask(ctx context.Context, state *fleet.State) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	next := map[fleet.RaftID]keeper.Answer{}
	for row := range state.Voters() {
		if row.ID == k.log.ID() {
			continue
		}
		all.Go(func() {
			got, err := k.node.port.CommitIndex(ctx, row.Host)
			mu.Lock()
			defer mu.Unlock()
			next[row.ID] = keeper.Answer{
				Now: err == nil, Commit: got.Commit, NotOne: errors.Is(err, peer.ErrNotHere), Trouble: got.Trouble, Stalled: got.Stalled,
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return // leadership ended: silence would be our own
	}
	now := k.node.clock.Mono()
	for id, answer := range next {
		// A host that is to become a voter may still hold an older log: only one
		// that was prepared in this term counts as answering for the new one.
		if state.Voter(id).Phase == fleet.VoterPreparing && !k.prepared[id] {
			answer.Now = false
		}
		old, known := k.answers[id]
		if !known || !old.Like(answer) {
			k.since[id] = now
		}
		answer.For = now - k.since[id]
		next[id] = answer
	}
	k.answers = next
}

// do carries an effect out; false when it must be tried again.
func (k *keeping) do(ctx context.Context, effect keeper.Effect) bool {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	var err error
	switch e := effect.(type) {
	case keeper.HandOverKeys:
		if err = k.node.port.PrepareVoter(ctx, e.ID); err == nil {
			k.prepared[e.ID] = true
		}
	case keeper.AddNonvoter:
		err = k.log.AddNonvoter(ctx, e.ID)
	case keeper.AddVoter:
		err = k.log.AddVoter(ctx, e.ID)
	case keeper.RemoveServer:
		err = k.log.RemoveServer(ctx, e.ID)
	case keeper.DeleteLog:
		err = k.node.port.RetireVoter(ctx, e.ID)
	case keeper.Transfer:
		err = k.log.Transfer()
	}
	if err != nil && ctx.Err() == nil {
		k.node.Log.Warn("voter change not carried out, it is tried again", "err", err)
	}
	return err == nil
}
