package workload

import (
	"fmt"
	"slices"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// Mix is what services and job kinds there are. Shares are of services, but for
// Soft, which is of services and kinds.
type Mix struct {
	PerService int     // tasks per service on average
	Zipf       float64 // exponent of the sizes of services
	Soft       float64 // reserve less memory than they may use
	Dynamic    float64 // have a dynamic port
	Fixed      float64 // have a fixed port, small ones only
	Checked    float64 // have a health check
	Follow     float64 // follow the time of day
	Kinds      int     // of jobs
}

// Service is a service to be.
type Service struct {
	Name       string // "s00001", the largest first
	Def        fleet.TaskDef
	Desired    int
	MinPercent int
	MaxPercent int
	GraceS     int
	Follows    bool // its desired count follows the time of day
}

// Register is the command that registers a version of its definition, from 1.
func (s *Service) Register(version int) fleet.RegisterTaskDef {
	return fleet.RegisterTaskDef{Family: s.Name, Def: versioned(s.Def, version)}
}

// Put is the command that creates the service from a definition or, where there
// is one already, deploys it and leaves its desired count.
func (s *Service) Put(def fleet.TaskDefID, there *fleet.Service) fleet.PutService {
	c := fleet.PutService{
		Name: s.Name, TaskDef: def, Desired: s.Desired,
		MinPercent: s.MinPercent, MaxPercent: s.MaxPercent, GraceS: s.GraceS,
	}
	if there != nil {
		c.ExpectedModifyIndex, c.Desired = there.ModifyIndex, there.Desired
	}
	return c
}

// fewest is how many services even a small fleet has, so that it is no dull one.
const fewest = 8

// Services draws services with so many tasks in all, which together reserve what
// the room has to give.
func Services(c *virtual.Chance, tasks int, room Room, m Mix) []Service {
	if tasks <= 0 {
		return nil
	}
	counts := zipf(tasks, max(tasks/max(m.PerService, 1), min(tasks, fewest)), m.Zipf)
	all := make([]Service, len(counts))
	for i, s := range fit(sizes(c, counts, m.Soft), room) {
		v := Service{Name: fmt.Sprintf("s%05d", i+1), Desired: s.tasks, Follows: c.Is(m.Follow)}
		v.MinPercent, v.MaxPercent = percents(c, s.tasks)
		v.Def = definition(v.Name, s)
		ports(c, &v.Def, i, room.Hosts/3 >= s.tasks, m)
		if c.Is(m.Checked) {
			v.Def.Containers[0].HealthCheck = healthCheck(c, &v.Def)
			v.GraceS = virtual.Pick(c, 0, 0, 30, 120)
		}
		all[i] = v
	}
	return all
}

// variant is a pair of bounds of a roll-out and how often it is chosen; small
// services may have it, too, where its bounds leave them room to move.
type variant struct {
	min, max int
	share    float64
	small    bool
}

// variants are a choice of this package: most keep the default.
var variants = []variant{
	{100, 200, 0.70, true}, {50, 200, 0.10, true}, {0, 100, 0.05, true},
	{100, 150, 0.10, false}, {50, 100, 0.05, false},
}

// small is up to how many tasks: scaled down by 40 % and rounded, half of four
// is still one.
const small = 3

func percents(c *virtual.Chance, tasks int) (least, most int) {
	shares := make([]float64, len(variants))
	for i, v := range variants {
		if v.small || tasks > small {
			shares[i] = v.share
		}
	}
	v := variants[weighted(c, shares)]
	return v.min, v.max
}

// Kind is one kind of standalone job.
type Kind struct {
	Name string // "j01"
	Def  fleet.TaskDef
}

// Register is the command that registers its definition.
func (k *Kind) Register() fleet.RegisterTaskDef {
	return fleet.RegisterTaskDef{Family: k.Name, Def: versioned(k.Def, 1)}
}

// Kinds draws job kinds. If each runs as many tasks as the others, and all
// together so many, they reserve what the room has to give.
func Kinds(c *virtual.Chance, tasks int, room Room, m Mix) []Kind {
	if tasks <= 0 || m.Kinds <= 0 {
		return nil
	}
	each := float64(m.Kinds) / float64(tasks) // as if one task of each kind ran
	room.Target = fleet.Resources{CPU: int64(each * float64(room.Target.CPU)),
		Memory: int64(each * float64(room.Target.Memory))}
	all := make([]Kind, m.Kinds)
	for i, s := range fit(sizes(c, slices.Repeat([]int{1}, m.Kinds), m.Soft), room) {
		name := fmt.Sprintf("j%02d", i+1)
		all[i] = Kind{Name: name, Def: definition(name, s)}
	}
	return all
}
