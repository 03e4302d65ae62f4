package raftfsm

import (
	"errors"
	"os"
	"path"
	"time"

	"skein/runtime/seam/clock"
)

// probeName is a file beside the segments that says itself what it is for.
const (
	probeName = "probe"
	probeText = "skein writes this file to learn whether the disk of its log answers\n"
)

// probeDisk writes to the log's disk where nobody else does, and runs until the
// node stops. An idle leader appends nothing: without this a disk that stalls or
// fails would show only at the next write, and until then its node would lead,
// say that its State is fresh, and count as a healthy voter.
//
// It is not a part of watchDisk, since it hangs with the disk.
func (n *Node) probeDisk() {
	every := n.cfg.Timing.Probe
	timer := time.NewTimer(clock.UntilNext(n.cfg.Clock.Mono(), every))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if n.store.probe(every) != nil {
				return // the store has told why, and takes no more writes
			}
			timer.Reset(clock.UntilNext(n.cfg.Clock.Mono(), every))
		case <-n.stop:
			return
		}
	}
}

// probe is a write like any other to the watchdog and to whoever meets its error.
// It does nothing where the log itself was written to within the last idle time.
func (s *store) probe(idle time.Duration) error {
	if began, any := s.pending.newest(); any && s.clock.Mono()-began < idle {
		return nil
	}
	return s.write("probe the disk", s.writeProbe)
}

func (s *store) writeProbe() error {
	f, err := s.fs.OpenFile(path.Join(s.dir, probeName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt([]byte(probeText), 0); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
