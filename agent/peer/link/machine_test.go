package link

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// driver steps a link machine and keeps what it asked for last.
type driver struct {
	t       *testing.T
	m       *Machine
	now     time.Duration
	roster  trust.Roster
	actions []Effect
	log     []string // everything, for failures
}

// newDriver has voters v1 to vn; h is no voter.
func newDriver(t *testing.T, self fleet.HostID, n int) *driver {
	d := &driver{t: t, now: time.Hour}
	for i := 1; i <= n; i++ {
		d.roster.Voters = append(d.roster.Voters, trust.RosterVoter{Host: fleet.HostID(fmt.Sprintf("v%d", i)), Voting: true})
	}
	d.m = NewMachine(self, 0, 0, func(d time.Duration) time.Duration { return d })
	return d
}

func (d *driver) step(event Event) {
	d.actions = d.m.Step(d.now, d.roster, event)
	d.log = append(d.log, fmt.Sprintf("%s %T -> %s", d.now-time.Hour, event, d.m.phase))
	for _, a := range d.actions {
		d.log = append(d.log, fmt.Sprintf("    %T %+v", a, a))
	}
}

func (d *driver) fatal(format string, args ...any) {
	d.t.Helper()
	for _, line := range d.log[max(0, len(d.log)-30):] {
		d.t.Log(line)
	}
	d.t.Fatalf(format, args...)
}

// find returns the last action of a type, also from steps that pass until one
// comes, for at most a while.
func find[A any](d *driver, within time.Duration) A {
	d.t.Helper()
	for end := d.now + within; ; {
		for _, a := range d.actions {
			if a, ok := a.(A); ok {
				return a
			}
		}
		if d.now >= end {
			d.fatal("no %T within %s", *new(A), within)
		}
		d.now = min(max(d.m.Wake(d.now), d.now+time.Millisecond), end)
		d.step(Tick{})
	}
}

func has[A any](d *driver) bool {
	return slices.ContainsFunc(d.actions, func(a Effect) bool { _, ok := a.(A); return ok })
}

const soon = 100 * time.Millisecond

// up brings the link up on its first voter and returns it.
func (d *driver) up(session uint64, frames ...stream.VoterFrame) fleet.HostID {
	d.t.Helper()
	d.step(Tick{})
	open := find[OpenSession](d, soon)
	d.step(SessionOpened{Attempt: open.Attempt, Grant: protocol.SessionGrant{Epoch: 1, Index: 10, Session: session}})
	return d.dialled(session, frames...)
}

func (d *driver) dialled(session uint64, frames ...stream.VoterFrame) fleet.HostID {
	d.t.Helper()
	dial := find[Dial](d, soon)
	d.step(Dialled{Attempt: dial.Attempt})
	if frames == nil {
		frames = []stream.VoterFrame{snapshot(session, 11)}
	}
	for _, f := range frames {
		d.frame(f)
	}
	return dial.Voter
}

func frame(kind stream.Kind, epoch, index, session uint64) stream.VoterFrame {
	return stream.VoterFrame{Kind: kind, Wanted: fleet.Wanted{Epoch: epoch, Index: index, Session: session}}
}

func snapshot(session, index uint64) stream.VoterFrame {
	return frame(stream.KindSnapshot, 1, index, session)
}

func beat(session, index uint64) stream.VoterFrame {
	return frame(stream.KindBeat, 1, index, session)
}

// frame hands a frame in, and takes it when it is delivered.
func (d *driver) frame(f stream.VoterFrame) {
	d.step(FrameCame{Attempt: d.m.attempt, Frame: f})
	if has[Deliver](d) {
		d.step(FrameTaken{Attempt: d.m.attempt, Frame: f})
	}
}

// beats keeps the link fed.
func (d *driver) beats(session, index uint64, n int, leaderAge time.Duration) {
	for range n {
		d.now += protocol.VoterBeat
		f := beat(session, index)
		f.LeaderAgeMs = leaderAge.Milliseconds()
		d.frame(f)
		if d.m.phase != phaseUp {
			return
		}
	}
}

