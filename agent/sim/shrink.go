package sim

import (
	"fmt"
	"slices"
	"strings"
)

// shrinkMost bounds the lives that a shrinker tries.
const shrinkMost = 400

// Shrink drops operations, hosts and knobs from a life for as long as a failure of the
// same name stays, and returns the smallest life found with its failure. say is
// told of progress.
func Shrink(l Run, f *Failure, say func(string)) (Run, *Failure) {
	s := &shrinker{run: l, failure: f, say: say}
	s.operations()
	s.hosts()
	s.operations()
	s.tuning()
	return s.run, s.failure
}

type shrinker struct {
	run     Run
	failure *Failure
	tries   int
	say     func(string)
}

// still reports whether a smaller life fails alike, and keeps it if it does.
func (s *shrinker) still(l Run) bool {
	if s.tries >= shrinkMost {
		return false
	}
	s.tries++
	_, f := Live(l)
	if f == nil || f.Name != s.failure.Name {
		return false
	}
	s.run, s.failure = l, f
	s.say(fmt.Sprintf("try %d: still %s with %d operations on %d hosts", s.tries, f.Name, len(l.Operations),
		len(l.Config.Hosts)))
	return true
}

// operations drops runs of operations, long ones first (delta debugging).
func (s *shrinker) operations() {
	s.cutEnd()
	for size := max(len(s.run.Operations)/2, 1); size >= 1; size /= 2 {
		for from := 0; from < len(s.run.Operations); {
			l := s.run
			l.Operations = slices.Delete(slices.Clone(l.Operations), from, min(from+size, len(l.Operations)))
			if !s.still(l) {
				from += size
			}
		}
	}
}

// cutEnd drops what was to happen after the failure.
func (s *shrinker) cutEnd() {
	l := s.run
	l.Operations = slices.Clone(l.Operations)
	l.Operations = slices.DeleteFunc(l.Operations, func(d Operation) bool { return d.At > s.failure.At })
	if len(l.Operations) < len(s.run.Operations) {
		s.still(l)
	}
}

// hosts drops hosts from the end, and the operations that name them.
func (s *shrinker) hosts() {
	for len(s.run.Config.Hosts) > 1 {
		l := s.run
		last := l.Config.Hosts[len(l.Config.Hosts)-1].Name
		l.Config.Hosts = l.Config.Hosts[:len(l.Config.Hosts)-1]
		l.Dead = slices.DeleteFunc(slices.Clone(l.Dead), func(name string) bool { return name == last })
		l.Operations = slices.DeleteFunc(slices.Clone(l.Operations), func(d Operation) bool {
			return slices.Contains(strings.Fields(d.Text), last)
		})
		if !s.still(l) {
			return
		}
	}
}

// tuning puts constants back to production's.
func (s *shrinker) tuning() {
	for _, reset := range []func(*Tuning){
		func(k *Tuning) { k.AnswerLost, k.CallFails = 0, 0 },
		func(k *Tuning) { k.StreamCut = 0 },
		func(k *Tuning) { k.TickTwice = 0 },
		func(k *Tuning) { k.StaleFrame, k.LateReport = 0, 0 },
		func(k *Tuning) { k.Snapshot = 0 },
		func(k *Tuning) { k.Start, k.Pull, k.Sync, k.Starts = 0, 0, 0, 0 },
	} {
		l := s.run
		reset(&l.Config.Tuning)
		if l.Config.Tuning != s.run.Config.Tuning {
			s.still(l)
		}
	}
}

// String is a life as people and scenarios write it.
func (l Run) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# seed %d, knobs %+v\n# hosts", l.Config.Seed, l.Config.Tuning)
	for _, h := range l.Config.Hosts {
		fmt.Fprintf(&b, " %s=%s", h.Name, h.Zone)
	}
	fmt.Fprintf(&b, "\n# faults end after %s; never back: %v\n", l.For, l.Dead)
	for _, d := range l.Operations {
		fmt.Fprintln(&b, d)
	}
	return b.String()
}
