package sim

import (
	"fmt"
	"strings"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// A scenario is a text of commands, in lines that begin with "> ", and of what
// they print, in the lines below. Lines that begin with # are for people.
//
//	> fleet h1=a h2=b h3=c cpu=2048 mem=4096 seed=1    a new world, complete
//	> kill h2                                          any operation; see Verbs
//	> run 10s                                          time passes; prints decisions
//	> steady web 1m                                    the same, until a service is
//	> stage web SCALE_UP 1m                            the same, until a deployment is there, or has ended
//	> show hosts|tasks|services|voters|deployments|effects    what State has
//	> reached MARK                                     fails unless something has come to happen; see SometimesMarks
//	> rest                                             ends all faults, waits, checks

// PlayScenario plays a scenario and returns its text with what was really
// printed. An error says which line could not be played.
func PlayScenario(text string) (string, error) {
	p := &player{}
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		command, isCommand := strings.CutPrefix(line, "> ")
		switch {
		case isCommand:
			p.line("%s", line)
			if err := p.play(strings.TrimSpace(command)); err != nil {
				return "", fmt.Errorf("line %d: %s: %w", i+1, command, err)
			}
		case strings.HasPrefix(line, "#"), line == "" && p.world == nil:
			p.line("%s", line)
		case line == "":
			p.blank = true
		}
	}
	return p.out.String(), nil
}

// player is a scenario being played.
type player struct {
	world *World
	out   strings.Builder
	told  uint64        // last decision printed
	since time.Duration // when the scenario's fleet was complete
	blank bool          // the text had an empty line here
}

func (p *player) line(format string, args ...any) {
	if p.blank {
		p.blank = false
		p.out.WriteByte('\n')
	}
	fmt.Fprintf(&p.out, format+"\n", args...)
}

func (p *player) play(command string) error {
	fields := strings.Fields(command)
	if fields[0] == "fleet" {
		return p.fleet(fields[1:])
	}
	if p.world == nil {
		return fmt.Errorf("a scenario begins with a fleet")
	}
	switch fields[0] {
	case "run":
		if len(fields) > 2 {
			return p.world.Do(command) // tasks
		}
		return p.run(fields[1:], func() bool { return false })
	case "steady":
		if len(fields) != 3 {
			return fmt.Errorf("use: steady SERVICE DURATION")
		}
		return p.run(fields[2:], func() bool { return p.steady(fields[1]) })
	case "stage":
		if len(fields) != 4 {
			return fmt.Errorf("use: stage SERVICE STAGE DURATION")
		}
		return p.run(fields[3:], func() bool { return p.isAt(fields[1], fields[2]) })
	case "show":
		return p.show(fields[1:])
	case "reached":
		if mark := strings.Join(fields[1:], " "); p.world.marks[mark] == 0 {
			return fmt.Errorf("it never came to happen")
		}
		return nil
	case "rest":
		p.world.Heal()
		if f := p.world.Quiesce(); f != nil {
			return f
		}
		p.events()
		p.line("at rest")
		return nil
	default:
		return p.world.Do(command)
	}
}

// fleet makes the scenario's world.
func (p *player) fleet(fields []string) error {
	cfg := Config{Seed: 1, Network: virtual.NetworkConditions{Delay: 500 * time.Microsecond}}
	room := fleet.Resources{CPU: 2048, Memory: 4096}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		n := int64(0)
		if _, err := fmt.Sscan(value, &n); err != nil && (key == "cpu" || key == "mem" || key == "seed") {
			return fmt.Errorf("%s is no number", field)
		}
		switch key {
		case "cpu":
			room.CPU = n
		case "mem":
			room.Memory = n
		case "seed":
			cfg.Seed = uint64(n)
		default:
			cfg.Hosts = append(cfg.Hosts, Machine{Name: key, Zone: value})
		}
	}
	for i := range cfg.Hosts {
		cfg.Hosts[i].Capacity = room
	}
	if len(cfg.Hosts) == 0 {
		return fmt.Errorf("a fleet has hosts: h1=a h2=b")
	}
	p.world = New(cfg)
	if err := p.world.Bring(bringWithin); err != nil {
		return err
	}
	p.since, p.told = p.world.time.Now(), p.world.truth.LastEvent()
	return nil
}