func TestALinkOpensASessionThenAStream(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.step(Tick{})
	open := find[OpenSession](d, soon)
	d.step(SessionOpened{Attempt: open.Attempt, Grant: protocol.SessionGrant{Epoch: 1, Index: 10, Session: 4}})
	if tell := find[TellSession](d, 0); tell.Session != 4 {
		d.fatal("told session %d", tell.Session)
	}
	dial := find[Dial](d, soon)
	if want := (stream.Position{Epoch: 1, Index: 10, Session: 4}); dial.At != want {
		d.fatal("dialled at %+v, want %+v", dial.At, want)
	}
	d.step(Dialled{Attempt: dial.Attempt})
	d.step(FrameCame{Attempt: dial.Attempt, Frame: snapshot(4, 12)})
	find[Deliver](d, 0)
}

func TestALinkResumesWhereItWas(t *testing.T) {
	d := newDriver(t, "h", 3)
	first := d.up(4)
	d.frame(beat(4, 20))
	d.step(StreamEnded{Attempt: d.m.attempt, Err: errors.New("eof")})
	find[HangUp](d, 0)
	dial := find[Dial](d, soon)
	if want := (stream.Position{Epoch: 1, Index: 20, Session: 4, Resume: true}); dial.At != want {
		d.fatal("dialled at %+v, want %+v", dial.At, want)
	}
	if dial.Voter == first {
		d.fatal("dialled %s again at once", first)
	}
}

func TestALinkLeavesASilentVoter(t *testing.T) {
	d := newDriver(t, "h", 3)
	first := d.up(4)
	start := d.now
	d.actions = nil
	find[HangUp](d, 2*time.Second)
	if took := d.now - start; took < VoterSilence || took > VoterSilence+soon {
		d.fatal("left after %s", took)
	}
	if dial := find[Dial](d, soon); dial.Voter == first {
		d.fatal("dialled the silent one again")
	}
}

func TestALinkRefusesFrames(t *testing.T) {
	tests := map[string]stream.VoterFrame{
		"of an older index":     frame(stream.KindDelta, 1, 10, 4),
		"of an older epoch":     frame(stream.KindSnapshot, 0, 99, 4),
		"of an earlier session": frame(stream.KindSnapshot, 1, 99, 3),
		"of a later session":    frame(stream.KindSnapshot, 1, 99, 5),
		"that say goodbye": {Kind: stream.KindClose,
			Why: &trust.Problem{Code: "try-again", Message: "stops"}},
		"that say goodbye without a reason": {Kind: stream.KindClose},
	}
	for name, frame := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t, "h", 3)
			first := d.up(4)
			d.step(FrameCame{Attempt: d.m.attempt, Frame: frame})
			if has[Deliver](d) {
				d.fatal("it was delivered")
			}
			find[HangUp](d, 0)
			if dial := find[Dial](d, soon); dial.Voter == first {
				d.fatal("asked the same voter again")
			}
		})
	}
	t.Run("a delta before any snapshot", func(t *testing.T) {
		d := newDriver(t, "h", 3)
		d.up(4, frame(stream.KindDelta, 1, 11, 4))
		if d.m.phase == phaseUp {
			d.fatal("it was taken")
		}
	})
}

// Order is by epoch, then index: a fleet that was recovered goes on in the next
// epoch, from an index that may be lower.
func TestALinkFollowsTheFleetIntoTheNextEpoch(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.up(4)
	next := frame(stream.KindSnapshot, 2, 5, 4)
	d.step(FrameCame{Attempt: d.m.attempt, Frame: next})
	if !has[Deliver](d) {
		d.fatal("it was not delivered")
	}
	d.step(FrameTaken{Attempt: d.m.attempt, Frame: next})
	if d.m.epoch != 2 || d.m.index != 5 {
		d.fatal("it accepted epoch %d index %d", d.m.epoch, d.m.index)
	}
	d.step(FrameCame{Attempt: d.m.attempt, Frame: frame(stream.KindSnapshot, 1, 99, 4)})
	if has[Deliver](d) {
		d.fatal("the epoch before was delivered")
	}
	d.m.accept(1, 99)
	if d.m.epoch != 2 || d.m.index != 5 {
		d.fatal("a grant of the epoch before took it to epoch %d index %d", d.m.epoch, d.m.index)
	}
}

func TestAFrameTheHostDoesNotTakeIsFollowedByASnapshot(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.up(4)
	f := frame(stream.KindDelta, 1, 12, 4)
	d.step(FrameCame{Attempt: d.m.attempt, Frame: f})
	d.step(FrameTaken{Attempt: d.m.attempt, Frame: f, Err: errors.New("would stop too much")})
	find[HangUp](d, 0)
	if dial := find[Dial](d, soon); dial.At.Resume || dial.At.Index != 11 {
		d.fatal("dialled at %+v", dial.At)
	}
}

