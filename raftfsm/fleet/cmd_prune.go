package fleet

import (
	"iter"
)

// Prune removes what is over and old: tasks stopped (and confirmed), hosts
// forgotten, tokens expired or used up, effects that ended, and names of removed services with
// their events, since before a time that is at least 1 h ago; receipts when they are older than
// 24 h too, deployments that ended when that is DeploymentKept ago. A command removes at most
// 10,000 rows of a table: while
// [State.Prunable] says so, there is more.
type Prune struct {
	Before Time `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (Prune) Kind() Kind { return KindPrune }

func (c Prune) apply(s *State, x *applyContext) ([]string, error) {
	if latest := x.now.Add(-PruneKept); c.Before > latest {
		return nil, refuse(ErrTooEarly, "prune before %s: the latest is %s", c.Before, latest)
	}
	for _, t := range s.prunableTasks(c.Before, maxPruned) {
		s.removeTask(x, t)
	}
	for _, h := range s.prunableHosts(c.Before, maxPruned) {
		s.removeHost(x, h)
	}
	for _, t := range s.prunableTokens(c.Before, maxPruned) {
		s.tokens.Delete(t.ID)
	}
	for _, r := range s.prunableReceipts(c.Before, maxPruned) {
		s.removeReceipt(r)
	}
	for _, e := range s.prunableEffects(c.Before, maxPruned) {
		s.removeEffect(e)
	}
	for _, d := range s.prunableDeployments(c.Before, maxPruned) {
		s.removeDeployment(x, d)
	}
	for _, f := range s.prunableNames(c.Before, maxPruned) {
		s.former.Delete(f.Name)
		s.dropServiceEvents(f.Name)
	}
	return nil, nil
}

// Prunable reports whether a Prune would remove anything, so that a quiet fleet
// writes nothing.
func (s *State) Prunable(before Time) bool {
	return len(s.prunableTasks(before, 1)) > 0 || len(s.prunableHosts(before, 1)) > 0 ||
		len(s.prunableTokens(before, 1)) > 0 || len(s.prunableReceipts(before, 1)) > 0 ||
		len(s.prunableNames(before, 1)) > 0 || len(s.prunableEffects(before, 1)) > 0 ||
		len(s.prunableDeployments(before, 1)) > 0
}

func (s *State) prunableTasks(before Time, most int) []*Task {
	var all []*Task
	s.stopped.Scan(func(t *Task) bool {
		if t.StoppedAt >= before || len(all) == most {
			return false
		}
		if !t.Unconfirmed {
			all = append(all, t)
		}
		return true
	})
	return all
}

// prunableHosts are forgotten ones. Their tasks stopped no later than they were
// forgotten, so they go in the same command, or before.
func (s *State) prunableHosts(before Time, most int) []*Host {
	voters := map[HostID]bool{} // forgotten ones retire first
	for v := range s.Voters() {
		voters[v.Host] = true
	}
	return collect(s.Hosts(), most, func(h *Host) bool {
		return h.State == HostForgotten && h.StateSince < before && !voters[h.ID]
	})
}

func (s *State) prunableTokens(before Time, most int) []*Token {
	return collect(s.Tokens(), most, func(t *Token) bool {
		return t.NotAfter < before || t.Kind == TokenJoin && t.Uses == 0 && t.UsedAt < before
	})
}

func (s *State) prunableReceipts(before Time, most int) []*ReceiptRow {
	before = min(before, s.now.Add(-ReceiptKept))
	var all []*ReceiptRow
	s.receiptsByAge.Scan(func(r *ReceiptRow) bool {
		if r.At > before || len(all) == most {
			return false
		}
		all = append(all, r)
		return true
	})
	return all
}

func (s *State) prunableEffects(before Time, most int) []*Effect {
	var all []*Effect
	for e := range s.endedEffects() {
		if e.EndedAt >= before || len(all) == most {
			break
		}
		all = append(all, e)
	}
	return all
}

// prunableDeployments are those that ended long ago, but for the newest of a service.
func (s *State) prunableDeployments(before Time, most int) []*Deployment {
	before = min(before, s.now.Add(-DeploymentKept))
	var all []*Deployment
	s.endedDeployments.Scan(func(d *Deployment) bool {
		if d.EndedAt >= before || len(all) == most {
			return false
		}
		if s.LastDeployment(d.Service) != d {
			all = append(all, d)
		}
		return true
	})
	return all
}

func (s *State) prunableNames(before Time, most int) []*FormerService {
	return collect(values(s.former), most, func(f *FormerService) bool { return f.RemovedAt < before })
}

func collect[R any](rows iter.Seq[*R], most int, take func(*R) bool) []*R {
	var all []*R
	for r := range rows {
		if len(all) == most {
			break
		}
		if take(r) {
			all = append(all, r)
		}
	}
	return all
}
