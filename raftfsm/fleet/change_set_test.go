package fleet

import (
	"reflect"
	"slices"
	"testing"
)

// changeSetOnly is a ChangeSet of which only one part says something.
func changeSetOnly(t *testing.T, part int, name string) ChangeSet {
	t.Helper()
	var out ChangeSet
	field := reflect.ValueOf(&out).Elem().Field(part)
	switch field.Kind() {
	case reflect.Bool:
		field.SetBool(true)
	case reflect.Slice:
		row := reflect.New(field.Type().Elem()).Elem()
		row.SetString(name)
		field.Set(reflect.Append(field, row))
	default:
		t.Fatalf("a part is a %s: merge it, and teach this test", field.Type())
	}
	return out
}

func TestEveryPartOfWhatWasTouchedSurvivesAMerge(t *testing.T) {
	for i := range reflect.TypeFor[ChangeSet]().NumField() {
		t.Run(reflect.TypeFor[ChangeSet]().Field(i).Name, func(t *testing.T) {
			one, other := changeSetOnly(t, i, "one"), changeSetOnly(t, i, "other")
			list := reflect.ValueOf(one).Field(i).Kind() == reflect.Slice
			for order, parts := range map[string][]ChangeSet{
				"first": {one, {}}, "last": {{}, one}, "in both": {one, other},
			} {
				var got ChangeSet
				for _, part := range parts {
					got.Merge(part)
				}
				value := reflect.ValueOf(got).Field(i)
				if value.IsZero() {
					t.Errorf("touched %s, lost by the merge", order)
				}
				if list && order == "in both" && value.Len() != 2 {
					t.Errorf("touched in both, got %v", value)
				}
			}
		})
	}
}

func TestAMergeLeavesTheOutcomesOfOthersAlone(t *testing.T) {
	shared := ChangeSet{Hosts: append(make([]HostID, 0, 8), "a")}
	var mine ChangeSet
	mine.Merge(shared)
	mine.Merge(ChangeSet{Hosts: []HostID{"b"}})
	if got := shared.Hosts[:2]; !slices.Equal(got, []HostID{"a", ""}) {
		t.Errorf("the list that others were told of is now %q", got)
	}
}
