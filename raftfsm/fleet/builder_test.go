package fleet

import (
	"errors"
	"testing"
)

func TestABuilderTakesOnlyRowsOfTheTableInTheOrderOfTables(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first Table
		then  Table
		row   any
		taken bool
	}{
		{"a row of the table that follows", TableFleet, TableHosts, &Host{ID: hostID(1)}, true},
		{"another row of the same table", TableHosts, TableHosts, &Host{ID: hostID(1)}, true},
		{"a row of a table before", TableHosts, TableFleet, &Fleet{}, false},
		{"a row of another table", TableHosts, TableVoters, &Host{ID: hostID(1)}, false},
		{"a row by value", TableFleet, TableHosts, Host{ID: hostID(1)}, false},
		{"no row", TableFleet, TableHosts, nil, false},
		{"a table that does not exist", TableFleet, TableGoals + 1, &Host{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBuilder()
			row, _ := NewRow(tt.first)
			if err := b.Add(tt.first, row); err != nil {
				t.Fatal(err)
			}
			if err := b.Add(tt.then, tt.row); errors.Is(err, ErrInvalid) == tt.taken {
				t.Errorf("got %v", err)
			}
		})
	}
}