func TestAnOldSessionIsOpenedAgainWithPatience(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.up(4)
	var waits []time.Duration
	for i := range 6 {
		d.step(SessionEnded{Session: d.m.session})
		start := d.now
		open := find[OpenSession](d, 5*time.Second)
		waits = append(waits, d.now-start)
		d.step(SessionOpened{Attempt: open.Attempt,
			Grant: protocol.SessionGrant{Epoch: 1, Index: 20, Session: uint64(5 + i)}})
		d.dialled(uint64(5+i), snapshot(uint64(5+i), uint64(21+i)))
	}
	if waits[0] > 300*time.Millisecond || waits[5] < time.Second || waits[5] > BackoffMost {
		d.fatal("waited %v: two agents with one identity must not fight at full speed", waits)
	}
	if d.m.phase != phaseUp {
		d.fatal("not up")
	}
	d.step(SessionEnded{Session: 1})
	if d.m.phase != phaseUp {
		d.fatal("a report of a session long over ended the stream")
	}
}

func TestALinkPrefersAFresherLeader(t *testing.T) {
	d := newDriver(t, "h", 3)
	first := d.up(4)
	d.beats(4, 12, 3, StaleLeader-time.Second)
	if d.m.phase != phaseUp {
		d.fatal("left a fresh voter")
	}
	d.beats(4, 12, 1, StaleLeader+time.Second)
	dial := find[Dial](d, soon)
	if dial.Voter == first {
		d.fatal("stayed with the stale one")
	}
	// All are as stale: it stays somewhere rather than go round for ever.
	d.step(Dialled{Attempt: dial.Attempt})
	moves := 0
	for range 60 {
		d.beats(4, 13, 1, 30*time.Second)
		if d.m.phase == phaseUp {
			continue
		}
		moves++
		dial = find[Dial](d, soon)
		d.step(Dialled{Attempt: dial.Attempt})
	}
	if moves > 15 {
		d.fatal("moved %d times in a minute", moves)
	}
}

func TestAVoterStreamsFromAnotherAndFromItselfOnlyAlone(t *testing.T) {
	d := newDriver(t, "v1", 1)
	if got := d.up(4); got != "v1" {
		d.fatal("streams from %s", got)
	}
	d.beats(4, 12, int(HomeAgain/protocol.VoterBeat)+5, 0)
	if d.m.phase != phaseUp {
		d.fatal("the only voter left itself")
	}
	d.roster.Voters = append(d.roster.Voters, trust.RosterVoter{Host: "v2", Voting: true})
	d.beats(4, 12, 2, 0)
	if dial := find[Dial](d, soon); dial.Voter != "v2" {
		d.fatal("dialled %s", dial.Voter)
	}
}

func TestALinkTriesAllVotersThenWaits(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.step(Tick{})
	seen := map[fleet.HostID]int{}
	start := d.now
	for range 30 {
		open := find[OpenSession](d, 10*time.Second)
		seen[open.Voter]++
		d.step(SessionOpened{Attempt: open.Attempt, Err: errors.New("connection refused")})
	}
	if len(seen) != 3 || seen["v1"] < 8 || seen["v2"] < 8 || seen["v3"] < 8 {
		d.fatal("asked %v", seen)
	}
	if took := d.now - start; took < 10*time.Second || took > 30*time.Second {
		d.fatal("30 tries in %s: neither a storm nor a sleep", took)
	}
}

// A dial that is not answered takes longer than the wait before the next: voters
// that time out must not keep a host from one that answers.
func TestALinkReachesTheVoterThatAnswersThoughOthersTimeOut(t *testing.T) {
	d := newDriver(t, "h", 3)
	order := Preferred("h", d.roster)
	d.step(Tick{})
	for range 3 {
		open := find[OpenSession](d, 10*time.Second)
		if open.Voter == order[2] {
			return
		}
		d.now += protocol.HandshakeTime
		d.step(SessionOpened{Attempt: open.Attempt, Err: errors.New("no answer")})
	}
	d.fatal("%s was not asked", order[2])
}

