package ecs

import (
	"math/big"
	"regexp"
	"strings"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

var sizeForm = regexp.MustCompile(`^([0-9]{1,9}|[0-9]{0,9}\.[0-9]{1,9}) ?([A-Za-z]*)$`)

// readSize reads a task-level amount: units as digits, or a decimal number of
// the given unit ("vCPU", "GB"), each worth 1024 units. 0 when absent or refused.
func readSize(o *strictjson.Object, field, unit string, low, high int64) int64 {
	text := o.TextOrInt(field, 32)
	if text == "" {
		if o.Empty(field) {
			o.Refuse(field, `"" is not an amount: write "1024" or "1 %s"`, unit)
		}
		return 0
	}
	units, ok := parseSize(text, unit)
	switch {
	case !ok:
		o.Refuse(field, `%q is not a whole number of units: write "1024" or "1 %s"`, strictjson.Show(text), unit)
	case units < low:
		o.Refuse(field, "%d is below %d (%d to %d)", units, low, low, high)
	case units > high:
		o.Refuse(field, "%d is above %d (%d to %d)", units, high, low, high)
	default:
		return units
	}
	return 0
}

func parseSize(text, unit string) (units int64, ok bool) {
	m := sizeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	amount, ok := new(big.Rat).SetString(m[1])
	if !ok {
		return 0, false
	}
	switch {
	case strings.EqualFold(m[2], unit):
		amount.Mul(amount, rational1024)
	case m[2] != "":
		return 0, false
	}
	if !amount.IsInt() {
		return 0, false
	}
	return amount.Num().Int64(), true
}

var rational1024 = big.NewRat(1024, 1)

// memory reads a container's limit and reservation. Source: ECS API, ContainerDefinition (memory).
func (r *reader) memory(o *strictjson.Object, c *fleet.Container, taskMemory int64) {
	c.Memory = o.Int("memory", 0, minMemory, maxMemory)
	c.MemoryReservation = o.Int("memoryReservation", 0, minMemory, maxMemory)
	switch {
	case !o.Has("memory") && !o.Has("memoryReservation") && !r.root.Has("memory"):
		o.Refuse("memory", "missing: give memory, memoryReservation, or memory of the whole task, in MiB")
	case c.Memory > 0 && c.MemoryReservation >= c.Memory:
		o.Refuse("memoryReservation", "%d is not below memory %d: the reservation is what is kept free, memory the limit",
			c.MemoryReservation, c.Memory)
	case taskMemory > 0 && c.Memory > taskMemory:
		o.Refuse("memory", "%d is above the whole task's memory %d", c.Memory, taskMemory)
	case c.Memory > 0 && c.Memory < lowMemory:
		o.Warn("memory", "%d MiB: below %d MiB most containers cannot even start", c.Memory, lowMemory)
	}
}

// checkSums refuses containers that together reserve more than their task has.
func checkSums(root *strictjson.Object, def *fleet.TaskDef) {
	if def.Memory == 0 {
		return
	}
	var sum int64
	for i := range def.Containers {
		c := &def.Containers[i]
		if c.MemoryReservation > 0 {
			sum += c.MemoryReservation
		} else {
			sum += c.Memory
		}
	}
	if sum > def.Memory {
		root.Refuse("memory", "%d is below what the containers reserve together, %d", def.Memory, sum)
	}
}
