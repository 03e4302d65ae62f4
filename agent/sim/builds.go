package sim

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"

	"skein/agent/sim/simlog"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/raftfsm/voter"
)

// The builds of agents, by the format that they read. The newer one has all that the
// present one has, and what a next one may bring: a kind of command (newKinds), and a
// field in all messages and files (newField).
const (
	buildNow  = fleet.FormatVersion
	buildNext = fleet.FormatVersion + 1
)

// newKinds are commands that the newer build of a mixed world is taken to have brought.
func (w *World) newKinds() map[fleet.Kind]int {
	if !w.cfg.Mixed {
		return nil
	}
	return map[fleet.Kind]int{fleet.KindReplaceTasks: buildNext}
}

// newField is the number of a field that only the newer build knows.
const newField = 4_000

func init() {
	maps.Copy(verbs, map[string]verb{
		"upgrade": {use: "HOST...: its agent restarts with the newer build", least: 1, most: -1,
			do: func(w *World, d words) error { return w.rebuild(d, buildNext) }},
		"rollback": {use: "HOST...: its agent restarts with the present build", least: 1, most: -1,
			do: func(w *World, d words) error { return w.rebuild(d, buildNow) }},
		"finalize": {use: ": the fleet's format is raised to what all agents read", options: []string{"via"},
			do: (*World).finalize},
	})
}

// rebuild has agents restart with another build. What runs on a dead machine has it
// when the machine starts.
func (w *World) rebuild(d words, build int) error {
	return w.each(d.objects, func(h *host) {
		h.install(build)
		w.watch.disturbed(h, disturbance)
	})
}

// install puts a build on a machine and restarts its agent, if there is one.
func (h *host) install(build int) {
	if h.build == build {
		return
	}
	h.w.note("%s: build that reads format %d in place of %d", h.name, build, h.build)
	switch {
	case build < h.build:
		h.w.sometimes("an agent is rolled back")
	case h.agent != nil:
		h.w.sometimes("an agent is upgraded")
	}
	h.build = build
	if h.agent != nil {
		h.killAgent()
		h.startAgentSoon()
	}
}

// finalize has the format raised at once.
func (w *World) finalize(d words) error {
	return w.simple(d, "finalize", func(s *fleet.State) fleet.Command {
		if s.Fleet() == nil { // a voter that has just begun has an empty log
			return nil
		}
		read := s.ReadFormat()
		if read <= s.Fleet().Format {
			return nil
		}
		return fleet.RaiseFormat{Format: read}
	})
}

// upgradeOld has operators upgrade the agents that the fleet refuses.
func (w *World) upgradeOld() {
	f := w.truth.Fleet()
	for _, h := range w.order {
		if f != nil && h.build < f.Format {
			h.install(f.Format)
		}
	}
}

// reads is the format that the agent of a voter reads.
func (w *World) reads(id fleet.RaftID) int {
	if h := w.hosts[id.Host()]; h != nil {
		return h.build
	}
	return buildNow
}

// froze takes a voter's log out of use that says what its agent's build does not read.
func (w *World) froze(id fleet.RaftID, err error) {
	w.sometimes("a voter stops at what its build does not read")
	h := w.hosts[id.Host()]
	w.note("log of %s stops: %v", h.name, err)
	w.watch.checker.Froze(id, h.build)
	w.time.After(0, func() {
		if a := h.agent; a != nil && a.node != nil && a.node.ID() == id {
			_ = a.stepLog(voter.Failed{ID: id}) // it refuses nothing
		}
	})
}

// tooNew reports whether a log cannot be opened because a newer build wrote it.
func tooNew(err error) bool { return errors.Is(err, simlog.ErrUnreadable) }

// read is a value that one build has written as another reads it, by the codec of
// messages and files. A newer build adds a field that is not known here to all that it
// writes.
func read[T any](w *World, v T, wrote, reads int) T {
	if wrote == reads {
		return v
	}
	data, err := wire.Marshal(v)
	if err == nil && wrote > reads {
		w.sometimes("something that a newer build wrote is read")
		data, err = addField(data)
	}
	var out T
	if err == nil {
		err = w.decode(data, &out, wrote > reads)
	}
	if err != nil {
		w.watch.fail("codec", fmt.Sprintf("a build that reads format %d cannot read %s of one that reads %d: %v", reads,
			reflect.TypeFor[T](), wrote, err))
		return v
	}
	return out
}

func (w *World) decode(data []byte, out any, newer bool) error {
	if newer && w.cfg.Mutation.is(MutationStrictMessages) {
		return fmt.Errorf("unknown field %d: %w", newField, wire.ErrFormat)
	}
	return wire.Unmarshal(data, out)
}

// addField adds a field to each structure of an encoded value: those are the maps with
// numbers for keys.
func addField(data []byte) ([]byte, error) {
	var v any
	if err := cbor.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	return wire.Marshal(withField(v))
}

func withField(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = withField(v[i])
		}
	case map[any]any:
		numbered := false
		for key, value := range v {
			_, number := key.(uint64)
			numbered = numbered || number
			v[key] = withField(value)
		}
		if numbered {
			v[uint64(newField)] = map[string]any{"of": []any{"a newer build", int64(time.Second)}}
		}
	}
	return v
}
