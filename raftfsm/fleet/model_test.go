package fleet_test

import (
	"bytes"
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 runs a fixed few")

func seeds() []uint64 {
	if *seedFlag != 0 {
		return []uint64{1, 2, 3, 4}
	}
	return []uint64{1, 2, 3, 4}
}

const steps = 4000

// TestRandomCommands applies thousands of commands, half of them nonsense, and
// after each compares every derived figure that it could have touched, and now
// and then all of them, with what the rows say.
func TestRandomCommands(t *testing.T) {
	accepted := map[fleet.Kind]int{fleet.KindInitFleet: 1}
	for _, seed := range seeds() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			g := newScenario(t, seed)
			var clones []clone
			for step := range steps {
				c := g.command()
				before := rowsOf(g.State)
				out := g.Apply(g.Index()+1, fleet.Entry{At: g.at, Items: []fleet.Item{{Command: c}}})
				if err := g.CheckChangeSet(out.ChangeSet); err != nil {
					t.Fatalf("seed %d, step %d, %#v: %v", seed, step, c, err)
				}
				if out.Results[0].Err == nil {
					accepted[c.Kind()]++
					g.checkHistory(step, before)
				} else if !slices.Equal(before, rowsOf(g.State)) {
					t.Fatalf("seed %d, step %d: %#v was refused and changed rows", seed, step, c)
				}
				if step%200 == 0 {
					g.checkAll(step)
					clones = append(clones, clone{g.Clone(), snapshot(t, g.State)})
				}
			}
			g.checkAll(steps)
			for i, c := range clones {
				if !bytes.Equal(c.was, snapshot(t, c.State)) || c.Check() != nil {
					t.Errorf("seed %d: clone %d changed: %v", seed, i, c.Check())
				}
			}
		})
	}
	for _, k := range fleet.Kinds() {
		t.Logf("%s accepted %d times", k, accepted[k])
		if accepted[k] == 0 && *seedFlag == 0 {
			t.Errorf("%s was never accepted: the test does not reach it", k)
		}
	}
}

type clone struct {
	*fleet.State
	was []byte
}

