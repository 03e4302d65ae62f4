package sim

import (
	"fmt"
	"slices"
	"strings"
)

// shrinkMost bounds the lives that a shrinker tries.
const shrinkMost = 400

// Shrink drops deeds, hosts and knobs from a life for as long as a failure of the
// same name stays, and returns the smallest life found with its failure. say is
// told of progress.
func Shrink(l Life, f *Failure, say func(string)) (Life, *Failure) {
	s := &shrinker{life: l, failure: f, say: say}
	s.deeds()
	s.hosts()
	s.deeds()
	s.knobs()
	return s.life, s.failure
}

type shrinker struct {
	life    Life
	failure *Failure
	tries   int
	say     func(string)
}

// still reports whether a smaller life fails alike, and keeps it if it does.
func (s *shrinker) still(l Life) bool {
	if s.tries >= shrinkMost {
		return false
	}
	s.tries++
	_, f := Live(l)
	if f == nil || f.Name != s.failure.Name {
		return false
	}
	s.life, s.failure = l, f
	s.say(fmt.Sprintf("try %d: still %s with %d deeds on %d hosts", s.tries, f.Name, len(l.Deeds), len(l.Config.Hosts)))
	return true
}

// deeds drops runs of deeds, long ones first (delta debugging).
func (s *shrinker) deeds() {
	s.cutEnd()
	for size := max(len(s.life.Deeds)/2, 1); size >= 1; size /= 2 {
		for from := 0; from < len(s.life.Deeds); {
			l := s.life
			l.Deeds = slices.Delete(slices.Clone(l.Deeds), from, min(from+size, len(l.Deeds)))
			if !s.still(l) {
				from += size
			}
		}
	}
}

// cutEnd drops what was to happen after the failure.
func (s *shrinker) cutEnd() {
	l := s.life
	l.Deeds = slices.Clone(l.Deeds)
	l.Deeds = slices.DeleteFunc(l.Deeds, func(d Deed) bool { return d.At > s.failure.At })
	if len(l.Deeds) < len(s.life.Deeds) {
		s.still(l)
	}
}

// hosts drops hosts from the end, and the deeds that name them.
func (s *shrinker) hosts() {
	for len(s.life.Config.Hosts) > 1 {
		l := s.life
		last := l.Config.Hosts[len(l.Config.Hosts)-1].Name
		l.Config.Hosts = l.Config.Hosts[:len(l.Config.Hosts)-1]
		l.Dead = slices.DeleteFunc(slices.Clone(l.Dead), func(name string) bool { return name == last })
		l.Deeds = slices.DeleteFunc(slices.Clone(l.Deeds), func(d Deed) bool { return slices.Contains(strings.Fields(d.Text), last) })
		if !s.still(l) {
			return
		}
	}
}

// knobs puts constants back to production's.
func (s *shrinker) knobs() {
	for _, reset := range []func(*Knobs){
		func(k *Knobs) { k.AnswerLost, k.CallFails = 0, 0 },
		func(k *Knobs) { k.StreamCut = 0 },
		func(k *Knobs) { k.TickTwice = 0 },
		func(k *Knobs) { k.StaleFrame, k.LateReport = 0, 0 },
		func(k *Knobs) { k.Snapshot = 0 },
		func(k *Knobs) { k.Start, k.Pull, k.Sync, k.Starts = 0, 0, 0, 0 },
	} {
		l := s.life
		reset(&l.Config.Knobs)
		if l.Config.Knobs != s.life.Config.Knobs {
			s.still(l)
		}
	}
}

// String is a life as people and scenarios write it.
func (l Life) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# seed %d, knobs %+v\n# hosts", l.Config.Seed, l.Config.Knobs)
	for _, h := range l.Config.Hosts {
		fmt.Fprintf(&b, " %s=%s", h.Name, h.Zone)
	}
	fmt.Fprintf(&b, "\n# faults end after %s; never back: %v\n", l.For, l.Dead)
	for _, d := range l.Deeds {
		fmt.Fprintln(&b, d)
	}
	return b.String()
}
