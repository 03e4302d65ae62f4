package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"skein/cmd/skein/lab"
)

// labCommand is a fleet of test hosts on one machine.
type labCommand struct {
	Up       labUpCommand       `cmd:"" help:"Make a lab: hosts, a registry, a fleet on them." example:"skein lab up --zones a,a,b"`
	Demo     labDemoCommand     `cmd:"" help:"Make a lab with a service on it, and say what to try." example:"skein lab demo"`
	Down     labDownCommand     `cmd:"" help:"Remove every trace of a lab." example:"skein lab down"`
	List     labListCommand     `cmd:"" help:"List the hosts of a lab." example:"skein lab list"`
	Kill     labKillCommand     `cmd:"" help:"Sudden death of a host: power gone, with all that runs on it." example:"skein lab kill h2"`
	Start    labStartCommand    `cmd:"" help:"Boot a dead host, or start its agent." example:"skein lab start h2"`
	Pause    labPauseCommand    `cmd:"" help:"Stop every process of a host where it stands." example:"skein lab pause h2"`
	Resume   labResumeCommand   `cmd:"" help:"Let a paused host go on." example:"skein lab resume h2"`
	Freeze   labFreezeCommand   `cmd:"" help:"Stall a host's data disk: writes to it wait." example:"skein lab freeze h2"`
	Thaw     labThawCommand     `cmd:"" help:"Let a stalled disk go on." example:"skein lab thaw h2"`
	Restart  labRestartCommand  `cmd:"" help:"Restart a host's agent as systemctl does; its clients are not refused." example:"skein lab restart h2"`
	Stop     labStopCommand     `cmd:"" help:"Stop a host's agent as systemctl does, until start; its containers run on." example:"skein lab stop h2"`
	Upgrade  labUpgradeCommand  `cmd:"" help:"Have a host's agent run another build; its containers run on, its clients are not refused." example:"skein lab upgrade h1 bin/skein"`
	Add      labAddCommand      `cmd:"" help:"Boot one more host and let it join." example:"skein lab add"`
	Logs     labLogsCommand     `cmd:"" help:"Show a host's logs." example:"skein lab logs h1"`
	Cut      labCutCommand      `cmd:"" help:"Drop what hosts send to each other." example:"skein lab cut h1 h2"`
	Heal     labHealCommand     `cmd:"" help:"End a cut, or all of them." example:"skein lab heal h1 h2"`
	Exec     labExecCommand     `cmd:"" help:"Run a command inside a host." example:"skein lab exec h1 ip addr"`
	Registry labRegistryCommand `cmd:"" help:"Take the registry down, up, or slow it." example:"skein lab registry slow"`
}

// inLab says which lab; every command of a lab embeds it.
type inLab struct {
	Lab string `default:"demo" help:"Name of the lab: 1 to 8 lower-case letters and digits." placeholder:"NAME" env:"SKEIN_LAB"`
	Dir string `help:"Data folder; default /var/lib/skein-lab/NAME." placeholder:"PATH"`
}

func (i *inLab) open() (*lab.Lab, error) {
	l, err := lab.New(lab.Options{Name: i.Lab, Dir: i.Dir, Say: func(text string) { fmt.Println(text) }})
	if err != nil {
		return nil, &usageError{err}
	}
	return l, nil
}

// act opens the lab and does one thing to it, then says so.
func (i *inLab) act(do func(*lab.Lab) error, done string, args ...any) error {
	l, err := i.open()
	if err != nil {
		return err
	}
	if err := do(l); err != nil {
		return err
	}
	fmt.Printf(done+"\n", args...)
	return nil
}

type labUpCommand struct {
	inLab
	Zones []string `default:"a,b,c" help:"Zone of each host, in order."`
	Disks bool     `help:"A disk of its own for each host's data, which skein lab freeze can stall."`
	IPv6  bool     `name:"ipv6" help:"Addresses from a private IPv6 network."`
}

// Run makes the lab.
func (c *labUpCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.Up(ctx, lab.UpOptions{Zones: c.Zones, IPv6: c.IPv6, Disks: c.Disks}) },
		"lab %s is up; skein lab list --lab %s shows it", c.Lab, c.Lab)
}

type labDownCommand struct{ inLab }

// Run removes the lab.
func (c *labDownCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.Down(ctx) }, "lab %s is gone", c.Lab)
}

type labListCommand struct {
	inLab
	output
}

// Run lists hosts.
func (c *labListCommand) Run(ctx context.Context) error {
	l, err := c.open()
	if err != nil {
		return err
	}
	view, err := l.List(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(view)
	}
	_, err = view.WriteTo(os.Stdout)
	return err
}

type labKillCommand struct {
	inLab
	Agent   bool   `xor:"what" help:"End only its agent, until start."`
	Runtime bool   `xor:"what" help:"End only its containerd, until start."`
	Host    string `arg:"" help:"Name of the host."`
}

// Run kills a host, or one program of it.
func (c *labKillCommand) Run(ctx context.Context) error {
	switch {
	case c.Agent:
		return c.act(func(l *lab.Lab) error { return l.KillAgent(ctx, c.Host) },
			"%s: agent ended; its containers run on. skein lab start %s starts it again", c.Host, c.Host)
	case c.Runtime:
		return c.act(func(l *lab.Lab) error { return l.KillRuntime(ctx, c.Host) },
			"%s: containerd ended; its containers run on. skein lab start %s starts it again", c.Host, c.Host)
	}
	return c.act(func(l *lab.Lab) error { return l.Kill(ctx, c.Host) }, "%s is dead; skein lab start %s boots it", c.Host,
		c.Host)
}

type labStopCommand struct {
	inLab
	Host string `arg:"" help:"Name of the host."`
}

