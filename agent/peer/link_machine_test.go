package peer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// driver steps a link machine and keeps what it asked for last.
type driver struct {
	t       *testing.T
	m       *linkMachine
	now     time.Duration
	roster  trust.Roster
	actions []any
	log     []string // everything, for failures
}

// newDriver has voters v1 to vn; h is no voter.
func newDriver(t *testing.T, self fleet.HostID, n int) *driver {
	d := &driver{t: t, now: time.Hour}
	for i := 1; i <= n; i++ {
		d.roster.Voters = append(d.roster.Voters, trust.RosterVoter{Host: fleet.HostID(fmt.Sprintf("v%d", i)), Voting: true})
	}
	d.m = newLinkMachine(self, func(d time.Duration) time.Duration { return d })
	return d
}

func (d *driver) step(event any) {
	d.actions = d.m.step(d.now, d.roster, event)
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
		d.now = min(max(d.m.wake(d.now), d.now+time.Millisecond), end)
		d.step(linkTick{})
	}
}

func has[A any](d *driver) bool {
	return slices.ContainsFunc(d.actions, func(a any) bool { _, ok := a.(A); return ok })
}

const soon = 100 * time.Millisecond

// up brings the link up on its first voter and returns it.
func (d *driver) up(session uint64, frames ...VoterFrame) fleet.HostID {
	d.t.Helper()
	d.step(linkTick{})
	open := find[doOpen](d, soon)
	d.step(linkOpened{attempt: open.attempt, grant: SessionGrant{Epoch: 1, Index: 10, Session: session}})
	return d.dialled(session, frames...)
}

func (d *driver) dialled(session uint64, frames ...VoterFrame) fleet.HostID {
	d.t.Helper()
	dial := find[doDial](d, soon)
	d.step(linkDialled{attempt: dial.attempt})
	if frames == nil {
		frames = []VoterFrame{snapshot(session, 11)}
	}
	for _, f := range frames {
		d.frame(f)
	}
	return dial.voter
}

func snapshot(session, index uint64) VoterFrame {
	return VoterFrame{Kind: KindSnapshot, Epoch: 1, Index: index, Session: session}
}

func beat(session, index uint64) VoterFrame {
	return VoterFrame{Kind: KindBeat, Epoch: 1, Index: index, Session: session}
}

// frame hands a frame in, and takes it when it is delivered.
func (d *driver) frame(f VoterFrame) {
	d.step(linkFrame{attempt: d.m.attempt, frame: f})
	if has[doDeliver](d) {
		d.step(linkTaken{attempt: d.m.attempt, frame: f})
	}
}

// beats keeps the link fed.
func (d *driver) beats(session, index uint64, n int, leaderAge time.Duration) {
	for range n {
		d.now += VoterBeat
		f := beat(session, index)
		f.LeaderAgeMs = leaderAge.Milliseconds()
		d.frame(f)
		if d.m.phase != linkUp {
			return
		}
	}
}

func TestALinkOpensASessionThenAStream(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.step(linkTick{})
	open := find[doOpen](d, soon)
	d.step(linkOpened{attempt: open.attempt, grant: SessionGrant{Epoch: 1, Index: 10, Session: 4}})
	if tell := find[doSendAges](d, 0); tell.session != 4 {
		d.fatal("told session %d", tell.session)
	}
	dial := find[doDial](d, soon)
	if want := (position{epoch: 1, index: 10, session: 4}); dial.at != want {
		d.fatal("dialled at %+v, want %+v", dial.at, want)
	}
	d.step(linkDialled{attempt: dial.attempt})
	d.step(linkFrame{attempt: dial.attempt, frame: snapshot(4, 12)})
	find[doDeliver](d, 0)
}

func TestALinkResumesWhereItWas(t *testing.T) {
	d := newDriver(t, "h", 3)
	first := d.up(4)
	d.frame(beat(4, 20))
	d.step(linkEnded{attempt: d.m.attempt, err: errors.New("eof")})
	find[doClose](d, 0)
	dial := find[doDial](d, soon)
	if want := (position{epoch: 1, index: 20, session: 4, resume: true}); dial.at != want {
		d.fatal("dialled at %+v, want %+v", dial.at, want)
	}
	if dial.voter == first {
		d.fatal("dialled %s again at once", first)
	}
}

