package voter_test

import (
	"errors"
	"reflect"
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/voter"
)

const (
	first  = fleet.RaftID("h-1.1")
	second = fleet.RaftID("h-1.2")
)

func TestWhatBecomesOfALog(t *testing.T) {
	none, open := voter.Held{}, voter.Held{Open: second, Disk: second}
	onDisk := voter.Held{Disk: second}
	for name, c := range map[string]struct {
		held  voter.Held
		event voter.Event
		want  []voter.Effect
		err   error
	}{
		"an agent opens the log that its disk holds":   {onDisk, voter.Started{}, effects(voter.Open{ID: second}), nil},
		"an agent without a log opens none":            {none, voter.Started{}, nil, nil},
		"an agent opens no log twice":                  {open, voter.Started{}, nil, nil},
		"a new voter takes the keys, then opens a log": {none, prepared(first), opens(first), nil},
		"a voter that is prepared again takes the keys alone": {open, prepared(second), effects(voter.TakeKeys{}),
			nil},
		"a log that is not open is opened when it is prepared": {onDisk, prepared(second), opens(second), nil},
		"a newer log takes the place of the one that is open": {voter.Held{Open: first, Disk: first}, prepared(second),
			effects(voter.TakeKeys{}, voter.Close{}, voter.Open{ID: second}), nil},
		"a newer log takes the place of the one on the disk": {voter.Held{Disk: first}, prepared(second), opens(second),
			nil},
		"an older log is not made while a newer one is open": {open, prepared(first), nil, voter.ErrOlder},
		"an older log is not made while the disk holds a newer one": {onDisk, prepared(first), nil,
			voter.ErrOlder},
		"a retired log is closed, the key goes, then the log": {open, voter.Retired{ID: second},
			effects(voter.Close{}, voter.DropKeys{}, voter.Delete{}), nil},
		"a retired log that is not open goes too": {onDisk, voter.Retired{ID: second},
			effects(voter.DropKeys{}, voter.Delete{}), nil},
		"the log of another id is left alone, with the key": {open, voter.Retired{ID: first}, nil, nil},
		"a host that holds no log any more has no key either": {none, voter.Retired{ID: first},
			effects(voter.DropKeys{}), nil},
		"logs out of the fleet are deleted": {open, voter.LogsOut{UpTo: 2},
			effects(voter.Close{}, voter.DropKeys{}, voter.Delete{}), nil},
		"logs out of the fleet are deleted though they could not be opened": {onDisk, voter.LogsOut{UpTo: 3},
			effects(voter.DropKeys{}, voter.Delete{}), nil},
		"a newer log than those that are out stays": {open, voter.LogsOut{UpTo: 1}, nil, nil},
		"no word of logs that are out says nothing": {open, voter.LogsOut{}, nil, nil},
		"logs out of the fleet are nothing to a host without one, which may be about to take the key": {none,
			voter.LogsOut{UpTo: 3}, nil, nil},
		"a log that failed is closed and kept": {open, voter.Failed{ID: second}, effects(voter.Close{}), nil},
		"the failure of a former log is late":  {open, voter.Failed{ID: first}, nil, nil},
		"an agent that stops closes its log":   {open, voter.Stopped{}, effects(voter.Close{}), nil},
		"an agent that stops has no log open":  {onDisk, voter.Stopped{}, nil, nil},
		"an agent that stops does not open the log of its disk": {voter.Held{Disk: second, Stopped: true},
			voter.Started{}, nil, nil},
		"an agent that stops takes no keys and opens no log": {voter.Held{Disk: second, Stopped: true},
			prepared(second), nil, voter.ErrStopping},
		"a log that is out is deleted though the agent stops": {voter.Held{Disk: second, Stopped: true},
			voter.Retired{ID: second}, effects(voter.DropKeys{}, voter.Delete{}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := voter.Step(c.held, c.event)
			if !reflect.DeepEqual(got, c.want) || !errors.Is(err, c.err) {
				t.Errorf("Step(%+v, %#v) = %#v, %v; want %#v, %v", c.held, c.event, got, err, c.want, c.err)
			}
		})
	}
}

func effects(all ...voter.Effect) []voter.Effect { return all }

func prepared(id fleet.RaftID) voter.Event { return voter.Prepared{ID: id} }

func opens(id fleet.RaftID) []voter.Effect { return effects(voter.TakeKeys{}, voter.Open{ID: id}) }
