package sim

import (
	"fmt"
	"io"
	"slices"
	"time"

	"skein/agent/sim/chart"
	"skein/agent/sim/virtual"
	"skein/agent/sim/workload"
	"skein/raftfsm/fleet"
)

// Month is the life of a fleet under a drawn workload: machines that fail,
// services that are deployed and scaled, jobs that come and go.
type Month struct {
	World  *World
	Load   *workload.World
	source workload.Source
	begun  time.Duration
	span   time.Duration
	lives  map[fleet.TaskID]workload.Outcome
	defs   map[string]fleet.TaskDefID // of job kinds

	hosts, tasks, used, events map[string]*chart.Series
	utilisation                [2]mean // of cpu and memory reserved, in percent
	Skipped                    int     // events that met what they are about in another state
}

// mean is an average and a peak.
type mean struct {
	sum, peak float64
	n         int
}

func (m *mean) add(v float64) { m.sum, m.peak, m.n = m.sum+v, max(m.peak, v), m.n+1 }

func (m mean) String() string {
	return fmt.Sprintf("%.1f %% (peak %.1f %%)", m.sum/float64(max(m.n, 1)), m.peak)
}

// Report writes what the month has come to.
func (m *Month) Report(out io.Writer) {
	fmt.Fprintf(out, "reserved    cpu %v, memory %v of what all machines have\n", m.utilisation[0], m.utilisation[1])
	m.World.Report(out)
}

// NewMonth makes the world of a workload, which ends early when done is closed; see Run.
func NewMonth(seed uint64, load *workload.World, done <-chan struct{}) *Month {
	cfg := Config{Seed: seed, Large: true, Done: done, Network: virtual.NetworkConditions{Delay: 300 * time.Microsecond,
		Jitter: 300 * time.Microsecond}}
	for _, m := range load.Machines {
		cfg.Hosts = append(cfg.Hosts, Machine{Name: m.Name, Zone: m.Zone, Capacity: m.Capacity})
	}
	m := &Month{
		World: New(cfg), Load: load, source: load.Outcome(virtual.NewChance(seed, "workload")),
		lives: map[fleet.TaskID]workload.Outcome{}, defs: map[string]fleet.TaskDefID{},
	}
	m.World.lifetimes = m.lives
	return m
}

// samples is how many times a month is looked at for its picture.
const samples = 720

// Run lives the month, or until it is interrupted. progress is called about 200
// times. The Failure is the first rule that was broken, if one was.
func (m *Month) Run(span time.Duration, progress func(done time.Duration)) (*Failure, error) {
	w := m.World
	if err := w.Bring(time.Hour); err != nil {
		if w.interrupted() {
			return nil, nil
		}
		return w.broken(), err
	}
	m.begun, m.span = w.time.Now(), span
	m.record()
	m.create()
	m.next()
	for step := range 200 {
		w.Run(m.begun + span*time.Duration(step+1)/200)
		if f := w.broken(); f != nil {
			return f, nil
		}
		if progress != nil {
			progress(w.time.Now() - m.begun)
		}
		if w.interrupted() {
			return nil, nil
		}
	}
	w.watch.full()
	return w.broken(), nil
}

// creating is how many services are being created at one time: an operator's
// script does not ask for thousands at once, and a leader would turn it away.
const creating = 64

// create registers and creates all services, one after the other and some at a
// time, and registers the jobs.
func (m *Month) create() {
	next := 0
	var one func()
	one = func() {
		if next < len(m.Load.Services) {
			i := next
			next++
			m.deploy(i, 1, m.Load.Services[i].Register(1), false, one)
		}
	}
	for range creating {
		one()
	}
	for i := range m.Load.Kinds {
		k := &m.Load.Kinds[i]
		c := k.Register()
		m.push(c.Def)
		m.World.write(m.anyHost(), "register "+c.Family, func(*fleet.State) fleet.Command { return c },
			func(r fleet.Result, _ uint64, err error) {
				if err == nil && r.Err == nil {
					m.defs[c.Family] = fleet.TaskDefID(r.IDs[0])
				}
			})
	}
}
func (m *Month) anyHost() *host { return m.World.order[m.World.people.IntN(len(m.World.order))] }

