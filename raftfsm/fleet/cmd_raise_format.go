package fleet

import (
	"fmt"
	"strings"
)

// RaiseFormat raises the fleet's format, at once or when At has come. From then
// on commands and fields of that format may be proposed, and an older agent gets
// no session. Refused when it is not higher, when At is still to come and it is
// planned already, and when a voter or a host with a session reads less; lost
// hosts do not count. An older agent's OpenSession ends what was planned.
//
// With Force, which is for at once, only voters hold it back. Other hosts keep the
// session and the tasks that they have, get none that needs more (NeedsFormat), and
// are refused when their agent starts again without an upgrade.
type RaiseFormat struct {
	Format int  `cbor:"1,keyasint"`
	At     Time `cbor:"2,keyasint,omitempty"` // not before; zero: now
	Force  bool `cbor:"3,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (RaiseFormat) Kind() Kind { return KindRaiseFormat }

func (c RaiseFormat) apply(s *State, x *applyContext) ([]string, error) {
	f := *s.fleet
	if c.Format <= f.Format {
		return nil, refuse(ErrConflict, "raise format to %d: it is %d", c.Format, f.Format)
	}
	if c.Force && c.At > 0 {
		return nil, field("force", "is for at once: no time goes with it")
	}
	if behind := s.behind(c.Format, c.Force); len(behind) > 0 {
		return nil, refuse(ErrConflict, "raise format to %d: upgrade skein first on %s", c.Format, listBehind(behind))
	}
	if c.At > x.now {
		return nil, c.plan(s, x, f)
	}
	was, behind := f.Format, s.behind(c.Format, false)
	f.Format, f.NextFormat, f.NextFormatAt = c.Format, 0, 0
	s.putFleet(x, f)
	message := fmt.Sprintf("format raised from %d to %d: agents that read less are refused from now on", was, c.Format)
	if len(behind) > 0 {
		message += "; by force, though these do and get no task that needs more: " + listBehind(behind)
	}
	s.recordEvent(x, Event{By: "keeper", Code: "format-raised", Subject: FleetSubject(), Message: message})
	return nil, nil
}

// plan sets when the format is to be raised.
func (c RaiseFormat) plan(s *State, x *applyContext, f Fleet) error {
	if f.NextFormat == c.Format {
		return refuse(ErrConflict, "plan to raise format to %d: it is planned for %s", c.Format, f.NextFormatAt)
	}
	if c.At > maxTime {
		return field("at", "is %d: at most %d", c.At, maxTime)
	}
	f.NextFormat, f.NextFormatAt = c.Format, c.At
	s.putFleet(x, f)
	s.recordEvent(x, Event{By: "keeper", Code: "format-planned", Subject: FleetSubject(),
		Message: fmt.Sprintf("every agent reads format %d: it is raised from %d at %s; until then agents may go back",
			c.Format, f.Format, c.At)})
	return nil
}

// unplanFormat ends a plan to raise the format that an agent cannot follow, and
// reports whether there was one.
func (s *State) unplanFormat(x *applyContext, h *Host) bool {
	if s.fleet.NextFormat <= h.ReadsFormat() {
		return false
	}
	f := *s.fleet
	s.recordEvent(x, Event{By: "host " + h.Name, Code: "format-kept", Subject: FleetSubject(),
		Message: fmt.Sprintf("format stays at %d: the agent of %s reads %d, not %d", f.Format, h.Name, h.ReadsFormat(),
			f.NextFormat)})
	f.NextFormat, f.NextFormatAt = 0, 0
	s.putFleet(x, f)
	return true
}

// format is the fleet's; 0 without a fleet.
func (s *State) format() int {
	if s.fleet == nil {
		return 0
	}
	return s.fleet.Format
}

// ReadsFormat is the highest format that the host's agent reads.
func (h *Host) ReadsFormat() int { return max(h.Format, 1) }

// mustRead reports whether the host is to read whatever the fleet's format is.
// One without a session shows what it reads when it opens one.
func (h *Host) mustRead() bool {
	return h.Session.N > 0 && h.State != HostLost && h.State != HostForgotten
}

// behind lists the hosts that keep the fleet's format below one: those of voters,
// and, unless by force, all that have a session and are not lost.
func (s *State) behind(format int, force bool) (hosts []*Host) {
	for h := range s.Hosts() {
		if h.ReadsFormat() < format && (h.mustRead() && !force || s.VoterOf(h.ID) != nil) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// ReadFormat is the highest format that the fleet may be raised to now: what all
// voters and all hosts with a session read.
func (s *State) ReadFormat() int {
	format := s.VotersReadFormat()
	if format <= s.fleet.Format {
		return format // as good as always, and hosts are many
	}
	for h := range s.Hosts() {
		if h.mustRead() {
			format = min(format, h.ReadsFormat())
		}
	}
	return format
}

// VotersReadFormat is the highest format that all voters read.
func (s *State) VotersReadFormat() int {
	format := maxFormat
	for v := range s.Voters() {
		if h := s.Host(v.Host); h != nil {
			format = min(format, h.ReadsFormat())
		}
	}
	return format
}

// maxBehind is how many hosts a refusal names.
const maxBehind = 8

func listBehind(hosts []*Host) string {
	names := make([]string, 0, maxBehind)
	for _, h := range hosts[:min(maxBehind, len(hosts))] {
		names = append(names, fmt.Sprintf("%s (reads %d)", h.Name, h.ReadsFormat()))
	}
	text := strings.Join(names, ", ")
	if more := len(hosts) - maxBehind; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
