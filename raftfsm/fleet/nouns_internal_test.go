package fleet

import (
	"reflect"
	"testing"
)

// A tree that the lists forget would be nil in a new State, and shared with or
// missing from a clone.
func TestEveryTreeIsListedAndCloned(t *testing.T) {
	s := New()
	c := s.Clone()
	for _, pair := range [][2]reflect.Value{
		{reflect.ValueOf(s.tables), reflect.ValueOf(c.tables)},
		{reflect.ValueOf(s.indices), reflect.ValueOf(c.indices)},
	} {
		for i := range pair[0].NumField() {
			field := pair[0].Type().Field(i)
			if field.Type.Kind() != reflect.Pointer {
				continue
			}
			if pair[0].Field(i).IsNil() {
				t.Errorf("%s is not listed: it is nil in a new State", field.Name)
			} else if pair[1].Field(i).Pointer() == pair[0].Field(i).Pointer() || pair[1].Field(i).IsNil() {
				t.Errorf("%s of a clone is not a copy", field.Name)
			}
		}
	}
}

// The number of a table is its place in the list, which is the order of a snapshot.
func TestTablesAreNumberedInTheirOrder(t *testing.T) {
	for i, n := range nouns {
		if want := Table(i + 1); n.table != want {
			t.Errorf("place %d holds table %d", want, n.table)
		}
	}
}