func TestALinkLeavesASilentVoter(t *testing.T) {
	d := newDriver(t, "h", 3)
	first := d.up(4)
	start := d.now
	d.actions = nil
	find[doClose](d, 2*time.Second)
	if took := d.now - start; took < VoterSilence || took > VoterSilence+soon {
		d.fatal("left after %s", took)
	}
	if dial := find[doDial](d, soon); dial.voter == first {
		d.fatal("dialled the silent one again")
	}
}

func TestALinkRefusesFrames(t *testing.T) {
	tests := map[string]VoterFrame{
		"of an older index":                 {Kind: KindDelta, Epoch: 1, Index: 10, Session: 4},
		"of an older epoch":                 {Kind: KindSnapshot, Epoch: 0, Index: 99, Session: 4},
		"of an earlier session":             {Kind: KindSnapshot, Epoch: 1, Index: 99, Session: 3},
		"of a later session":                {Kind: KindSnapshot, Epoch: 1, Index: 99, Session: 5},
		"that say goodbye":                  {Kind: KindClose, Why: &trust.Problem{Code: "try-again", Message: "stops"}},
		"that say goodbye without a reason": {Kind: KindClose},
	}
	for name, frame := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t, "h", 3)
			first := d.up(4)
			d.step(linkFrame{attempt: d.m.attempt, frame: frame})
			if has[doDeliver](d) {
				d.fatal("it was delivered")
			}
			find[doClose](d, 0)
			if dial := find[doDial](d, soon); dial.voter == first {
				d.fatal("asked the same voter again")
			}
		})
	}
	t.Run("a delta before any snapshot", func(t *testing.T) {
		d := newDriver(t, "h", 3)
		d.up(4, VoterFrame{Kind: KindDelta, Epoch: 1, Index: 11, Session: 4})
		if d.m.phase == linkUp {
			d.fatal("it was taken")
		}
	})
}

