package fleet

import (
	"fmt"
	"strings"
)

// PlaceTasks gives a class of identical tasks to hosts: a share each. Shares are
// judged one by one, in order, each by the State that those before it left: what is
// refused is in Result.Refused, and the others stand. All of its tasks are of one
// task definition, at most MaxRun. Refused as a whole when every share is. It makes
// one event.
type PlaceTasks struct {
	Shares []AssignTasks `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (PlaceTasks) Kind() Kind { return KindPlaceTasks }

// ShareRefusal is why a share of a PlaceTasks was refused.
type ShareRefusal struct {
	Share int // place in PlaceTasks.Shares
	Err   error
}

func (c PlaceTasks) apply(s *State, x *applyContext) ([]string, error) {
	total := 0
	for i := range c.Shares {
		total += len(c.Shares[i].Tasks)
	}
	if err := checkRange("tasks", total, 1, MaxRun); err != nil {
		return nil, err
	}
	var first *Task
	tasks := 0
	var hosts []string
	sums := sumChange{s: s}
	for i := range c.Shares {
		share := &c.Shares[i]
		host, run, err := share.check(s)
		if err == nil && first != nil && run[0].TaskDef != first.TaskDef {
			err = field(fmt.Sprintf("shares[%d]", i), "is of %s, the first is of %s: one command carries one definition",
				run[0].TaskDef, first.TaskDef)
		}
		if err != nil {
			x.refused = append(x.refused, ShareRefusal{i, err})
			continue
		}
		if first == nil {
			first = run[0]
		}
		s.putRunInto(x, &sums, run, share.rows(x, host, run))
		tasks, hosts = tasks+len(run), append(hosts, host.Name)
	}
	if first == nil {
		return nil, x.refused[0].Err
	}
	sums.write()
	s.recordEvent(x, Event{By: "placement", Code: "tasks-placed", Subject: first.subject(),
		Message: fmt.Sprintf("%s: placed %s on %s", first.of(), plural(tasks, "task"), named(hosts)),
		Counts:  []Count{{"tasks", tasks}, {"hosts", len(hosts)}}})
	return nil, nil
}

// named lists hosts, or says how many where that is too long to read.
func named(hosts []string) string {
	if len(hosts) > 4 {
		return plural(len(hosts), "host")
	}
	return strings.Join(hosts, ", ")
}