func TestARefusedHostDoesNotHammer(t *testing.T) {
	for _, err := range []error{
		fleet.ErrForgotten, fleet.ErrAgentTooOld, trust.ErrRevoked, trust.ErrWrongKey, protocol.ErrNotHere,
	} {
		d := newDriver(t, "h", 1)
		d.step(Tick{})
		open := find[OpenSession](d, soon)
		d.step(SessionOpened{Attempt: open.Attempt, Err: fmt.Errorf("no: %w", err)})
		start := d.now
		find[OpenSession](d, time.Minute)
		if took := d.now - start; took < notVoterPause {
			d.fatal("%v: asked again after %s", err, took)
		}
	}
}

// A host that was away while all voters that it knows were replaced learns of the new
// ones from those.
func TestAHostAsksAFormerVoterWhoVotes(t *testing.T) {
	for name, begin := range map[string]func(d *driver){
		"for a session": func(d *driver) {
			d.step(Tick{})
			open := find[OpenSession](d, soon)
			d.step(SessionOpened{Attempt: open.Attempt, Err: fmt.Errorf("no: %w", protocol.ErrNotHere)})
		},
		"for a stream": func(d *driver) {
			d.up(4)
			d.step(StreamEnded{Attempt: d.m.attempt, Err: errors.New("eof")})
			dial := find[Dial](d, time.Minute)
			d.step(Dialled{Attempt: dial.Attempt, Err: fmt.Errorf("no: %w", protocol.ErrNotHere)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t, "h", 1)
			begin(d)
			if ask := find[AskRoster](d, soon); ask.Of != d.m.left {
				d.fatal("asked %s, want %s", ask.Of, d.m.left)
			}
		})
	}
}

func TestResultsOfAnEarlierAttemptAreIgnored(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.up(4)
	old := d.m.attempt
	d.step(StreamEnded{Attempt: old, Err: errors.New("eof")})
	dial := find[Dial](d, soon)
	d.step(Dialled{Attempt: dial.Attempt})
	for _, event := range []Event{
		StreamEnded{Attempt: old, Err: errors.New("eof again")}, FrameCame{Attempt: old, Frame: snapshot(4, 99)},
		FrameTaken{Attempt: old, Frame: snapshot(4, 99)}, Dialled{Attempt: old, Err: errors.New("late")},
		SessionOpened{Attempt: old},
	} {
		d.step(event)
		if d.m.phase != phaseUp || d.m.index == 99 {
			d.fatal("%T of an earlier attempt was heeded", event)
		}
	}
}

func TestHostsSpreadOverVotersAndFewMove(t *testing.T) {
	three := newDriver(t, "h", 3).roster
	two := trust.Roster{Voters: three.Voters[:2]}
	count, moved := map[fleet.HostID]int{}, 0
	const n = 3000
	for i := range n {
		self := fleet.HostID(fmt.Sprintf("h-%04x", i))
		a, b := Preferred(self, three)[0], Preferred(self, two)[0]
		count[a]++
		if a != "v3" && a != b {
			moved++
		}
	}
	for v, got := range count {
		if got < n/3*9/10 || got > n/3*11/10 {
			t.Errorf("%s has %d of %d hosts", v, got, n)
		}
	}
	if moved != 0 {
		t.Errorf("%d hosts of voters that stayed moved", moved)
	}
}

func TestPartsOfAFrameCountAsOne(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.up(4)
	part := func(index uint64, id fleet.TaskID, more bool) stream.VoterFrame {
		f := frame(stream.KindSnapshot, 1, index, 4)
		f.More, f.Tasks = more, []fleet.WantedTask{{ID: id}}
		return f
	}
	d.step(FrameCame{Attempt: d.m.attempt, Frame: part(12, "a", true)})
	if has[Deliver](d) {
		d.fatal("a part was delivered")
	}
	d.step(FrameCame{Attempt: d.m.attempt, Frame: part(12, "b", false)})
	if got := find[Deliver](d, 0).Frame; len(got.Tasks) != 2 || got.More {
		d.fatal("delivered %+v", got)
	}
	d.step(FrameTaken{Attempt: d.m.attempt, Frame: part(12, "b", false)})
	d.step(FrameCame{Attempt: d.m.attempt, Frame: part(13, "a", true)})
	d.step(FrameCame{Attempt: d.m.attempt, Frame: part(14, "b", false)})
	if has[Deliver](d) || d.m.phase == phaseUp {
		d.fatal("parts of two frames were taken")
	}
	// What the next stream brings does not mix with what was left.
	d.dialled(4, part(15, "c", false))
	if d.m.index != 15 {
		d.fatal("index %d", d.m.index)
	}
}
