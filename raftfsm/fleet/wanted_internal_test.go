package fleet

import (
	"reflect"
	"slices"
	"testing"
)

// Every field that a host is sent, and every index that it serves, belongs to one part.
func TestEachFieldIsOfOnePart(t *testing.T) {
	w := trafficOf(t, 1)
	w.serves(1)
	host := *w.Host(hostID(1))
	host.LastRaft, host.EntriesModifyIndex = 7, 1
	w.hosts.Set(host.ID, &host)
	for v := range w.Voters() {
		w.voters.Delete(v.ID)
	}
	sent, served := map[string][]string{}, map[string][]string{}
	for i := range wantedParts {
		name := WantedPart(i).String()
		var content Wanted
		wantedParts[i].put(w.State, &host, &content)
		noteFields(sent, name, content)
		var index Served
		*wantedParts[i].served(&index) = 1
		noteFields(served, name, index)
	}
	place := []string{"Fleet", "Epoch", "Index", "Session", "Removed"}
	checkParts(t, reflect.TypeFor[Wanted](), sent, place)
	checkParts(t, reflect.TypeFor[Served](), served, []string{"Epoch"})
	if got, want := ServedAt(3, 9), (Served{Epoch: 3, Tasks: 9, Orders: 9, Routes: 9, Entries: 9}); got != want {
		t.Errorf("served %+v, want %+v", got, want)
	}
}

// A stream sends a task again when its version moves, so each field of it moves the
// version, or is of the task's own row, of which ModifyIndex tells.
func TestEachFieldOfAWantedTaskIsInItsVersion(t *testing.T) {
	own := []string{"ID", "Service", "Revision", "TaskDef", "Ports", "Images", "Groups", "Overrides"}
	for i := range reflect.TypeFor[WantedTask]().NumField() {
		f := reflect.TypeFor[WantedTask]().Field(i)
		var task WantedTask
		switch v := reflect.ValueOf(&task).Elem().Field(i); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Slice:
			v.Set(reflect.MakeSlice(f.Type, 1, 1))
		case reflect.Pointer:
			v.Set(reflect.New(f.Type.Elem()))
		case reflect.Uint64, reflect.Uint8:
			v.SetUint(1)
		default:
			v.SetInt(1)
		}
		moved := task.Version() != (&WantedTask{}).Version()
		if moved == slices.Contains(own, f.Name) {
			t.Errorf("%s moves the version: %v", f.Name, moved)
		}
	}
}

// noteFields adds a part to the fields that it has set.
func noteFields(of map[string][]string, part string, v any) {
	for i := range reflect.ValueOf(v).NumField() {
		if f := reflect.TypeOf(v).Field(i); !reflect.ValueOf(v).Field(i).IsZero() {
			of[f.Name] = append(of[f.Name], part)
		}
	}
}

func checkParts(t *testing.T, typ reflect.Type, parts map[string][]string, others []string) {
	t.Helper()
	for i := range typ.NumField() {
		name, want := typ.Field(i).Name, 1
		if slices.Contains(others, name) {
			want = 0
		}
		if got := parts[name]; len(got) != want {
			t.Errorf("%s.%s is of the parts %q, want %d", typ, name, got, want)
		}
	}
}
