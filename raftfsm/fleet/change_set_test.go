package fleet

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// namedSubjects are a few subjects of a kind.
func namedSubjects(k SubjectKind) []Subject {
	if k != SubjectUnknown && subjectKinds[k].one {
		return []Subject{{Kind: k}}
	}
	return []Subject{{k, "b"}, {k, "a"}, {k, "c"}}
}

func everyKind() []SubjectKind { return append(SubjectKinds(), SubjectUnknown) }

func TestEveryKindOfSubjectSurvivesAMerge(t *testing.T) {
	for _, k := range everyKind() {
		t.Run(k.String(), func(t *testing.T) {
			all := namedSubjects(k)
			one, other := ChangeSetOf(all[0]), ChangeSetOf(all[len(all)-1])
			for order, parts := range map[string][]ChangeSet{
				"first": {one, {}}, "last": {{}, one}, "in both": {other, one}, "twice": {one, one},
			} {
				var got ChangeSet
				for _, part := range parts {
					got.Merge(part)
				}
				if !got.Has(all[0]) || !got.Any(k) {
					t.Errorf("touched %s, lost by the merge", order)
				}
				if order == "in both" && !got.Has(all[len(all)-1]) {
					t.Errorf("touched in both, got %v", slices.Collect(got.Subjects()))
				}
				if n := len(slices.Collect(got.Subjects())); order != "in both" && n != 1 {
					t.Errorf("touched %s, it is there %d times", order, n)
				}
			}
		})
	}
}

func TestSubjectsComeSortedAndOnceHoweverTheyWereAdded(t *testing.T) {
	var all []Subject
	for _, k := range everyKind() {
		named := namedSubjects(k)
		slices.SortFunc(named, Subject.compare)
		all = append(all, named...)
	}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		added, sets := map[Subject]bool{}, make([]ChangeSet, 1+r.IntN(4))
		for range r.IntN(3 * len(all)) {
			s := all[r.IntN(len(all))]
			added[s] = true
			set := &sets[r.IntN(len(sets))]
			if set.Add(s); !set.Has(s) {
				t.Fatalf("seed %d: %s was added and is not there", seed, s)
			}
		}
		var got ChangeSet
		for i := range sets {
			got.Merge(sets[i])
		}
		want := slices.DeleteFunc(slices.Clone(all), func(s Subject) bool { return !added[s] })
		if have := slices.Collect(got.Subjects()); !slices.Equal(have, want) {
			t.Fatalf("seed %d:\n got %v\nwant %v", seed, have, want)
		}
		for _, s := range all {
			if got.Has(s) != added[s] {
				t.Fatalf("seed %d: it has %s: %v", seed, s, got.Has(s))
			}
		}
	}
}

func TestHostsAreThoseOfRowsAndOfWhatTheyAreSent(t *testing.T) {
	sent := func(id string) Subject { return Subject{SubjectWanted, id} }
	c := ChangeSetOf(HostSubject("b"), sent("c"), HostSubject("d"), sent("b"), sent("a"), HostSubject("e"))
	if got := fmt.Sprint(slices.Collect(c.Hosts())); got != "[a b c d e]" {
		t.Errorf("hosts are %s", got)
	}
	var gathered ChangeSet
	gathered.Merge(ChangeSetOf(sent("c"), HostSubject("f")))
	gathered.Merge(c)
	each := map[HostID]bool{}
	gathered.EachHost(func(id HostID) { each[id] = true })
	if got := fmt.Sprint(slices.Sorted(maps.Keys(each))); got != "[a b c d e f]" {
		t.Errorf("each host is %s", got)
	}
	if rows, wanted := fmt.Sprint(slices.Collect(c.HostRows())),
		fmt.Sprint(slices.Collect(c.WantedHosts())); rows != "[b d e]" || wanted != "[a b c]" {
		t.Errorf("rows of %s, sent %s", rows, wanted)
	}
}

func TestAMergeLeavesTheOutcomesOfOthersAlone(t *testing.T) {
	w := fleetOf(t, 2)
	w.must(CordonHost{Host: hostID(2)})
	before := fmt.Sprint(slices.Collect(w.outcome.ChangeSet.Subjects()))
	var mine, theirs ChangeSet
	mine.Merge(w.outcome.ChangeSet)
	theirs.Merge(w.outcome.ChangeSet)
	mine.Merge(ChangeSetOf(HostSubject("a"), ServiceSubject("x")))
	theirs.Merge(ChangeSetOf(HostSubject("b")))
	if mine.Has(HostSubject("b")) || theirs.Has(HostSubject("a")) || !mine.Has(HostSubject("a")) {
		t.Errorf("mine %v, theirs %v", slices.Collect(mine.Subjects()), slices.Collect(theirs.Subjects()))
	}
	if got := fmt.Sprint(slices.Collect(w.outcome.ChangeSet.Subjects())); got != before {
		t.Errorf("what others were told is now %s, was %s", got, before)
	}
}

func TestSubjectsAreText(t *testing.T) {
	for text, want := range map[string]Subject{
		"fleet":              FleetSubject(),
		"service:web":        ServiceSubject("web"),
		"host:h-1":           HostSubject("h-1"),
		"task:3f":            TaskSubject("3f"),
		"taskdef:web":        {SubjectTaskDef, "web"},
		"token:t":            {SubjectToken, "t"},
		"planner:leader":     PlannerSubject("leader"),
		"service:a:b":        ServiceSubject("a:b"),
		"fleet:x":            {SubjectFleet, "x"},
		"service:":           ServiceSubject(""),
		"":                   {},
		"fleet:":             {Name: "fleet:"},
		"service":            {Name: "service"},
		"of-another-build:x": {Name: "of-another-build:x"},
	} {
		got := ParseSubject(text)
		if got != want || got.String() != text || got.size() != len(text) {
			t.Errorf("%q is read as %+v, want %+v, and written as %q of %d bytes", text, got, want, got, got.size())
		}
	}
	for _, k := range SubjectKinds() {
		if k.String() == "" || strings.Contains(k.String(), ":") {
			t.Errorf("kind %d has the name %q", k, k)
		}
		for _, s := range namedSubjects(k) {
			if got := ParseSubject(s.String()); got != s {
				t.Errorf("%+v is read back as %+v", s, got)
			}
		}
	}
}