func (m *Month) push(def fleet.TaskDef) {
	for _, c := range def.Containers {
		m.World.pushImage(c.Image)
	}
}

// deploy registers a version of a service and has it rolled out; then is called
// when that has been answered.
func (m *Month) deploy(i, version int, c fleet.RegisterTaskDef, fails bool, then func()) {
	w, s, via := m.World, &m.Load.Services[i], m.anyHost()
	m.push(c.Def)
	pins := w.pins(&c.Def)
	w.write(via, fmt.Sprintf("register %s version %d", s.Name, version), func(*fleet.State) fleet.Command { return c },
		func(r fleet.Result, _ uint64, err error) {
			if err != nil || r.Err != nil {
				m.Skipped++
				then()
				return
			}
			id := fleet.TaskDefID(r.IDs[0])
			if fails {
				w.brokenDefs[id] = true
				// Nobody leaves a deployment that never gets healthy for long.
				w.time.After(20*time.Minute, func() { delete(w.brokenDefs, id) })
			}
			w.write(via, fmt.Sprintf("deploy %s of %s", s.Name, id), func(st *fleet.State) fleet.Command {
				put := s.Put(id, st.Service(s.Name))
				put.Images = slices.Clone(pins)
				return put
			}, func(fleet.Result, uint64, error) { then() })
		})
}

// next has the next event of the workload happen at its time.
func (m *Month) next() {
	at, what := m.source.Next()
	if at >= m.span {
		return
	}
	m.World.time.At(m.begun+at, func() {
		m.happen(what)
		m.next()
	})
}
func (m *Month) happen(what workload.Event) {
	w := m.World
	switch e := what.(type) {
	case workload.Deploy:
		m.count("deployments")
		m.deploy(e.Service, e.Version, e.Register(m.Load.Services), e.Fails, func() {})
	case workload.Scale:
		m.count("scalings")
		name := m.Load.Services[e.Service].Name
		w.write(m.anyHost(), fmt.Sprintf("scale %s to %d", name, e.Desired), func(*fleet.State) fleet.Command {
			return fleet.ScaleService{Name: name, Desired: e.Desired}
		}, nil)
	case workload.Job:
		m.count("jobs")
		m.run(e)
	case workload.HostFails:
		m.count("host failures")
		m.fail(w.order[e.Host], e.After)
	case workload.ZoneFails:
		m.count("zone failures")
		for _, h := range w.order {
			if h.zone == e.Zone {
				m.fail(h, e.After)
			}
		}
	case workload.AgentCrashes:
		m.count("agent crashes")
		h := w.order[e.Host]
		w.watch.disturbed(h, disturbance)
		h.killAgent()
		h.startAgentSoon()
	}
}
func (m *Month) fail(h *host, after time.Duration) {
	if !h.on() {
		m.Skipped++
		return
	}
	m.World.watch.disturbed(h, disturbance)
	h.powerOff()
	m.World.time.After(after, h.powerOn)
}

// run runs a job's tasks, as many at once as one request may.
func (m *Month) run(j workload.Job) {
	def := m.defs[m.Load.Kinds[j.Kind].Name]
	if def == "" {
		m.Skipped++
		return
	}
	for lives := range slices.Chunk(j.Lives, fleet.MaxRunTasks) {
		ids := make([]fleet.TaskID, len(lives))
		for i, outcome := range lives {
			ids[i] = m.World.newTaskID()
			m.lives[ids[i]] = outcome
		}
		pins := m.World.pins(m.World.truth.TaskDef(def))
		m.World.write(m.anyHost(), "run a job", func(*fleet.State) fleet.Command {
			return fleet.RunTasks{TaskDef: def, Tasks: slices.Clone(ids), Images: pins}
		}, nil)
	}
}
func (m *Month) count(kind string) {
	m.events[kind].Add(m.World.time.Now()-m.begun, 1)
	m.World.stats.Operations[kind]++
}

