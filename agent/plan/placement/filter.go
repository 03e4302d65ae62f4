package placement

import (
	"fmt"
	"strings"

	"skein/raftfsm/fleet"
)

// filter is a reason why a host takes no task of a class, in the order in which
// they are asked: each host is counted for the first that refuses it.
type filter uint8

const (
	open filter = iota // no reason
	notReady
	cordoned
	draining
	unheard
	agentDown
	agentTooOld
	lacksCPU
	lacksMemory
	lacksPort
	filters
)

// filterNames are the names of counts, part of the API.
var filterNames = [filters]string{"", "not-ready", "cordoned", "draining", "not-heard", "agent-down",
	"needs-newer-agent", "cpu", "memory", "ports"}

// refusal returns the first filter that refuses a task of the class.
func (r *fleetCapacity) refusal(h *hostCapacity, c *class) filter {
	switch {
	case h.ineligible != open:
		return h.ineligible
	case !h.host.Runs(c.format):
		return agentTooOld
	case c.need.CPU > h.free.CPU:
		return lacksCPU
	case c.need.Memory > h.free.Memory:
		return lacksMemory
	case !r.portsFree(h, c):
		return lacksPort
	default:
		return open
	}
}

// refusals is why a class found no host.
type refusals struct {
	by      [filters]int
	largest fleet.Resources // capacity of the largest host in each dimension, whatever its life
	free    fleet.Resources // most free among hosts refused for want of it
}

// why asks every host: O(hosts), so only for a class that has to say it.
func (r *fleetCapacity) why(c *class) refusals {
	w := refusals{largest: r.unit}
	for i := range r.hosts {
		h := &r.hosts[i]
		f := r.refusal(h, c)
		w.by[f]++
		switch f {
		case lacksCPU:
			w.free.CPU = max(w.free.CPU, h.free.CPU)
		case lacksMemory:
			w.free.Memory = max(w.free.Memory, h.free.Memory)
		default: // only amounts have a largest one
		}
	}
	return w
}

// counts are the filters that refused anything.
func (w refusals) counts() []fleet.Count {
	var counts []fleet.Count
	for f := notReady; f < filters; f++ {
		if w.by[f] > 0 {
			counts = append(counts, fleet.Count{Name: filterNames[f], N: w.by[f]})
		}
	}
	return counts
}

// message says it for people: what is needed, and what each filter refused.
func (w refusals) message(c *class, n int) string {
	if never := w.never(c, n); never != "" {
		return never
	}
	said := subject(n)
	if need := w.need(c); need != "" {
		said += " " + verb(n) + " " + need
	}
	return said + ": " + strings.Join(w.parts(c), ", ")
}

// never says that no host of the fleet is large enough, even empty.
func (w refusals) never(c *class, n int) string {
	var over []string
	if d := c.need.CPU - w.largest.CPU; d > 0 {
		over = append(over, fmt.Sprintf("%d cpu units more than the largest host has (%d)", d, w.largest.CPU))
	}
	if d := c.need.Memory - w.largest.Memory; d > 0 {
		over = append(over, fmt.Sprintf("%d MiB more than the largest host has (%d)", d, w.largest.Memory))
	}
	if len(over) == 0 || w.largest == (fleet.Resources{}) {
		return "" // hosts that have not said what they have may have enough
	}
	return subject(n) + " can never fit: each needs " + strings.Join(over, " and ")
}

// need names what some host lacks.
func (w refusals) need(c *class) string {
	var parts []string
	if w.by[lacksCPU] > 0 {
		parts = append(parts, fmt.Sprintf("%d cpu units", c.need.CPU))
	}
	if w.by[lacksMemory] > 0 {
		parts = append(parts, fmt.Sprintf("%d MiB", c.need.Memory))
	}
	if w.by[lacksPort] > 0 {
		for _, p := range c.fixed {
			parts = append(parts, fmt.Sprintf("port %d/%s", p.port, p.protocol))
		}
		if c.dynamic > 0 {
			parts = append(parts, fmt.Sprintf("%d dynamic %s", c.dynamic, plural(c.dynamic, "port", "ports")))
		}
	}
	return strings.Join(parts, " and ")
}

func (w refusals) parts(c *class) []string {
	var parts []string
	say := func(f filter, format string, more ...any) {
		if w.by[f] > 0 {
			parts = append(parts, fmt.Sprintf(format, append([]any{w.by[f]}, more...)...))
		}
	}
	say(lacksCPU, plural(w.by[lacksCPU], "%d host lacks cpu (largest free %d)", "%d hosts lack cpu (largest free %d)"),
		w.free.CPU)
	say(lacksMemory, plural(w.by[lacksMemory], "%d host lacks memory (largest free %d)",
		"%d hosts lack memory (largest free %d)"), w.free.Memory)
	say(lacksPort, plural(w.by[lacksPort], "%d host has ports taken", "%d hosts have ports taken"))
	say(agentTooOld, plural(w.by[agentTooOld], "%d host needs a newer agent (one that reads format %d)",
		"%d hosts need a newer agent (one that reads format %d)"), c.format)
	say(cordoned, "%d cordoned")
	say(draining, "%d draining")
	say(unheard, "%d not heard yet")
	say(agentDown, "%d not answering")
	say(notReady, "%d not ready")
	return parts
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func subject(n int) string { return fmt.Sprintf("%d %s", n, plural(n, "task", "tasks")) }
func verb(n int) string    { return plural(n, "needs", "need") }
