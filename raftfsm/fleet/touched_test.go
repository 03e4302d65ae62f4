package fleet

import (
	"reflect"
	"slices"
	"testing"
)

// touchedOnly is a Touched of which only one part says something.
func touchedOnly(t *testing.T, part int, name string) Touched {
	t.Helper()
	var out Touched
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
	for i := range reflect.TypeFor[Touched]().NumField() {
		t.Run(reflect.TypeFor[Touched]().Field(i).Name, func(t *testing.T) {
			one, other := touchedOnly(t, i, "one"), touchedOnly(t, i, "other")
			list := reflect.ValueOf(one).Field(i).Kind() == reflect.Slice
			for order, parts := range map[string][]Touched{
				"first": {one, {}}, "last": {{}, one}, "in both": {one, other},
			} {
				var got Touched
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
	shared := Touched{Hosts: append(make([]HostID, 0, 8), "a")}
	var mine Touched
	mine.Merge(shared)
	mine.Merge(Touched{Hosts: []HostID{"b"}})
	if got := shared.Hosts[:2]; !slices.Equal(got, []HostID{"a", ""}) {
		t.Errorf("the list that others were told of is now %q", got)
	}
}
