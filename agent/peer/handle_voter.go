package peer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"skein/agent/peer/detector"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// CommitAnswer is how far a voter's own log is, and whether it is well: the keeper
// compares it with the leader's.
type CommitAnswer struct {
	Commit  uint64 `cbor:"1,keyasint"`
	Applied uint64 `cbor:"2,keyasint"`
	Trouble string `cbor:"3,keyasint,omitempty"` // why it should not vote now
	Stalled bool   `cbor:"4,keyasint,omitempty"` // and it takes no entry
	// whose log it is: one host may hold another's place than the one that is asked for
	ID fleet.RaftID `cbor:"5,keyasint,omitempty"`
}

// maxTrouble bounds what a voter says of its disk.
const maxTrouble = 256

func (p *Port) commitIndex(c *call) (any, error) {
	out := CommitAnswer{ID: c.log.ID(), Commit: c.log.CommitIndex(), Applied: c.log.State().Index()}
	if err := c.log.Trouble(); err != nil {
		text := err.Error()
		out.Trouble, out.Stalled = text[:min(len(text), maxTrouble)], errors.Is(p.translate(err), ErrStalled)
	}
	return out, nil
}

// CommitIndex asks another voter how far its log is.
func (p *Port) CommitIndex(ctx context.Context, host fleet.HostID) (CommitAnswer, error) {
	var out CommitAnswer
	return out, p.call(ctx, host, PathCommit, nil, &out)
}

// handover makes a host a voter: it gets the fleet key and opens a log.
type handover struct {
	RaftID   fleet.RaftID     `cbor:"1,keyasint"`
	FleetKey trust.Secret     `cbor:"2,keyasint"`
	Sealed   fleet.SealedKeys `cbor:"3,keyasint"` // that the key must open
	Roster   trust.Roster     `cbor:"4,keyasint"`
}

// PrepareVoter hands the fleet key to a host whose voter row is preparing, and
// has it open an empty log as id. Again is safe.
func (p *Port) PrepareVoter(ctx context.Context, id fleet.RaftID) error {
	st := p.state()
	if st == nil || st.Fleet() == nil {
		return fmt.Errorf("prepare voter %s: %w", id, ErrNotHere)
	}
	if st.Voter(id) == nil {
		// The key goes only where committed intent says.
		return fmt.Errorf("prepare voter %s: it has no voter row: %w", id, fleet.ErrNotFound)
	}
	key, err := p.cfg.Identity.FleetKey()
	if err != nil {
		return fmt.Errorf("prepare voter %s: %w", id, err)
	}
	in := handover{RaftID: id, FleetKey: key, Sealed: st.Fleet().SealedKeys, Roster: trust.RosterOf(st)}
	if err := p.call(ctx, id.Host(), PathPrepare, in, nil); err != nil {
		return fmt.Errorf("prepare voter %s: %w", id, err)
	}
	return nil
}

func (p *Port) prepareVoter(c *call) (any, error) {
	in, err := decode[handover](c)
	if err != nil {
		return nil, err
	}
	if in.RaftID.Host() != p.self {
		return nil, fmt.Errorf("raft id %s is not of %s: %w", in.RaftID, p.self, ErrForbidden)
	}
	takeKeys := func() error {
		if err := p.cfg.Identity.PutFleetKey(in.FleetKey, in.Sealed); err != nil {
			return err
		}
		// Without it the new log would refuse the leader: its State is empty.
		return p.cfg.Identity.PutRoster(in.Roster)
	}
	if err := p.cfg.Voter.Prepare(c.ctx, in.RaftID, takeKeys); err != nil {
		return nil, fmt.Errorf("open log %s: %w", in.RaftID, err)
	}
	p.cfg.Logs.Info("voter prepared", "raft_id", in.RaftID, "by", c.peer.Host)
	return nil, nil
}

// retirement tells a host that a RaftID of its is out of the configuration.
type retirement struct {
	RaftID fleet.RaftID `cbor:"1,keyasint"`
}

// RetireVoter tells a host that its RaftID is out of the raft configuration: it
// deletes that log and the fleet key. Again is safe.
func (p *Port) RetireVoter(ctx context.Context, id fleet.RaftID) error {
	if err := p.call(ctx, id.Host(), PathRetire, retirement{RaftID: id}, nil); err != nil {
		return fmt.Errorf("retire voter %s: %w", id, err)
	}
	return nil
}

func (p *Port) retireVoter(c *call) (any, error) {
	in, err := decode[retirement](c)
	if err != nil {
		return nil, err
	}
	if in.RaftID.Host() != p.self {
		return nil, fmt.Errorf("raft id %s is not of %s: %w", in.RaftID, p.self, ErrForbidden)
	}
	if err := p.cfg.Voter.Retire(c.ctx, in.RaftID); err != nil {
		return nil, fmt.Errorf("retire log %s: %w", in.RaftID, err)
	}
	p.cfg.Logs.Info("voter retired", "raft_id", in.RaftID, "by", c.peer.Host)
	return nil, nil
}

type probeRequest struct {
	Host fleet.HostID   `cbor:"1,keyasint"`
	Addr netip.AddrPort `cbor:"2,keyasint"` // as the leader's State has it
}

// probeAnswer is a witness's word; Starved takes its weight away.
type probeAnswer struct {
	Outcome detector.Outcome `cbor:"1,keyasint"`
	Starved bool             `cbor:"2,keyasint,omitempty"`
}

func (p *Port) probe(c *call) (any, error) {
	ask, err := decode[probeRequest](c)
	if err != nil {
		return nil, err
	}
	if !ask.Addr.IsValid() {
		return nil, fmt.Errorf("probe of %s without an address: %w", ask.Host, ErrMalformed)
	}
	return probeAnswer{Outcome: p.dialProbe(c.ctx, ask.Addr), Starved: p.starved()}, nil
}

func (p *Port) takeAges(c *call) (any, error) {
	if !c.log.IsLeader() {
		return nil, ErrNotLeader
	}
	ages, err := decode[detector.Ages](c)
	if err != nil {
		return nil, err
	}
	return p.detector.take(c.peer.Host, ages, c.log), nil
}