// record has the month looked at now and then for its picture.
func (m *Month) record() {
	series := func(how chart.How, names ...string) map[string]*chart.Series {
		all := map[string]*chart.Series{}
		for _, name := range names {
			all[name] = chart.NewSeries(how, m.span)
		}
		return all
	}
	m.hosts = series(chart.Mean, "ready", "silent", "lost", "other")
	m.tasks = series(chart.Mean, "desired", "running", "pending", "jobs")
	m.used = series(chart.Mean, "cpu", "memory")
	m.events = series(chart.Sum, "deployments", "scalings", "jobs", "host failures", "zone failures", "agent crashes")
	var look func()
	look = func() {
		m.look()
		m.World.time.After(m.span/samples, look)
	}
	look()
}
func (m *Month) look() {
	s, at := m.World.truth, m.World.time.Now()-m.begun
	hosts := map[fleet.HostState]int{}
	var reserved, room fleet.Resources
	for h := range s.Hosts() {
		hosts[h.State]++
		reserved, room = reserved.Add(s.Reserved(h.ID)), room.Add(h.Capacity)
	}
	ready, silent, lost := hosts[fleet.HostReady], hosts[fleet.HostSilent], hosts[fleet.HostLost]
	m.hosts["ready"].Set(at, float64(ready))
	m.hosts["silent"].Set(at, float64(silent))
	m.hosts["lost"].Set(at, float64(lost))
	m.hosts["other"].Set(at, float64(len(m.World.order)-ready-silent-lost))
	desired, running, pending := 0, 0, 0
	for v := range s.Services() {
		n := s.Counts(v.Name, "")
		desired, running, pending = desired+v.Desired, running+n.Running, pending+n.Pending
	}
	m.tasks["desired"].Set(at, float64(desired))
	m.tasks["running"].Set(at, float64(running))
	m.tasks["pending"].Set(at, float64(pending))
	m.tasks["jobs"].Set(at, float64(len(m.lives)))
	for i, used := range []float64{float64(reserved.CPU) / float64(max(room.CPU, 1)),
		float64(reserved.Memory) / float64(max(room.Memory, 1))} {
		m.utilisation[i].add(100 * used)
		m.used[[]string{"cpu", "memory"}[i]].Set(at, 100*used)
	}
}

// Picture is the month as it is drawn.
func (m *Month) Picture(title, note string) chart.Month {
	lines := func(of map[string]*chart.Series, names ...string) (all []chart.Line) {
		for _, name := range names {
			colour := chart.Auto
			if name == "ready" {
				colour = chart.Pale
			}
			all = append(all, of[name].Line(name, colour))
		}
		return all
	}
	return chart.Month{Title: title, Note: note, Span: m.span, Panels: []chart.Panel{
		{Title: "Hosts by state", Kind: chart.Stack, Lines: lines(m.hosts, "lost", "silent", "other", "ready")},
		{Title: "Tasks", Kind: chart.Lines, Lines: lines(m.tasks, "desired", "running", "pending", "jobs")},
		{Title: "Reserved", Kind: chart.Lines, Unit: "%", Max: 100, Lines: lines(m.used, "cpu", "memory")},
		{Title: "Jobs begun", Kind: chart.Bars, Lines: lines(m.events, "jobs")},
		{Title: "Scalings and deployments", Kind: chart.Bars, Lines: lines(m.events, "scalings", "deployments")},
		{Title: "Faults", Kind: chart.Bars, Lines: lines(m.events, "agent crashes", "host failures", "zone failures")},
	}}
}
