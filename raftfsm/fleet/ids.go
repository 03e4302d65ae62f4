package fleet

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

type (
	// FleetID names a fleet for ever; random, made by init.
	FleetID string
	// HostID names a host's identity: random, chosen by the fleet when it admits
	// the host, carried in its certificate. "h-" and 16 hex digits.
	HostID string
	// RaftID is a HostID, a dot and a number that is new for every empty log, so
	// that a wiped disk can never vote twice under one name.
	RaftID string
	// TaskID is 32 hex digits, never reused.
	TaskID string
	// TaskDefID is "family:revision".
	TaskDefID string
	// RevisionID is "service/n".
	RevisionID string
	// TokenID is the public half of a token, in clear in State.
	TokenID string
)

// MakeRaftID returns the RaftID of a host's n-th log.
func MakeRaftID(host HostID, n int) RaftID { return RaftID(fmt.Sprintf("%s.%d", host, n)) }

// Host returns the identity the RaftID belongs to.
func (id RaftID) Host() HostID {
	host, _, _ := strings.Cut(string(id), ".")
	return HostID(host)
}

// MakeTaskDefID returns "family:revision".
func MakeTaskDefID(family string, revision int) TaskDefID {
	return TaskDefID(family + ":" + strconv.Itoa(revision))
}

// Split returns family and revision; revision is 0 where the id has none.
func (id TaskDefID) Split() (family string, revision int) { return splitNumbered(string(id), ":") }

// MakeRevisionID returns "service/n".
func MakeRevisionID(service string, n int) RevisionID {
	return RevisionID(service + "/" + strconv.Itoa(n))
}

// Split returns service and number; the number is 0 where the id has none.
func (id RevisionID) Split() (service string, n int) { return splitNumbered(string(id), "/") }

func splitNumbered(id, separator string) (name string, n int) {
	at := strings.LastIndex(id, separator)
	if at < 0 {
		return id, 0
	}
	n, err := strconv.Atoi(id[at+1:])
	if err != nil || n < 0 {
		return id, 0
	}
	return id[:at], n
}

// Time is UTC milliseconds since 1970; zero means "not yet". It is fleet time:
// stamped by a proposer, and never going back (see [State.Now]).
type Time int64

// TimeOf converts a wall-clock time.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Std returns the time as a time.Time in UTC; the zero Time gives the zero time.Time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// Add returns t moved by d, in whole milliseconds.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// Sub returns t - u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Millisecond }

// String is RFC 3339 with milliseconds, or "never".
func (t Time) String() string {
	if t == 0 {
		return "never"
	}
	return t.Std().Format("2006-01-02T15:04:05.000Z07:00")
}
