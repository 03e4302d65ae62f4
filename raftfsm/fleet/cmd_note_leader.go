package fleet

import (
	"fmt"
	"time"
)

const (
	// QuorumLostAfter is how long the fleet must have been without a leader for people to
	// hear of it, once there is one again: elections take a second or two.
	QuorumLostAfter = 10 * time.Second
	// leaderNewsAfter is how long a voter must not have led for its leadership to be
	// news: voters that take turns are no event each time.
	leaderNewsAfter = time.Minute
)

// NoteLeader records which voter leads, by its own word: the log alone knows it, and
// forgets. Refused unless the voter votes; a leader that led last is no change, but
// for the time without one that LeaderlessMs tells of: hooks of deployments have that much longer.
type NoteLeader struct {
	ID           RaftID `cbor:"1,keyasint"`
	LeaderlessMs int64  `cbor:"2,keyasint,omitempty"` // since it last heard a leader, or led itself
}

// Kind is the command's number in the log.
func (NoteLeader) Kind() Kind { return KindNoteLeader }

func (c NoteLeader) apply(s *State, x *applyContext) ([]string, error) {
	v := s.Voter(c.ID)
	if v == nil || v.Phase != VoterVoting {
		return nil, refuse(ErrNotFound, "note leader %s: no voter has this id and votes", quoted(string(c.ID)))
	}
	if err := checkRange("leaderlessMs", c.LeaderlessMs, 0, int64(maxTime)); err != nil {
		return nil, err
	}
	former := s.LastLeader()
	without := time.Duration(c.LeaderlessMs) * time.Millisecond
	if former == v && without < QuorumLostAfter {
		return nil, nil
	}
	next := *v
	next.LeadsSince = x.now
	s.putVoter(x, next)
	if without >= QuorumLostAfter {
		s.extendHooks(x, without)
	}
	host := s.Host(v.Host)
	switch {
	case without >= QuorumLostAfter:
		s.recordEvent(x, Event{By: "keeper", Code: "quorum-back", Subject: FleetSubject(), Message: fmt.Sprintf(
			"%s leads; for %s no leader was elected, and nothing that needs one was done", host.Name,
			without.Round(time.Second))})
	case former != nil && (v.LeadsSince == 0 || x.now.Sub(v.LeadsSince) >= leaderNewsAfter):
		s.recordEvent(x, Event{By: "keeper", Code: "leader-changed", Subject: FleetSubject(),
			Message: fmt.Sprintf("%s leads, after %s", host.Name, s.Host(former.Host).Name)})
	}
	return nil, nil
}

// LastLeader is the voter that became leader last, of those that are voters still; nil
// before one was noted. Who leads now, the log knows.
func (s *State) LastLeader() (last *Voter) {
	for v := range s.Voters() {
		if v.LeadsSince > 0 && (last == nil || v.LeadsSince > last.LeadsSince) {
			last = v
		}
	}
	return last
}
