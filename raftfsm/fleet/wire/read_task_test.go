package wire

import (
	"math"
	"reflect"
	"testing"
	"unsafe"

	"skein/raftfsm/fleet"
)

// usualTask is a task as most are, with every field that taskReader knows.
func usualTask() fleet.Task {
	return fleet.Task{
		ID: "0123456789abcdef0123456789abcdef", ModifyIndex: 23, Service: "web", Revision: "web/3", TaskDef: "web:12",
		StartedBy: "ada", Group: "service:web", Host: "h-1", Desired: fleet.TaskStopped, Last: fleet.TaskStopped,
		Health: fleet.HealthHealthy, StopCode: 1, Unconfirmed: true, Reason: "Grüße",
		Ports: []fleet.PortBinding{
			{Container: "app", ContainerPort: 80, HostPort: 49153, Protocol: fleet.TCP},
			{Container: "app", ContainerPort: 24, HostPort: 255, Protocol: fleet.UDP},
		},
		Attempt: 256, CreatedAt: 65535, AssignedAt: 65536, StartedAt: math.MaxUint32, HealthyAt: math.MaxUint32 + 1,
		StoppingAt: math.MaxInt64, StoppedAt: 1_700_000_000_000, Session: math.MaxUint64,
	}
}

func textOf(b []byte) string { return string(b) }

// sameAsStrict reads a row both ways. Where taskReader takes it, the strict decoder does
// too, and both read the same.
func sameAsStrict(t *testing.T, row []byte) (taken bool) {
	t.Helper()
	fast, fastRest, taken := (&taskReader{text: textOf}).read(row)
	if !taken {
		return false
	}
	var want fleet.Task
	rest, err := strict.UnmarshalFirst(row, &want)
	if err != nil {
		t.Fatalf("%x: the strict decoder refuses what was taken as %+v: %v", row, *fast, err)
	}
	if !reflect.DeepEqual(*fast, want) || len(rest) != len(fastRest) {
		t.Fatalf("%x:\n read %+v, %d bytes follow\n want %+v, %d", row, *fast, len(fastRest), want, len(rest))
	}
	return true
}

func encodedTask(t testing.TB, task fleet.Task) []byte {
	t.Helper()
	b, err := encoder.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestATaskIsReadAsTheStrictDecoderReadsIt(t *testing.T) {
	usual := usualTask()
	whole := encodedTask(t, usual)
	t.Run("with all that most tasks have, before another row", func(t *testing.T) {
		if !sameAsStrict(t, append(whole[:len(whole):len(whole)], whole...)) {
			t.Error("it was left to the strict decoder")
		}
	})
	t.Run("without what a new task does not have", func(t *testing.T) {
		if !sameAsStrict(t, encodedTask(t, fleet.Task{ID: usual.ID, TaskDef: "web:1", CreatedAt: 1})) {
			t.Error("it was left to the strict decoder")
		}
	})
	t.Run("with one field more, whatever it is", func(t *testing.T) {
		for i := range reflect.TypeFor[fleet.Task]().NumField() {
			task := fleet.Task{}
			field := reflect.ValueOf(&task).Elem().Field(i)
			switch field.Kind() {
			case reflect.Pointer:
				field.Set(reflect.New(field.Type().Elem()))
			case reflect.Slice:
				field.Set(reflect.MakeSlice(field.Type(), 1, 1))
			default:
				field.Set(reflect.ValueOf(usual).Field(i))
			}
			sameAsStrict(t, encodedTask(t, task))
		}
	})
	t.Run("cut short anywhere", func(t *testing.T) {
		for n := range len(whole) {
			if sameAsStrict(t, whole[:n]) {
				t.Fatalf("%d of %d bytes were taken", n, len(whole))
			}
		}
	})
	t.Run("with any byte changed to any other", func(t *testing.T) {
		for n := range whole {
			for v := range 256 {
				bad := append([]byte(nil), whole...)
				bad[n] = byte(v)
				sameAsStrict(t, bad)
			}
		}
	})
}

func TestTasksThatAreReadShareTheTextsThatManyHave(t *testing.T) {
	r := taskReader{text: fleet.NewBuilder().Text}
	row := encodedTask(t, usualTask())
	read := func() reflect.Value {
		task, _, ok := r.read(row)
		if !ok {
			t.Fatal("the task was not taken")
		}
		return reflect.ValueOf(task).Elem()
	}
	one, other := read(), read()
	for i := range one.NumField() {
		name := one.Type().Field(i).Name
		if one.Field(i).Kind() != reflect.String {
			continue
		}
		a, b := one.Field(i).String(), other.Field(i).String()
		if shared := unsafe.StringData(a) == unsafe.StringData(b); shared != (name != "ID") {
			t.Errorf("%s is held once: %v", name, shared)
		}
	}
	a, b := one.FieldByName("Ports").Index(1).Field(0).String(), other.FieldByName("Ports").Index(0).Field(0).String()
	if unsafe.StringData(a) != unsafe.StringData(b) {
		t.Error("names of ports' containers are held twice")
	}
}

func FuzzTaskIsReadAsTheStrictDecoderReadsIt(f *testing.F) {
	f.Add(encodedTask(f, usualTask()))
	f.Add([]byte("\xa2\x01\x60\x18\x19\x1b\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, row []byte) { sameAsStrict(t, row) })
}
