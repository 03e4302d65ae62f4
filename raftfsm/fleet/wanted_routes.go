package fleet

import (
	"cmp"
	"slices"
)

// formatOfRoutes is the format that brought traffic: hosts that read less are sent
// nothing of it.
const formatOfRoutes = 2

// WantedRoutes are Routes as they are sent: all of them, or what changed. Routes.With
// puts together what a host has.
type WantedRoutes struct {
	// Whole says that it is all of them: nothing of before stays.
	Whole bool `cbor:"1,keyasint,omitempty"`
	// Rules are all listeners, rules and services; nil: they are as they were.
	Rules *RuleTable `cbor:"2,keyasint,omitempty"`
	// Groups are those of which the row or a target changed, by name, with all their targets.
	Groups []GroupTargets `cbor:"3,keyasint,omitempty"`
	// Keep names all groups that there are, where some were deleted; empty: all stay.
	Keep []TargetGroupName `cbor:"4,keyasint,omitempty"`
}

// RuleTable are the listeners, rules and services of Routes, in its order.
type RuleTable struct {
	Listeners []Listener      `cbor:"1,keyasint,omitempty"`
	Rules     []Rule          `cbor:"2,keyasint,omitempty"`
	Services  []RoutedService `cbor:"3,keyasint,omitempty"`
}

// RuleTable are the parts of the routes that are sent together.
func (r *Routes) RuleTable() *RuleTable {
	return &RuleTable{Listeners: r.Listeners, Rules: r.Rules, Services: r.Services}
}

// With returns what a host has that had r and is sent w. Neither changes; both may be
// shared with the result.
func (r Routes) With(w *WantedRoutes) Routes {
	if w == nil {
		return r
	}
	if w.Whole {
		r = Routes{}
	}
	if w.Rules != nil {
		r.Listeners, r.Rules, r.Services = w.Rules.Listeners, w.Rules.Rules, w.Rules.Services
	}
	if len(w.Groups)+len(w.Keep) > 0 {
		r.Groups = mergeGroups(r.Groups, w.Groups, w.Keep)
	}
	return r
}

// mergeGroups are the groups of two lists by name, those of the second where both have
// one. Of the first no others stay than keep names, where it names any. All are sorted.
func mergeGroups(was, now []GroupTargets, keep []TargetGroupName) []GroupTargets {
	merged := make([]GroupTargets, 0, len(was)+len(now))
	for len(was)+len(now) > 0 {
		order := 0
		switch {
		case len(was) == 0:
			order = 1
		case len(now) == 0:
			order = -1
		default:
			order = cmp.Compare(was[0].TargetGroup.Name, now[0].TargetGroup.Name)
		}
		if order >= 0 {
			merged, now = append(merged, now[0]), now[1:]
		} else if kept(keep, was[0].TargetGroup.Name) {
			merged = append(merged, was[0])
		}
		if order <= 0 {
			was = was[1:]
		}
	}
	return merged
}

func kept(keep []TargetGroupName, name TargetGroupName) bool {
	if len(keep) == 0 {
		return true
	}
	_, found := slices.BinarySearch(keep, name)
	return found
}

// ServesRoutes reports whether the host's agent knows of traffic.
func (h *Host) ServesRoutes() bool { return h.ReadsFormat() >= formatOfRoutes }

// routesMarkOf is the mark of what a host is sent of traffic; 0 for nothing.
func (s *State) routesMarkOf(h *Host) uint64 {
	if !h.ServesRoutes() {
		return 0
	}
	return s.fleet.Routes.Any
}

// wantedRoutes are all that a host is sent; nil while there is no such thing, or where
// the host does not read it.
func (s *State) wantedRoutes(h *Host) *WantedRoutes {
	if s.format() < formatOfRoutes || !h.ServesRoutes() {
		return nil
	}
	r := s.Routes()
	return &WantedRoutes{Whole: true, Rules: r.RuleTable(), Groups: r.Groups}
}

// wantedRoutesSince are what changed after an index. It costs nothing for groups that did
// not change, but where one was deleted.
func (s *State) wantedRoutesSince(index uint64) *WantedRoutes {
	mark := s.fleet.Routes
	w := &WantedRoutes{}
	if mark.Rules > index {
		table := s.ruleTable()
		w.Rules = table.RuleTable()
	}
	for g := range s.groupsChangedAfter(index) {
		w.Groups = append(w.Groups, GroupTargets{*g, s.Targets(g.Name)})
	}
	slices.SortFunc(w.Groups, func(a, b GroupTargets) int { return cmp.Compare(a.TargetGroup.Name, b.TargetGroup.Name) })
	if mark.Removed > index {
		for g := range s.TargetGroups() {
			w.Keep = append(w.Keep, g.Name)
		}
		w.Whole = len(w.Keep) == 0
		if w.Whole && w.Rules == nil {
			table := s.ruleTable()
			w.Rules = table.RuleTable()
		}
	}
	return w
}
