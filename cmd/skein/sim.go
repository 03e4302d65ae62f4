package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"time"

	"skein/agent/sim"
	"skein/agent/sim/chart"
	"skein/agent/sim/virtual"
	"skein/agent/sim/workload"
)

// simGC trades memory for time: a simulated fleet makes little that lasts.
const simGC = 400

// simCommand runs whole fleets in virtual time: a month under a workload, one
// drawn life full of faults, or a scenario.
type simCommand struct {
	Hosts    int     `default:"100" help:"Hosts of the fleet." placeholder:"N"`
	Tasks    int     `help:"Tasks of services and jobs together (default: 20 a host)." placeholder:"N"`
	Days     float64 `default:"30" help:"How long it lives." placeholder:"DAYS"`
	Seed     uint64  `default:"1" help:"What happens; the same seed and build give the same history." placeholder:"N"`
	Workload string  `default:"steady" enum:"steady,published" help:"What the fleet runs: steady (hosts fail, services are deployed, a few jobs) or published (shaped like published traces; takes ten times as long)."`
	Jobs     float64 `default:"1" help:"So many times as many standalone jobs as the workload is shaped after." placeholder:"TIMES"`
	Plot     string  `help:"Draw the month into this SVG file." placeholder:"FILE"`

	Soak       string   `help:"Live new lives until interrupted; write failures, made small, into this folder." placeholder:"FOLDER" xor:"mode"`
	Life       bool     `help:"Live the small life that the seed draws, with all its faults, and come to rest." xor:"mode"`
	Operations string   `help:"With --life: live with the operations of this file instead of those drawn." placeholder:"FILE"`
	Shrink     bool     `help:"With --life: drop operations and hosts for as long as the failure stays, and print what is left."`
	Mutation   string   `help:"With --life: break one rule, to see that it is seen." placeholder:"NAME"`
	Trace      bool     `help:"Print everything that happens."`
	Scenario   []string `help:"Play scenario files and print what comes of them." placeholder:"FILE" xor:"mode"`
	Verbs      bool     `help:"List what can be done to a world." xor:"mode"`
}

// Help says what the modes are for.
func (c *simCommand) Help() string {
	return `Nothing of this machine is used: hosts, containers, network, disks and clocks are simulated, the
planners, State, leader loop, host loop and voter keeper are the real ones. Every rule of the
design is checked after every step; a rule that breaks ends the run with its story and exit code 1.

  skein sim --hosts 1000 --days 30 --seed 7 --plot month.svg
  skein sim --life --seed 4711 --trace
  skein sim --scenario FILE`
}

// Run is called by kong.
func (c *simCommand) Run(ctx context.Context) error {
	switch {
	case c.Verbs:
		fmt.Print(sim.Usage())
		return nil
	case len(c.Scenario) > 0:
		return c.scenarios()
	case c.Soak != "":
		return c.soak(ctx)
	case c.Life:
		return c.life()
	}
	return c.month(ctx)
}

