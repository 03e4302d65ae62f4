package ecs

import (
	"bytes"
	"encoding/json"
	"fmt"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Options are what readers must know of their fleet.
type Options struct {
	Strict        bool  // refuse all fields but used ones
	DynamicFirst  int   // host ports that the fleet gives out in bridge mode;
	DynamicLast   int   // zero: fleet.DefaultSettings
	ReservedPorts []int // host ports of the agent itself
}

// TaskDef is a definition as read. Def.ID names the family only; the fleet
// gives the revision.
type TaskDef struct {
	Family   string
	Def      fleet.TaskDef
	Warnings []strictjson.Warning
}

// ReadTaskDef reads RegisterTaskDefinition's input, or DescribeTaskDefinition's
// answer around it. Errors: strictjson.ErrTooLarge, strictjson.ErrSyntax, or a
// *strictjson.Errors that names every field refused.
func ReadTaskDef(data []byte, opts Options) (TaskDef, error) {
	doc, err := strictjson.Parse(data, MaxDocument)
	if err != nil {
		return TaskDef{}, err
	}
	if size := compactSize(data); size > maxTaskDef {
		return TaskDef{}, fmt.Errorf("%w: %d bytes without white space, a task definition has at most %d",
			strictjson.ErrTooLarge, size, maxTaskDef)
	}
	p := &strictjson.Problems{}
	doc = unwrap(doc, p)
	taskDefTable.Audit(doc, opts.Strict, p)
	r := &reader{opts: opts.filled(), root: strictjson.Root(doc, p)}
	def := r.taskDef()
	if err := p.Err(); err != nil {
		return TaskDef{}, err
	}
	return TaskDef{Family: string(def.ID), Def: def, Warnings: p.Warnings()}, nil
}

func (o Options) filled() Options {
	if o.DynamicFirst == 0 {
		d := fleet.DefaultSettings()
		o.DynamicFirst, o.DynamicLast = d.DynamicPortFirst, d.DynamicPortLast
	}
	return o
}

func compactSize(data []byte) int {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return len(data)
	}
	return b.Len()
}

// unwrap takes the definition out of {"taskDefinition": {...}, "tags": [...]},
// which is how ECS answers a describe; the tags beside it belong to it.
func unwrap(doc strictjson.Value, p *strictjson.Problems) strictjson.Value {
	inner := doc.Member("taskDefinition")
	if inner.Kind() != strictjson.Map {
		return doc
	}
	for _, m := range doc.Members() {
		switch m.Name {
		case "taskDefinition":
		case "tags":
			if inner.Member("tags").Kind() == 0 {
				inner = inner.With("tags", m.Value)
			} else {
				p.Refuse("tags", "given beside and inside taskDefinition; keep one")
			}
		default:
			p.Refuse(m.Name, "unknown field beside taskDefinition; known is tags")
		}
	}
	return inner
}

type reader struct {
	opts Options
	root *strictjson.Object
	mode fleet.NetworkMode
	vpc  bool // awsvpc, which is run as bridge
	used ports
}

func (r *reader) taskDef() fleet.TaskDef {
	o := r.root
	def := fleet.TaskDef{
		ID:          fleet.TaskDefID(readName(o, "family")),
		NetworkMode: r.networkMode(),
		CPU:         readSize(o, "cpu", "vCPU", minTaskCPU, maxTaskCPU),
		Memory:      readSize(o, "memory", "GB", minMemory, maxMemory),
		Tags:        readTags(o),
	}
	if platform := o.Object("runtimePlatform"); platform != nil {
		platform.Choice("operatingSystemFamily", "LINUX")
	}
	def.Containers = r.containers(def.Memory)
	checkSums(o, &def)
	return def
}

func (r *reader) networkMode() fleet.NetworkMode {
	r.mode = fleet.NetworkBridge
	switch text := r.root.Text("networkMode", maxName); text {
	case "":
		if r.root.Empty("networkMode") {
			r.root.Refuse("networkMode", `"" is not a mode: use bridge, host or none`)
		}
	case "awsvpc":
		r.vpc = true
		r.root.Warn("networkMode", "awsvpc is run as bridge: a task has no address of its own, its ports are given free "+
			"ports of its host, which ingress finds")
	default:
		mode, err := fleet.ParseNetworkMode(text)
		if err != nil {
			r.root.Refuse("networkMode", "%q is not known; allowed are bridge, host, none", strictjson.Show(text))
			break
		}
		r.mode = mode
	}
	return r.mode
}