// run lets time pass and prints the decisions made meanwhile.
func (p *player) run(fields []string, enough func() bool) error {
	if len(fields) != 1 {
		return fmt.Errorf("say how long: run 10s")
	}
	d, err := time.ParseDuration(fields[0])
	if err != nil {
		return err
	}
	came := p.world.runUntil(p.world.time.Now()+d, enough)
	p.events()
	if f := p.world.broken(); f != nil {
		return f
	}
	if !came && strings.Contains(fmt.Sprint(fields), "steady") {
		p.line("not steady after %s", d)
	}
	return nil
}

func (p *player) events() {
	for e := range p.world.truth.EventsAfter(p.told) {
		p.told = e.Seq
		at := e.At.Sub(began) - p.since
		p.line("%9.3fs  %-10s %s", at.Seconds(), e.By, e.Message)
	}
}

// steady reports whether a service has what it wants, and nothing else.
func (p *player) steady(name string) bool {
	v := p.world.truth.Service(name)
	if v == nil {
		return false
	}
	own, all := p.world.truth.Counts(name, v.Revision), p.world.truth.Counts(name, "")
	checked := p.world.truth.TaskDef(p.world.truth.Revision(v.Revision).TaskDef).Checked()
	return own.Running == v.Desired && all.Total-all.Unreachable == v.Desired && (!checked || own.Healthy == v.Desired)
}

func (p *player) show(fields []string) error {
	s := p.world.truth
	switch strings.Join(fields, " ") {
	case "hosts":
		for h := range s.Hosts() {
			n := 0
			for range s.HeldBy(h.ID) {
				n++
			}
			flags := ""
			if h.Cordon != nil {
				flags = " cordoned"
			}
			if c := h.ClonedNow(p.world.wall()); c != nil {
				flags += fmt.Sprintf(" at %s, cloned at %s", h.Addr, c.Addr)
			}
			p.line("%-4s zone %s  %-8s tasks %d  free cpu %d%s", h.Name, h.Zone, h.State, n, s.Free(h.ID).CPU, flags)
		}
	case "tasks":
		for t := range s.Tasks() {
			p.line("%s %-8s %-10s %-12s to be %-8s %-9s %s", short(t.ID), t.Revision, p.hostName(t.Host), t.Last, t.Desired,
				t.Health, t.Reason)
		}
	case "services":
		for v := range s.Services() {
			n := s.Counts(v.Name, "")
			p.line("%s %s desired %d: running %d healthy %d pending %d stopping %d unreachable %d zones %v", v.Name, v.Revision,
				v.Desired,
				n.Running, n.Healthy, n.Pending, n.Stopping, n.Unreachable, s.TasksByZone(v.Name))
		}
		for w := range s.Conditions() {
			p.line("waits: %s: %s %v", w.Subject, w.Message, w.Counts)
		}
	case "voters":
		for v := range s.Voters() {
			p.line("%s %s", p.hostName(v.Host), v.Phase)
		}
	case "deployments":
		for d := range s.AllDeployments() {
			p.deployment(d)
		}
	case "effects":
		for e := range s.Effects() {
			p.line("%s for %s: %s, attempt %d on %s: %s%s", e.ID, e.Role.Kind, e.Status, e.Attempt, p.hostName(e.Runner),
				e.Outcome, e.Why)
		}
	default:
		return fmt.Errorf("show what? hosts, tasks, services, voters, deployments or effects")
	}
	return nil
}

// isAt reports whether the newest deployment of a service is in a stage, or has ended.
func (p *player) isAt(service, stage string) bool {
	d := p.world.truth.LastDeployment(service)
	return d != nil && (d.Stage.String() == stage || !d.Live())
}

// deployment is where a deployment stands, its history, and its calls of hooks.
func (p *player) deployment(d *fleet.Deployment) {
	p.line("%s %s %s at %s step %d, production %d, test %d: %s", d.ID, d.Config.Strategy, d.Status, d.Stage, d.Step,
		d.Production/100, d.Test/100, d.Reason)
	var stages []string
	for _, s := range d.Stages {
		stages = append(stages, s.Stage.String())
	}
	p.line("  %s", strings.Join(stages, " "))
	for _, r := range d.Hooks {
		p.line("  %s %s at %s %d: %s after %d calls: %s", r.ID, r.Hook, r.Stage, r.Step, r.Status, r.Calls, r.Answer)
	}
}

func (p *player) hostName(id fleet.HostID) string {
	if h := p.world.hosts[id]; h != nil {
		return h.name
	}
	return "-"
}
