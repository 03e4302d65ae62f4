package fleet

import (
	"errors"
	"reflect"
	"slices"
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
// services, hosts, groups and reasons.
func TestTasksOfASnapshotShareTheTextsThatManyHave(t *testing.T) {
	// Each task's, or seldom there.
	own := []string{"ID", "Containers.Reason", "Overrides.Environment.Name", "Overrides.Environment.Value"}
	var one, other Task
	texts := sharedTexts{}
	for _, task := range []*Task{&one, &other} {
		eachText(reflect.ValueOf(task).Elem(), "", func(name string, v reflect.Value) {
			v.SetString(strings.Clone("text of " + name))
		})
		texts.shareTask(task)
	}
	held := map[string]*byte{}
	eachText(reflect.ValueOf(&one).Elem(), "", func(name string, v reflect.Value) {
		if v.String() != "text of "+name {
			t.Errorf("%s has become %q", name, v)
		}
		held[name] = unsafe.StringData(v.String())
	})
	eachText(reflect.ValueOf(&other).Elem(), "", func(name string, v reflect.Value) {
		if shared := held[name] == unsafe.StringData(v.String()); shared == slices.Contains(own, name) {
			t.Errorf("%s is shared: %t", name, shared)
		}
	})
}

// eachText visits the texts of a struct and of what it holds, which is made where it is
// not there: one of each list.
func eachText(v reflect.Value, name string, visit func(name string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		visit(name, v)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		eachText(v.Elem(), name, visit)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		eachText(v.Index(0), name, visit)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				eachText(v.Field(i), strings.TrimPrefix(name+"."+field.Name, "."), visit)
			}
		}
	default:
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
