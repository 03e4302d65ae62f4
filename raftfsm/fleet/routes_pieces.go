package fleet

import "fmt"

// Bounds of one piece of routes, so that none comes near what one message, or one record
// of a file, may have: rules with all conditions and names at their limit, and listeners with
// all certificates, are 15 KiB each, targets with names and reasons at theirs 1 KiB, groups
// and services 4 KiB.
const (
	pieceListeners = 32
	pieceRules     = 32
	pieceServices  = 128
	pieceTargets   = 1_024
	pieceGroups    = 128
	// maxTargets bounds what a host puts together: twice what the largest fleet runs.
	maxTargets = MaxTasks
)

// Split cuts routes into pieces, at least one, that Join puts together again.
func (w *WantedRoutes) Split() []*WantedRoutes {
	var pieces []*WantedRoutes
	rest := *w
	for {
		piece := rest
		room := pieceTargets
		piece.Groups = nil
		if rest.Rules.large() {
			piece.Rules, rest.Rules = rest.Rules.cut()
			piece.Keep = nil
			pieces = append(pieces, &piece)
			continue
		}
		for len(rest.Groups) > 0 && len(piece.Groups) < pieceGroups && room > 0 {
			g := rest.Groups[0]
			if len(g.Targets) > room {
				piece.Groups = append(piece.Groups, GroupTargets{g.TargetGroup, g.Targets[:room:room]})
				rest.Groups = append([]GroupTargets{{g.TargetGroup, g.Targets[room:]}}, rest.Groups[1:]...)
				room = 0
				break
			}
			room -= len(g.Targets)
			piece.Groups = append(piece.Groups, g)
			rest.Groups = rest.Groups[1:]
		}
		rest.Rules = nil
		if len(rest.Groups) == 0 {
			return append(pieces, &piece)
		}
		piece.Keep = nil
		pieces = append(pieces, &piece)
	}
}

// large reports whether the table is too much for one piece.
func (t *RuleTable) large() bool {
	return t != nil && (len(t.Listeners) > pieceListeners || len(t.Rules) > pieceRules || len(t.Services) > pieceServices)
}

// cut parts what fits into one piece from the rest.
func (t *RuleTable) cut() (head, rest *RuleTable) {
	head, rest = &RuleTable{}, &RuleTable{}
	head.Listeners, rest.Listeners = cutAt(t.Listeners, pieceListeners)
	head.Rules, rest.Rules = cutAt(t.Rules, pieceRules)
	head.Services, rest.Services = cutAt(t.Services, pieceServices)
	return head, rest
}

func cutAt[E any](list []E, most int) (head, rest []E) {
	n := min(len(list), most)
	return list[:n:n], list[n:]
}

// Join adds the next piece of routes that Split cut; either may be nil. What it returns
// may share memory with both.
func (w *WantedRoutes) Join(next *WantedRoutes) (*WantedRoutes, error) {
	if w == nil || next == nil {
		if w == nil {
			return next, nil
		}
		return w, nil
	}
	joined := *w
	if next.Rules != nil {
		if w.Rules == nil {
			joined.Rules = next.Rules
		} else {
			joined.Rules = &RuleTable{Listeners: append(w.Rules.Listeners, next.Rules.Listeners...),
				Rules:    append(w.Rules.Rules, next.Rules.Rules...),
				Services: append(w.Rules.Services, next.Rules.Services...)}
		}
	}
	for _, g := range next.Groups {
		if last := len(joined.Groups) - 1; last >= 0 && joined.Groups[last].TargetGroup.Name == g.TargetGroup.Name {
			joined.Groups[last].Targets = append(joined.Groups[last].Targets, g.Targets...)
			continue
		}
		joined.Groups = append(joined.Groups, g)
	}
	joined.Keep = append(w.Keep, next.Keep...)
	return &joined, joined.checkSize()
}

// checkSize refuses more than a fleet may have.
func (w *WantedRoutes) checkSize() error {
	targets := 0
	for i := range w.Groups {
		targets += len(w.Groups[i].Targets)
	}
	switch {
	case targets > maxTargets || len(w.Groups) > MaxTargetGroups || len(w.Keep) > MaxTargetGroups:
		return fmt.Errorf("routes of %d target groups with %d targets: %w", len(w.Groups), targets, ErrLimit)
	case w.Rules != nil && (len(w.Rules.Rules) > (MaxListeners+MaxAliases)*(MaxListenerRules+1) ||
		len(w.Rules.Services) > MaxTargetGroups):
		return fmt.Errorf("routes of %d rules and %d services: %w", len(w.Rules.Rules), len(w.Rules.Services), ErrLimit)
	}
	return nil
}
