package lead

import "skein/raftfsm/fleet"

// Bytes of parts of a command in the log, from above: keys, lengths and
// numbers included.
const (
	weighItem    = 96
	weighTask    = 36 // an id of 32 digits
	weighMod     = 9
	weighBinding = 24
	weighCount   = 16
)

// weigh is an upper bound of an item's size in the log (proven by test).
func weigh(item fleet.Item) int {
	n := weighItem + len(item.By) + len(item.Reason)
	switch c := item.Command.(type) {
	case fleet.CreateTasks:
		n += len(c.Revision) + weighTask*len(c.Tasks)
	case fleet.StopTasks:
		n += len(c.Reason) + weighTask*len(c.Tasks) + weighMod*len(c.ExpectMod)
	case fleet.AssignTasks:
		n += len(c.Host) + weighTask*len(c.Tasks)
		for _, bindings := range c.Ports {
			n += weighMod
			for _, b := range bindings {
				n += weighBinding + len(b.Container)
			}
		}
	case fleet.PutWait:
		n += len(c.About) + len(c.Code) + len(c.Message)
		for _, count := range c.Counts {
			n += weighCount + len(count.Name)
		}
	}
	return n
}
