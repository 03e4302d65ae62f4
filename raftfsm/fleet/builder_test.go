package fleet

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unsafe"
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

// Each row of a snapshot is decoded with texts of its own; a million tasks name few
// services, hosts and reasons.
func TestTasksOfASnapshotShareTheTextsThatManyHave(t *testing.T) {
	full := func() *Task {
		task := &Task{
			Stop: &Request{By: "operator"}, Replace: &Request{By: "operator"}, Containers: []ContainerState{{Name: "app"}},
		}
		v := reflect.ValueOf(task).Elem()
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.String {
				v.Field(i).SetString(strings.Clone("text of " + v.Type().Field(i).Name))
			}
		}
		return task
	}
	one, other := full(), full()
	texts := sharedTexts{}
	texts.shareTask(one)
	texts.shareTask(other)
	same := func(a, b string) bool { return a == b && unsafe.StringData(a) == unsafe.StringData(b) }
	a, b := reflect.ValueOf(one).Elem(), reflect.ValueOf(other).Elem()
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if a.Field(i).Kind() == reflect.String && !same(a.Field(i).String(), b.Field(i).String()) && name != "ID" {
			t.Errorf("%s is held twice", name)
		}
	}
	if one.ID != "text of ID" || !same(one.Stop.By, other.Stop.By) || !same(one.Replace.By, one.Stop.By) ||
		!same(one.Containers[0].Name, other.Containers[0].Name) {
		t.Errorf("%+v and %+v share too little", one, other)
	}
}

func TestABuilderTakesTasksInTheOrderOfTables(t *testing.T) {
	for table, taken := range map[Table]bool{TableRevisions: true, TableTasks: true, TableTokens: false} {
		b := NewBuilder()
		row, _ := NewRow(table)
		if err := b.Add(table, row); err != nil {
			t.Fatal(err)
		}
		task := &Task{ID: "t-1"}
		err := b.AddTask(task)
		if errors.Is(err, ErrInvalid) == taken || (b.s.Task("t-1") == task) != taken {
			t.Errorf("after a row of table %d: %v", table, err)
		}
	}
}

func TestABuilderHasOneCopyOfATextWhoeverAsks(t *testing.T) {
	b := NewBuilder()
	one := b.Text([]byte("web"))
	task := &Task{ID: "t-1", Service: strings.Clone("web")}
	if err := b.Add(TableTasks, task); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{b.Text([]byte("web")), task.Service} {
		if other != "web" || unsafe.StringData(one) != unsafe.StringData(other) {
			t.Errorf("%q is held twice", other)
		}
	}
	if got := b.Text(nil); got != "" {
		t.Errorf("no text is %q", got)
	}
}