func (c *simCommand) scenarios() error {
	for _, name := range c.Scenario {
		text, err := os.ReadFile(name)
		if err != nil {
			return &usageError{err}
		}
		played, err := sim.PlayScenario(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Print(played)
	}
	return nil
}

// life lives the life of a seed.
func (c *simCommand) life() error {
	run := sim.Draw(c.Seed)
	run.Config.Mutation = sim.Mutation(c.Mutation)
	if c.Operations != "" {
		text, err := os.ReadFile(c.Operations)
		if err != nil {
			return &usageError{err}
		}
		if run.Operations, err = sim.ParseOperations(string(text)); err != nil {
			return &usageError{fmt.Errorf("%s: %w", c.Operations, err)}
		}
	}
	if c.Trace {
		run.Config.Trace = os.Stdout
	}
	world, failure := sim.Live(run)
	if failure == nil {
		world.Report(os.Stdout)
		return nil
	}
	if c.Shrink {
		run.Config.Trace = nil
		run, failure = sim.Shrink(run, failure, func(line string) { fmt.Fprintln(os.Stderr, line) })
		fmt.Println(run)
	}
	return told(failure)
}

// soak lives new lives until ctx ends.
func (c *simCommand) soak(ctx context.Context) error {
	if err := os.MkdirAll(c.Soak, 0o755); err != nil {
		return &usageError{err}
	}
	from := uint64(time.Now().UnixNano() / 1_000_000)
	lives, failed, events, marks := 0, 0, uint64(0), sim.Marks{}
	sim.Soak(ctx, from, goruntime.NumCPU(), func(s sim.Soaked) {
		lives++
		events += s.Events
		marks.Add(s.Marks)
		if s.Failure != nil {
			failed++
			fmt.Printf("\n%v\n", s.Failure)
			c.keep(s)
		}
		fmt.Fprintf(os.Stderr, "\r%d lives, %d failed, %d events        ", lives, failed, events)
	})
	fmt.Printf("\n%d lives from seed %d, %d failed (see %s)\nstates reached:\n%s", lives, from, failed, c.Soak, marks)
	for _, missing := range marks.Missing() {
		fmt.Println("        0  " + missing)
	}
	if failed > 0 {
		return fmt.Errorf("sim: %d of %d lives failed", failed, lives)
	}
	return nil
}

// keep writes a failure down: what broke, the smallest life that breaks it, the
// story.
func (c *simCommand) keep(s sim.Soaked) {
	text := fmt.Sprintf("# %v\n# again: skein sim --life --seed %d, or with the operations below: --operations "+
		"FILE\n%v\n# %s\n",
		s.Failure, s.Seed, s.Run, strings.Join(s.Failure.Trace, "\n# "))
	name := filepath.Join(c.Soak, fmt.Sprintf("seed-%d.txt", s.Seed))
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "skein: failure not written down:", err)
	}
}

// told prints the story of a failure and returns it as an error.
func told(f *sim.Failure) error {
	for _, line := range f.Trace {
		fmt.Println(line)
	}
	return f
}

// month lives a fleet's month under a workload.
func (c *simCommand) month(ctx context.Context) error {
	if c.Hosts < 1 || c.Hosts > 100_000 || c.Days <= 0 || c.Days > 3650 {
		return &usageError{errors.New("sim: --hosts is from 1 to 100000, --days above 0 and at most 3650")}
	}
	tasks := c.Tasks
	if tasks <= 0 {
		tasks = 20 * c.Hosts
	}
	preset, ok := workload.ByName(c.Workload)
	if !ok {
		return &usageError{fmt.Errorf("sim: there is no workload %q", c.Workload)}
	}
	load := workload.Draw(virtual.NewChance(c.Seed, "fleet"), c.Hosts, tasks, preset)
	load.Preset.Jobs.PerMinute *= c.Jobs
	fmt.Print(load, "\n")
	debug.SetGCPercent(simGC)
	month := sim.NewMonth(c.Seed, load, ctx.Done())
	span := time.Duration(c.Days * 24 * float64(time.Hour))
	began := time.Now()
	failure, err := month.Run(span, func(done time.Duration) { progress(month, done, span, time.Since(began)) })
	fmt.Fprintln(os.Stderr)
	took := time.Since(began)
	if err != nil {
		return err
	}
	if failure != nil {
		return told(failure)
	}
	month.Report(os.Stdout)
	ran := month.World.Events()
	fmt.Printf("\ntook %s for %.1f simulated days: %.1f us an event\n", took.Round(time.Second), c.Days,
		float64(took.Microseconds())/float64(max(ran, 1)))
	if c.Plot == "" {
		return nil
	}
	return c.draw(month, load, took)
}

// progress rewrites one line, for people.
func progress(m *sim.Month, done, span, took time.Duration) {
	left := time.Duration(0)
	if done > 0 {
		left = time.Duration(float64(took) * float64(span-done) / float64(done))
	}
	fmt.Fprintf(os.Stderr, "\r%5.1f %%  day %.1f of %.1f  %d events  %s left        ", 100*float64(done)/float64(span),
		done.Hours()/24, span.Hours()/24, m.World.Events(), left.Round(time.Second))
}

func (c *simCommand) draw(month *sim.Month, load *workload.World, took time.Duration) (err error) {
	file, err := os.Create(c.Plot)
	if err != nil {
		return &usageError{err}
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	all, _ := load.Tasks()
	title := fmt.Sprintf("%d hosts, %d service tasks, %g days", c.Hosts, all, c.Days)
	return chart.Draw(file,
		month.Picture(title, fmt.Sprintf("seed %d, workload %s, simulated in %s", c.Seed, c.Workload,
			took.Round(time.Second))))
}