// Order is by epoch, then index: a fleet that was recovered goes on in the next
// epoch, from an index that may be lower.
func TestALinkFollowsTheFleetIntoTheNextEpoch(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.up(4)
	next := VoterFrame{Kind: KindSnapshot, Epoch: 2, Index: 5, Session: 4}
	d.step(linkFrame{attempt: d.m.attempt, frame: next})
	if !has[doDeliver](d) {
		d.fatal("it was not delivered")
	}
	d.step(linkTaken{attempt: d.m.attempt, frame: next})
	if d.m.epoch != 2 || d.m.index != 5 {
		d.fatal("it accepted epoch %d index %d", d.m.epoch, d.m.index)
	}
	d.step(linkFrame{attempt: d.m.attempt, frame: VoterFrame{Kind: KindSnapshot, Epoch: 1, Index: 99, Session: 4}})
	if has[doDeliver](d) {
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
	f := VoterFrame{Kind: KindDelta, Epoch: 1, Index: 12, Session: 4}
	d.step(linkFrame{attempt: d.m.attempt, frame: f})
	d.step(linkTaken{attempt: d.m.attempt, frame: f, err: errors.New("would stop too much")})
	find[doClose](d, 0)
	if dial := find[doDial](d, soon); dial.at.resume || dial.at.index != 11 {
		d.fatal("dialled at %+v", dial.at)
	}
}

func TestAnOldSessionIsOpenedAgainWithPatience(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.up(4)
	var waits []time.Duration
	for i := range 6 {
		d.step(linkOldSession{session: d.m.session})
		start := d.now
		open := find[doOpen](d, 5*time.Second)
		waits = append(waits, d.now-start)
		d.step(linkOpened{attempt: open.attempt, grant: SessionGrant{Epoch: 1, Index: 20, Session: uint64(5 + i)}})
		d.dialled(uint64(5+i), snapshot(uint64(5+i), uint64(21+i)))
	}
	if waits[0] > 300*time.Millisecond || waits[5] < time.Second || waits[5] > linkBackoffCap {
		d.fatal("waited %v: two agents with one identity must not fight at full speed", waits)
	}
	if d.m.phase != linkUp {
		d.fatal("not up")
	}
	d.step(linkOldSession{session: 1})
	if d.m.phase != linkUp {
		d.fatal("a report of a session long over ended the stream")
	}
}

func TestALinkPrefersAFresherLeader(t *testing.T) {
	d := newDriver(t, "h", 3)
	first := d.up(4)
	d.beats(4, 12, 3, StaleLeader-time.Second)
	if d.m.phase != linkUp {
		d.fatal("left a fresh voter")
	}
	d.beats(4, 12, 1, StaleLeader+time.Second)
	dial := find[doDial](d, soon)
	if dial.voter == first {
		d.fatal("stayed with the stale one")
	}
	// All are as stale: it stays somewhere rather than go round for ever.
	d.step(linkDialled{attempt: dial.attempt})
	moves := 0
	for range 60 {
		d.beats(4, 13, 1, 30*time.Second)
		if d.m.phase == linkUp {
			continue
		}
		moves++
		dial = find[doDial](d, soon)
		d.step(linkDialled{attempt: dial.attempt})
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
	d.beats(4, 12, int(homeAgain/VoterBeat)+5, 0)
	if d.m.phase != linkUp {
		d.fatal("the only voter left itself")
	}
	d.roster.Voters = append(d.roster.Voters, trust.RosterVoter{Host: "v2", Voting: true})
	d.beats(4, 12, 2, 0)
	if dial := find[doDial](d, soon); dial.voter != "v2" {
		d.fatal("dialled %s", dial.voter)
	}
}

func TestALinkTriesAllVotersThenWaits(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.step(linkTick{})
	seen := map[fleet.HostID]int{}
	start := d.now
	for range 30 {
		open := find[doOpen](d, 10*time.Second)
		seen[open.voter]++
		d.step(linkOpened{attempt: open.attempt, err: &dialError{errors.New("connection refused")}})
	}
	if len(seen) != 3 || seen["v1"] < 8 || seen["v2"] < 8 || seen["v3"] < 8 {
		d.fatal("asked %v", seen)
	}
	if took := d.now - start; took < 10*time.Second || took > 30*time.Second {
		d.fatal("30 tries in %s: neither a storm nor a sleep", took)
	}
}

func TestARefusedHostDoesNotHammer(t *testing.T) {
	for _, err := range []error{fleet.ErrForgotten, trust.ErrRevoked, trust.ErrWrongKey, ErrNotHere} {
		d := newDriver(t, "h", 1)
		d.step(linkTick{})
		open := find[doOpen](d, soon)
		d.step(linkOpened{attempt: open.attempt, err: fmt.Errorf("no: %w", err)})
		start := d.now
		find[doOpen](d, time.Minute)
		if took := d.now - start; took < notVoterPause {
			d.fatal("%v: asked again after %s", err, took)
		}
	}
}

func TestResultsOfAnEarlierAttemptAreIgnored(t *testing.T) {
	d := newDriver(t, "h", 3)
	d.up(4)
	old := d.m.attempt
	d.step(linkEnded{attempt: old, err: errors.New("eof")})
	dial := find[doDial](d, soon)
	d.step(linkDialled{attempt: dial.attempt})
	for _, event := range []any{
		linkEnded{attempt: old, err: errors.New("eof again")}, linkFrame{attempt: old, frame: snapshot(4, 99)},
		linkTaken{attempt: old, frame: snapshot(4, 99)}, linkDialled{attempt: old, err: errors.New("late")}, linkOpened{attempt: old},
	} {
		d.step(event)
		if d.m.phase != linkUp || d.m.index == 99 {
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
		a, b := preferred(self, three)[0], preferred(self, two)[0]
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
	part := func(index uint64, id fleet.TaskID, more bool) VoterFrame {
		return VoterFrame{Kind: KindSnapshot, Epoch: 1, Index: index, Session: 4, More: more, Tasks: []fleet.WantedTask{{ID: id}}}
	}
	d.step(linkFrame{attempt: d.m.attempt, frame: part(12, "a", true)})
	if has[doDeliver](d) {
		d.fatal("a part was delivered")
	}
	d.step(linkFrame{attempt: d.m.attempt, frame: part(12, "b", false)})
	if got := find[doDeliver](d, 0).frame; len(got.Tasks) != 2 || got.More {
		d.fatal("delivered %+v", got)
	}
	d.step(linkTaken{attempt: d.m.attempt, frame: part(12, "b", false)})
	d.step(linkFrame{attempt: d.m.attempt, frame: part(13, "a", true)})
	d.step(linkFrame{attempt: d.m.attempt, frame: part(14, "b", false)})
	if has[doDeliver](d) || d.m.phase == linkUp {
		d.fatal("parts of two frames were taken")
	}
	// What the next stream brings does not mix with what was left.
	d.dialled(4, part(15, "c", false))
	if d.m.index != 15 {
		d.fatal("index %d", d.m.index)
	}
}
