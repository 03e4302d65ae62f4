package link

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

func threeVoters() []fleet.HostID { return []fleet.HostID{"v1", "v2", "v3"} }

func report(seq uint64) fleet.Report { return fleet.Report{Host: "h", Session: 4, Seq: seq} }

func TestAReportGoesFromVoterToVoterUntilOneCommitsIt(t *testing.T) {
	var o Outbox
	o.Offer(report(1))
	now, asked := time.Hour, []fleet.HostID{}
	for range 7 {
		s, ok := o.Next(now, threeVoters)
		if !ok {
			if _, sooner := o.Next(o.Due()-1, threeVoters); sooner {
				t.Fatal("a round begins before it is due")
			}
			now = o.Due()
			continue
		}
		if _, twice := o.Next(now, threeVoters); twice {
			t.Fatal("two sends are under way")
		}
		asked = append(asked, s.Voter)
		if fate := o.Answered(now, s, fmt.Errorf("no word: %w", protocol.ErrUnknown)); fate != Pending {
			t.Fatalf("fate %d of an unknown outcome", fate)
		}
	}
	if want := []fleet.HostID{"v1", "v2", "v3", "v1", "v2", "v3"}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
	now = o.Due()
	s, _ := o.Next(now, threeVoters)
	if fate := o.Answered(now, s, nil); fate != Committed || o.Due() != protocol.Never {
		t.Errorf("fate %d, next due %s after it was committed", fate, o.Due())
	}
}

func TestWhatEndsAReport(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		fate Fate
		ends bool
	}{
		{"it is committed", nil, Committed, true},
		{"its session is over", fleet.ErrOldSession, OldSession, true},
		{"it is invalid", fleet.ErrInvalid, Refused, true},
		{"it is too large", protocol.ErrTooLarge, Refused, true},
		{"it is malformed", protocol.ErrMalformed, Refused, true},
		{"it is another host's", protocol.ErrForbidden, Refused, true},
		{"the voter is behind", protocol.ErrBehind, Pending, false},
		{"the voter is busy", protocol.ErrBusy, Pending, false},
		{"nobody knows", protocol.ErrUnknown, Pending, false},
		{"no connection", errors.New("connection refused"), Pending, false},
	} {
		var o Outbox
		o.Offer(report(1))
		s, _ := o.Next(time.Hour, threeVoters)
		fate := o.Answered(time.Hour, s, tt.err)
		if fate != tt.fate || (o.Due() == protocol.Never) != tt.ends {
			t.Errorf("%s: fate %d, ended %v, want %d and %v", tt.name, fate, o.Due() == protocol.Never, tt.fate, tt.ends)
		}
	}
}

func TestTheNewestReportIsSent(t *testing.T) {
	var o Outbox
	o.Offer(report(2))
	first, _ := o.Next(time.Hour, threeVoters)
	o.Offer(report(1)) // older: dropped
	o.Offer(report(3))
	if fate := o.Answered(time.Hour, first, fmt.Errorf("no word: %w", protocol.ErrUnknown)); fate != Pending {
		t.Fatalf("fate %d", fate)
	}
	second, ok := o.Next(time.Hour, threeVoters)
	if !ok || second.Report.Seq != 3 || second.Voter != "v1" {
		t.Fatalf("sends %+v (%v), want the newest to the first voter at once", second, ok)
	}
	// The answer to a send that was answered before changes nothing.
	if fate := o.Answered(time.Hour, first, nil); fate != Pending {
		t.Errorf("a late answer has fate %d", fate)
	}
	if fate := o.Answered(time.Hour, second, nil); fate != Committed {
		t.Errorf("fate %d", fate)
	}
}

// A report that was overtaken while it was under way was committed all the same.
func TestAnOvertakenReportIsAcknowledged(t *testing.T) {
	var o Outbox
	o.Offer(report(1))
	s, _ := o.Next(time.Hour, threeVoters)
	o.Offer(report(2))
	if fate := o.Answered(time.Hour, s, nil); fate != Committed {
		t.Errorf("fate %d, want committed", fate)
	}
	if next, ok := o.Next(time.Hour, threeVoters); !ok || next.Report.Seq != 2 {
		t.Errorf("sends %+v (%v), want the newer one", next, ok)
	}
}

func TestAHostThatKnowsNoVoterKeepsItsReport(t *testing.T) {
	var o Outbox
	o.Offer(report(1))
	if _, ok := o.Next(time.Hour, func() []fleet.HostID { return nil }); ok {
		t.Fatal("sent to nobody")
	}
	if wait := o.Due() - time.Hour; wait <= 0 || wait > BackoffMost {
		t.Fatalf("tries again after %s", wait)
	}
	if _, ok := o.Next(o.Due(), threeVoters); !ok {
		t.Error("not sent once a voter is known")
	}
}

func TestReportsGoToTheVoterStreamedFromFirst(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status Status
		want   []fleet.HostID
	}{
		{"streamed from", Status{Up: true, Voter: "v2"}, []fleet.HostID{"v2", "v1", "v3"}},
		{"streamed from one that is no voter by the roster", Status{Up: true, Voter: "v9"},
			[]fleet.HostID{"v9", "v1", "v2", "v3"}},
		{"lost a moment ago", Status{Voter: "v1", Left: "v1"}, []fleet.HostID{"v2", "v3", "v1"}},
		{"none yet", Status{}, []fleet.HostID{"v1", "v2", "v3"}},
	} {
		if got := tt.status.ReportTo(threeVoters()); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
