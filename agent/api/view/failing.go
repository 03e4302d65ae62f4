package view

import (
	"fmt"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// maxFailing bounds the hosts that are named for each listener.
const maxFailing = 16

// failing are the hosts that cannot serve a listener.
type failing struct {
	count int
	hosts []types.ListenerFailure // the first of them by id
}

// failingOf is what hosts that are heard say of a listener; nil: all serve it. The hosts are
// looked at once for all listeners of an answer.
func (v *View) failingOf(name fleet.ListenerName) *failing {
	if v.failing == nil {
		v.failing = map[fleet.ListenerName]*failing{}
		for h := range v.State.Hosts() {
			if h.Reachable() {
				v.addFailing(h)
			}
		}
	}
	return v.failing[name]
}

func (v *View) addFailing(h *fleet.Host) {
	for _, check := range h.SelfCheck {
		if check.OK || check.Listener == "" {
			continue
		}
		f := v.failing[check.Listener]
		if f == nil {
			f = &failing{}
			v.failing[check.Listener] = f
		}
		if f.count++; len(f.hosts) < maxFailing {
			f.hosts = append(f.hosts, types.ListenerFailure{Host: *v.hostRef(h.ID), Reason: types.Clean(check.Detail)})
		}
	}
}

// trafficAlarms are what people must hear of listeners and entry addresses at once.
func (v *View) trafficAlarms() (notes []string) {
	more := 0
	say := func(text string) {
		switch {
		case text == "":
		case len(notes) == maxAlarms:
			more++
		default:
			notes = append(notes, text)
		}
	}
	for e := range v.State.EntryAddresses() {
		row := v.EntryAddressRow(e)
		say(row.Trouble())
	}
	for l := range v.State.Listeners() {
		if v.failingOf(l.Name) != nil {
			row := v.ListenerRow(l)
			say(row.Failure())
		}
	}
	if more > 0 {
		notes = append(notes, fmt.Sprintf("so it is with %d more listeners or entry addresses", more))
	}
	return notes
}