func snapshot(t testing.TB, s *fleet.State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := wire.WriteState(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rowsOf lists all rows by address: rows are immutable, so equal lists are equal
// States. The fleet's row is replaced as time goes and left out; of decisions,
// which are many, the newest number says enough.
func rowsOf(s *fleet.State) []any {
	all := []any{s.LastEvent()}
	for table, row := range s.Rows() {
		if table == fleet.TableEvents {
			break // only waits come behind
		}
		if table != fleet.TableMeta && table != fleet.TableFleet {
			all = append(all, row)
		}
	}
	for w := range s.Conditions() {
		all = append(all, w)
	}
	return all
}

// checkHistory proves what may never happen to a task between two States.
func (g *scenario) checkHistory(step int, before []any) {
	for _, row := range before {
		old, ok := row.(*fleet.Task)
		if !ok {
			continue
		}
		now := g.Task(old.ID)
		switch {
		case now == old:
		case now == nil && (!old.Stopped() || old.Unconfirmed):
			g.t.Fatalf("seed %d, step %d: %+v was removed", g.seed, step, old)
		case now == nil:
		case now.Last < old.Last || now.Attempt < old.Attempt || now.Desired < old.Desired || old.Host != "" &&
			now.Host != old.Host:
			g.t.Fatalf("seed %d, step %d: %s", g.seed, step, cmp.Diff(old, now))
		case old.Stopped() && (now.StopCode != old.StopCode || now.StoppedAt != old.StoppedAt):
			g.t.Fatalf("seed %d, step %d: stopped is final: %s", g.seed, step, cmp.Diff(old, now))
		}
	}
}

// checkAll compares with figures counted the slow way.
func (g *scenario) checkAll(step int) {
	g.t.Helper()
	if err := g.Check(); err != nil {
		g.t.Fatalf("seed %d, step %d: %v", g.seed, step, err)
	}
	type key struct {
		service  string
		revision fleet.RevisionID
	}
	counts := map[key]fleet.Counts{}
	reserved := map[fleet.HostID]fleet.Resources{}
	ports := map[fleet.PortUse]bool{}
	for t := range g.Tasks() {
		h := g.Host(t.Host)
		if h != nil && (!t.Stopped() || t.Unconfirmed) {
			reserved[h.ID] = reserved[h.ID].Add(g.TaskDef(t.TaskDef).Reservation())
			for _, p := range t.Ports {
				ports[fleet.PortUse{Host: h.ID, Protocol: p.Protocol, Port: p.HostPort, Task: t.ID}] = true
			}
		}
		if t.Service != "" && !t.Stopped() {
			for _, revision := range []fleet.RevisionID{"", t.Revision} {
				k := key{t.Service, revision}
				counts[k] = g.countTask(counts[k], t, h)
			}
		}
	}
	for k, want := range counts {
		if got := g.Counts(k.service, k.revision); got != want {
			g.t.Fatalf("seed %d, step %d: %v: counts %+v, want %+v", g.seed, step, k, got, want)
		}
	}
	for h := range g.Hosts() {
		if got := g.Reserved(h.ID); got != reserved[h.ID] {
			g.t.Fatalf("seed %d, step %d: %s: reserved %v, want %v", g.seed, step, h.Name, got, reserved[h.ID])
		}
		for p := range g.PortsOf(h.ID) {
			if !ports[p] {
				g.t.Fatalf("seed %d, step %d: %s: nobody holds %+v", g.seed, step, h.Name, p)
			}
			delete(ports, p)
		}
	}
	if len(ports) > 0 {
		g.t.Fatalf("seed %d, step %d: ports not in the index: %v", g.seed, step, ports)
	}
}

func (g *scenario) countTask(n fleet.Counts, t *fleet.Task, h *fleet.Host) fleet.Counts {
	n.Total++
	gone := h != nil && (h.State > fleet.HostReady || t.Session < h.BootSession)
	switch {
	case t.Desired == fleet.TaskStopped:
		n.Stopping++
	case gone:
		n.Unreachable++
	case t.Last == fleet.TaskRunning:
		n.Running++
		checked := g.TaskDef(t.TaskDef).Checked()
		if t.Health == fleet.HealthHealthy {
			n.Healthy++
		}
		well, ill := true, false
		for _, v := range t.Targets {
			well, ill = well && v.State == fleet.TargetHealthy, ill || v.State == fleet.TargetUnhealthy
		}
		if well && (checked && t.Health == fleet.HealthHealthy || !checked && (len(t.Targets) > 0 ||
			g.Now() >= t.StartedAt.Add(fleet.HealthySettle))) {
			n.Serving++
		}
		if (ill || checked && t.Health == fleet.HealthUnhealthy) &&
			g.Now() >= t.StartedAt+fleet.Time(g.Service(t.Service).GraceS)*1000 {
			n.Failing++
		}
	default:
		n.Pending++
	}
	if t.Replace != nil && t.Desired == fleet.TaskRunning && !t.Stopped() && !gone {
		n.ToReplace++
	}
	return n
}

// raises holds for what takes the fleet to a format whose snapshots this build
// refuses.
func raises(it fleet.Item) bool {
	c, is := it.Command.(fleet.RaiseFormat)
	return is && c.Format > fleet.FormatVersion
}

// TestSameEntriesSameState applies encoded entries to two States, restores a
// third from a snapshot half-way, and compares the bytes of all three.
func TestSameEntriesSameState(t *testing.T) {
	for _, seed := range seeds() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			g := newScenario(t, seed)
			replay, restored := fleet.New(), fleet.New()
			for i, e := range g.past {
				replay.Apply(uint64(i+1), e)
				restored.Apply(uint64(i+1), e)
			}
			for step := range 600 {
				e := fleet.Entry{At: g.at, Items: slices.DeleteFunc(g.items(), raises)}
				b, err := wire.EncodeEntry(e)
				if err != nil {
					t.Fatalf("seed %d, step %d: %v", seed, step, err)
				}
				index := g.Index() + 1
				g.Apply(index, e)
				for _, s := range []*fleet.State{replay, restored} {
					again, failed := wire.DecodeEntry(b)
					if failed != nil {
						t.Fatal(failed)
					}
					s.Apply(index, again)
				}
				if step%150 == 100 {
					if restored, err = wire.ReadState(bytes.NewReader(snapshot(t, restored))); err != nil {
						t.Fatalf("seed %d, step %d: %v", seed, step, err)
					}
				}
			}
			want := snapshot(t, g.State)
			if !bytes.Equal(want, snapshot(t, replay)) {
				t.Errorf("seed %d: the same entries made another State", seed)
			}
			if !bytes.Equal(want, snapshot(t, restored)) {
				t.Errorf("seed %d: a restored State went another way", seed)
			}
			if err := restored.Check(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}
