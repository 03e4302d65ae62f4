package lead

import (
	"strings"
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

func TestWeighIsAnUpperBoundOfTheBytesInTheLog(t *testing.T) {
	id := fleet.TaskID(strings.Repeat("f", 32))
	host := fleet.HostID("h-" + strings.Repeat("f", 16))
	long := strings.Repeat("x", 255)
	ids, mods := make([]fleet.TaskID, 300), make([]uint64, 300)
	ports := make([][]fleet.PortBinding, 300)
	for i := range ids {
		ids[i], mods[i] = id, 1<<63
		ports[i] = []fleet.PortBinding{{Container: long, ContainerPort: 65535, HostPort: 65535, Protocol: fleet.UDP}, {Container: "a", ContainerPort: 1, HostPort: 2, Protocol: fleet.TCP}}
	}
	counts := []fleet.Count{{Name: "memory", N: 1 << 40}, {Name: long[:64], N: 3}}
	commands := []fleet.Command{
		fleet.CreateTasks{Revision: fleet.RevisionID(long + "/1000000"), Tasks: ids},
		fleet.CreateTasks{Revision: "a/1", Tasks: ids[:1]},
		fleet.StopTasks{Tasks: ids, Code: fleet.StopUserInitiated, Reason: long, ExpectMod: mods},
		fleet.AssignTasks{Host: host, Tasks: ids, Ports: ports},
		fleet.AssignTasks{Host: host, Tasks: ids[:1]},
		fleet.PutWait{About: fleet.AboutService(long), Code: "no-host-fits", Message: long, Counts: counts, Until: start},
		fleet.SilenceHost{Host: host, Session: 1 << 63},
		fleet.LoseHost{Host: host, Session: 1 << 63},
		fleet.ReturnHost{Host: host, Session: 1 << 63},
		fleet.ExpireTasks{Host: host},
		fleet.Prune{Before: start},
	}
	for _, c := range commands {
		item := fleet.Item{Command: c, By: "placement", Reason: long}
		encoded, err := wire.EncodeEntry(fleet.Entry{At: start, Items: []fleet.Item{item}})
		if err != nil {
			t.Fatalf("%T: %v", c, err)
		}
		if got := weigh(item); got < len(encoded) {
			t.Errorf("%T weighs %d, but takes %d bytes", c, got, len(encoded))
		} else if got > 2*len(encoded)+weighItem {
			t.Errorf("%T weighs %d, but takes only %d bytes", c, got, len(encoded))
		}
	}
}
