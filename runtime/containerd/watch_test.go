package containerd

import (
	"testing"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"
)

func TestOnlyEventsOfTheContainerItselfAreAChangeOfIt(t *testing.T) {
	tests := map[string]struct {
		event   any
		id      string
		changed bool
	}{
		"the end of its first process":        {&apievents.TaskExit{ContainerID: "c", ID: "c"}, "c", true},
		"the end of an exec":                  {&apievents.TaskExit{ContainerID: "c", ID: "check-1"}, "c", false},
		"its first process is removed":        {&apievents.TaskDelete{ContainerID: "c"}, "c", true},
		"an exec is removed":                  {&apievents.TaskDelete{ContainerID: "c", ID: "check-1"}, "c", false},
		"it ran out of memory":                {&apievents.TaskOOM{ContainerID: "c"}, "c", true},
		"its record is removed":               {&apievents.ContainerDelete{ID: "c"}, "c", true},
		"an event of a kind that is not read": {&apievents.ImageCreate{Name: "c"}, "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			message, err := typeurl.MarshalAny(tt.event)
			if err != nil {
				t.Fatal(err)
			}
			if id, changed := containerOf(&events.Envelope{Event: message}); id != tt.id || changed != tt.changed {
				t.Errorf("about %q, changed %v; want %q, %v", id, changed, tt.id, tt.changed)
			}
		})
	}
}
