package route

import (
	"cmp"
	"slices"

	"skein/raftfsm/fleet"
)

// Rule is a fleet.Rule, ready to be asked.
type Rule struct {
	Noun       fleet.Rule
	conditions []condition
	// broken is why the rule takes nothing: this agent cannot ask one of its conditions.
	broken  error
	forward *forward

	Requests *Counter
}

func (r *Rule) holds(request *Request) bool {
	if r.broken != nil {
		return false
	}
	for i := range r.conditions {
		if !r.conditions[i].holds(request) {
			return false
		}
	}
	return true
}

// ruleSet finds the rule of a request among many: by its host, then by the first segment of
// its path, then one by one.
type ruleSet struct {
	rules []*Rule // in the order in which they are asked
	hosts map[string]*bucket
	rest  bucket
}

// bucket has positions in ruleSet.rules, in order.
type bucket struct {
	segments map[string][]int32
	rest     []int32
}

func newRuleSet(rules []*Rule) *ruleSet {
	slices.SortStableFunc(rules, func(a, b *Rule) int { return cmp.Compare(order(a), order(b)) })
	set := &ruleSet{rules: rules, hosts: map[string]*bucket{}}
	for i, rule := range rules {
		for _, b := range set.bucketsOf(rule) {
			b.add(int32(i), rule)
		}
	}
	return set
}

// order has the default rule, whose priority is 0, last.
func order(r *Rule) int {
	if r.Noun.Priority == 0 {
		return 1 << 30
	}
	return r.Noun.Priority
}

func (s *ruleSet) bucketsOf(rule *Rule) []*bucket {
	values := exactValues(rule, fleet.FieldHost)
	if values == nil {
		return []*bucket{&s.rest}
	}
	var found []*bucket
	for _, value := range values {
		if s.hosts[value] == nil {
			s.hosts[value] = &bucket{}
		}
		found = append(found, s.hosts[value])
	}
	return found
}

// exactValues are those of a condition on the field that has no pattern with a wildcard;
// nil: the rule has none such. Each is there once.
func exactValues(rule *Rule, field fleet.ConditionField) []string {
	for i := range rule.conditions {
		c := &rule.conditions[i]
		if c.field != field || slices.ContainsFunc(c.patterns, func(p pattern) bool { return !p.exact }) {
			continue
		}
		var values []string
		for _, p := range c.patterns {
			values = append(values, p.text)
		}
		slices.Sort(values)
		return slices.Compact(values)
	}
	return nil
}

func (b *bucket) add(at int32, rule *Rule) {
	segments := segmentsOf(rule)
	if segments == nil {
		b.rest = append(b.rest, at)
		return
	}
	if b.segments == nil {
		b.segments = map[string][]int32{}
	}
	for _, segment := range segments {
		b.segments[segment] = append(b.segments[segment], at)
	}
}

// segmentsOf are the first segments of all paths that the rule takes; nil: they cannot be listed.
func segmentsOf(rule *Rule) []string {
	for i := range rule.conditions {
		if rule.conditions[i].field != fleet.FieldPath {
			continue
		}
		var segments []string
		for _, p := range rule.conditions[i].patterns {
			segment, ok := p.firstSegment()
			if !ok {
				return nil
			}
			segments = append(segments, segment)
		}
		slices.Sort(segments)
		return slices.Compact(segments)
	}
	return nil
}

// find returns the first rule that holds; nil: none does.
func (s *ruleSet) find(r *Request) *Rule {
	var lists [4][]int32
	segment := segmentOf(r.Path)
	if b := s.bucketOf(r.Host); b != nil {
		lists[0], lists[1] = b.segments[string(segment)], b.rest
	}
	lists[2], lists[3] = s.rest.segments[string(segment)], s.rest.rest
	for {
		next := takeFirst(&lists)
		if next < 0 {
			return nil
		}
		if s.rules[next].holds(r) {
			return s.rules[next]
		}
	}
}

func (s *ruleSet) bucketOf(host []byte) *bucket {
	if len(s.hosts) == 0 || len(host) > 255 {
		return nil
	}
	var small [255]byte
	fold := pattern{fold: true}
	for i, b := range host {
		small[i] = fold.folded(b)
	}
	return s.hosts[string(small[:len(host)])]
}

// takeFirst takes the smallest of the first positions off its list; -1: all are empty.
func takeFirst(lists *[4][]int32) int32 {
	from := -1
	for i := range lists {
		if len(lists[i]) > 0 && (from < 0 || lists[i][0] < lists[from][0]) {
			from = i
		}
	}
	if from < 0 {
		return -1
	}
	first := lists[from][0]
	lists[from] = lists[from][1:]
	return first
}

// Broken is why this agent cannot ask the rule; empty: it can.
func (r *Rule) Broken() string {
	if r.broken == nil {
		return ""
	}
	return r.broken.Error()
}
