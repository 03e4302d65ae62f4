package invariant

import (
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func TestHostsThatComeAndGoAreHeldBackLongerEachTime(t *testing.T) {
	silence := func(r *rig, flaps int) {
		r.c.Linked("h2", 0, 1)
		r.by("hosts", fleet.SilenceHost{Host: "h2", Session: r.s.Host("h2").Session.N, Flaps: flaps})
	}
	back := func(r *rig, after time.Duration) {
		r.pass(after)
		r.c.Linked("h2", 1, 1)
		r.by("hosts", fleet.ReturnHost{Host: "h2", Session: r.s.Host("h2").Session.N})
	}
	// flapped has fallen silent so many times in a row, and is so again.
	flapped := func(r *rig, flaps int) {
		for flap := range flaps {
			silence(r, flap)
			back(r, 2*time.Minute)
		}
		silence(r, flaps)
	}
	tell(t, []story{
		{"back after 3 s", "", func(r *rig) { flapped(r, 0); back(r, 3*time.Second) }},
		{"back too soon", "silence", func(r *rig) { flapped(r, 0); back(r, 3*time.Second-1) }},
		{"back from its first flap after 15 s", "", func(r *rig) { flapped(r, 1); back(r, 15*time.Second) }},
		{"back too soon from its first flap", "silence", func(r *rig) { flapped(r, 1); back(r, 14*time.Second) }},
		{"back from its third flap after a minute", "", func(r *rig) { flapped(r, 3); back(r, time.Minute) }},
		{"back too soon from its third flap", "silence", func(r *rig) { flapped(r, 3); back(r, 59*time.Second) }},
		{"back from its fifth flap after two minutes", "", func(r *rig) { flapped(r, 5); back(r, 2*time.Minute) }},
		{"back too soon from its fifth flap", "silence", func(r *rig) { flapped(r, 5); back(r, 119*time.Second) }},
		{"it is to be heard in the session that it opens", "silence", func(r *rig) {
			flapped(r, 1)
			r.pass(time.Minute)
			r.open("h2", "boot-2")
			back(r, 14*time.Second)
		}},
		{"the row of silences is not counted", "silence", func(r *rig) {
			flapped(r, 1)
			back(r, time.Minute)
			silence(r, 1)
		}},
		{"a silence long after the return begins a new row", "", func(r *rig) {
			flapped(r, 1)
			back(r, time.Minute)
			r.pass(5 * time.Minute)
			silence(r, 0)
		}},
		{"a silence after an unnoticed reboot begins a new row", "", func(r *rig) {
			flapped(r, 0)
			back(r, time.Minute)
			r.open("h2", "boot-2")
			silence(r, 0)
		}},
	})
}

func TestSealedKeysFollowOneAnother(t *testing.T) {
	keys := func(version int) fleet.PutSealedKeys {
		return fleet.PutSealedKeys{Keys: fleet.SealedKeys{Version: version, CA: make([]byte, 8), Gossip: make([]byte, 8)}}
	}
	tell(t, []story{
		{"one after the other", "", func(r *rig) { r.do(keys(2), keys(3)) }},
		{"the same version twice", "keys", func(r *rig) {
			r.do(keys(2))
			r.c.Committed(Entry{Index: r.s.Index() + 1, Term: r.term, Entry: fleet.Entry{At: dawn.Add(r.clock),
				Items: []fleet.Item{{Command: keys(2)}}}, Results: make([]fleet.Result, 1), After: r.s})
		}},
	})
}