// Run stops an agent.
func (c *labStopCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.StopAgent(ctx, c.Host) },
		"%s: agent stopped; its containers run on. skein lab start %s starts it again", c.Host, c.Host)
}

type labStartCommand struct {
	inLab
	Host string `arg:"" help:"Name of the host."`
}

// Run boots a host.
func (c *labStartCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.Start(ctx, c.Host) }, "%s is up", c.Host)
}

type labFreezeCommand struct {
	inLab
	Host string `arg:"" help:"Name of the host."`
}

// Run stalls a disk.
func (c *labFreezeCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.FreezeDisk(ctx, c.Host) },
		"the data disk of %s stalls; skein lab thaw %s ends it", c.Host, c.Host)
}

type labThawCommand struct {
	inLab
	Host string `arg:"" help:"Name of the host."`
}

// Run ends the stall of a disk.
func (c *labThawCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.ThawDisk(ctx, c.Host) }, "the data disk of %s goes on", c.Host)
}

type labRestartCommand struct {
	inLab
	Host string `arg:"" help:"Name of the host."`
}

// Run restarts an agent.
func (c *labRestartCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.RestartAgent(ctx, c.Host) }, "the agent of %s was restarted", c.Host)
}

type labUpgradeCommand struct {
	inLab
	Host    string `arg:"" help:"Name of the host."`
	Program string `arg:"" help:"The program that its agent is to be."`
}

// Run changes the program of an agent.
func (c *labUpgradeCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.Upgrade(ctx, c.Host, c.Program) }, "the agent of %s runs %s", c.Host,
		c.Program)
}

type labPauseCommand struct {
	inLab
	Host string `arg:"" help:"Name of the host."`
}

// Run pauses a host.
func (c *labPauseCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.Pause(ctx, c.Host) }, "%s stands still", c.Host)
}

type labResumeCommand struct {
	inLab
	Host string `arg:"" help:"Name of the host."`
}

// Run resumes a host.
func (c *labResumeCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.Resume(ctx, c.Host) }, "%s goes on", c.Host)
}

type labAddCommand struct {
	inLab
	Zone string `default:"a" help:"Zone of the new host."`
}

// Run adds a host.
func (c *labAddCommand) Run(ctx context.Context) error {
	l, err := c.open()
	if err != nil {
		return err
	}
	name, err := l.Add(ctx, c.Zone)
	if err != nil {
		return err
	}
	fmt.Printf("%s is up in zone %s\n", name, c.Zone)
	return nil
}

type labLogsCommand struct {
	inLab
	Host       string `arg:"" help:"Name of the host."`
	Containerd bool   `xor:"which" help:"containerd's log."`
	Init       bool   `xor:"which" help:"The log of what stands for the machine."`
	Lines      int    `short:"n" default:"100" help:"How many of the last lines."`
	Follow     bool   `short:"f" help:"Go on as lines come."`
}

// Run prints a log.
func (c *labLogsCommand) Run(ctx context.Context) error {
	l, err := c.open()
	if err != nil {
		return err
	}
	service := ""
	switch {
	case c.Containerd:
		service = "containerd"
	case c.Init:
		service = "init"
	}
	return l.Logs(ctx, os.Stdout, c.Host, lab.LogOptions{Service: service, Lines: c.Lines, Follow: c.Follow})
}

type labCutCommand struct {
	inLab
	From   string `arg:"" help:"Name of a host."`
	To     string `arg:"" help:"Name of another."`
	OneWay bool   `help:"Only what FROM sends to TO."`
}

// Run cuts two hosts off from each other.
func (c *labCutCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error { return l.Cut(ctx, c.From, c.To, c.OneWay) }, "%s and %s are cut", c.From, c.To)
}

type labHealCommand struct {
	inLab
	Hosts []string `arg:"" optional:"" help:"Two hosts; without any, every cut is ended."`
}

// Run heals cuts.
func (c *labHealCommand) Run(ctx context.Context) error {
	switch len(c.Hosts) {
	case 0:
		return c.act(func(l *lab.Lab) error { return l.HealAll(ctx) }, "no cuts")
	case 2:
		return c.act(func(l *lab.Lab) error { return l.Heal(ctx, c.Hosts[0], c.Hosts[1], false) }, "%s are healed",
			strings.Join(c.Hosts, " and "))
	}
	return &usageError{fmt.Errorf("name two hosts, or none for all")}
}

type labExecCommand struct {
	inLab
	Host    string   `arg:"" help:"Name of the host."`
	Command []string `arg:"" passthrough:"" help:"Program and arguments."`
}

// Run runs a program inside a host.
func (c *labExecCommand) Run(ctx context.Context) error {
	l, err := c.open()
	if err != nil {
		return err
	}
	command := c.Command
	if command[0] == "--" && len(command) > 1 {
		command = command[1:]
	}
	code, err := l.Exec(ctx, c.Host, command, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code}
	}
	return nil
}

// exitError passes the exit code of another program on.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("the command ended with exit code %d", e.code) }

// ExitCode is the other program's.
func (e *exitError) ExitCode() int { return e.code }

type labRegistryCommand struct {
	inLab
	State string `arg:"" enum:"up,down,slow" help:"up, down or slow."`
	Rate  int    `default:"65536" help:"Bytes a second when slow."`
}

// Run changes how the lab's registry answers.
func (c *labRegistryCommand) Run(ctx context.Context) error {
	return c.act(func(l *lab.Lab) error {
		switch c.State {
		case "down":
			return l.RegistryDown(ctx)
		case "slow":
			return l.RegistrySlow(ctx, c.Rate)
		}
		if err := l.RegistrySlow(ctx, 0); err != nil {
			return err
		}
		return l.RegistryUp(ctx)
	}, "the registry is %s", c.State)
}
