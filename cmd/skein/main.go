// Command skein is the one binary of a Skein fleet: the agent that systemd
// starts on every host, the operator's command line, and the lab.
//
// One file per subcommand; wiring lives here and nowhere else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"skein/cmd/skein/config"
	"skein/cmd/skein/lab"
	"skein/cmd/skein/node"
)

// version is set by the build.
var version = "dev"

// exitUsage is the exit code for what the caller can mend before trying again.
const exitUsage = 2

// commands is the command line; each field is one subcommand in its own file.
type commands struct {
	Status     statusCommand      `cmd:"" help:"Show the fleet at a glance." example:"skein status"`
	Hosts      hostsCommand       `cmd:"" help:"List, cordon, uncordon or forget hosts."`
	Service    serviceCommand     `cmd:"" aliases:"services" help:"List, create, update, scale or delete services."`
	Taskdef    taskdefCommand     `cmd:"" aliases:"taskdefs" help:"Register, list or show task definitions."`
	Tasks      tasksCommand       `cmd:"" help:"List tasks: where they run, why they wait, why they stopped." example:"skein tasks web --host h3"`
	Task       taskCommand        `cmd:"" help:"Show one task." example:"skein task 3f9c"`
	Run        runCommand         `cmd:"" help:"Start standalone tasks." example:"skein run report:2 -n 3 --started-by cron"`
	Stop       stopCommand        `cmd:"" help:"Stop a task." example:"skein stop 3f9c --reason 'stuck in a loop'"`
	Events     eventsCommand      `cmd:"" help:"Show what was decided and why; -f follows." example:"skein events -f"`
	Routes     routesCommand      `cmd:"" help:"Show what each listener does, and who gets which share." example:"skein routes"`
	AccessLog  accessLogCommand   `cmd:"" name:"access-log" help:"Show requests that came in by this host, as root." example:"skein access-log --failed"`
	Listener   listenerCommand    `cmd:"" aliases:"listeners" help:"List, create or delete listeners: ports that every host answers on."`
	Entry      entryCommand       `cmd:"" aliases:"entries,entry-address" help:"List, add, move or remove entry addresses: one host at a time answers for each."`
	Rule       ruleCommand        `cmd:"" aliases:"rules" help:"Create or delete rules of listeners, and shift traffic."`
	Group      targetGroupCommand `cmd:"" name:"target-group" aliases:"target-groups" help:"List, create or delete target groups: where a service's tasks are found."`
	Deploy     deployCommand      `cmd:"" help:"Roll out a new version of a service." example:"skein deploy web --image registry:5000/web:2 --canary 10 --every 1m --watch"`
	Deployment deploymentCommand  `cmd:"" aliases:"deployments" help:"List, watch, promote, pause, roll back or stop deployments."`
	Alarm      alarmCommand       `cmd:"" aliases:"alarms" help:"List, create or delete alarms that fail deployments."`
	HookTarget hookTargetCommand  `cmd:"" name:"hook-target" aliases:"hook-targets" help:"List or change what hooks and alarms may name."`

	Voters   votersCommand  `cmd:"" help:"List the hosts that hold the log, and who leads." example:"skein voters"`
	Fleet    fleetCommand   `cmd:"" help:"End an upgrade of the fleet."`
	Settings settingCommand `cmd:"" name:"set" help:"Change a setting of the fleet." example:"skein set voters 5"`

	Agent agentCommand `cmd:"" help:"Run this host's agent." example:"skein agent --config /etc/skein/agent.toml"`
	Init  initCommand  `cmd:"" help:"Make a new fleet with this host as its first." example:"skein init --name h1 --zone a --peer-advertise 10.0.0.5:7700"`
	Token tokenCommand `cmd:"" help:"Create or revoke tokens."`
	Join  joinCommand  `cmd:"" help:"Make this host a member of a fleet." example:"skein join 10.0.0.5:7700 TOKEN"`

	Lab     labCommand     `cmd:"" help:"A fleet of test hosts on this machine."`
	Sim     simCommand     `cmd:"" help:"Run whole fleets in virtual time and check every rule." example:"skein sim"`
	Hook    hookCommand    `cmd:"" help:"Programs for task hooks of deployments: their exit code is the verdict."`
	Web     webCommand     `cmd:"" help:"Serve a page that names its task and host." example:"skein web --listen :8080"`
	Version versionCommand `cmd:"" help:"Print the version." example:"skein version"`
}

type versionCommand struct{}

// Run prints the version; kong calls it by name.
func (versionCommand) Run() error {
	fmt.Println(version)
	return nil
}

func main() {
	if code, mine := labProcess(os.Args[1:]); mine {
		os.Exit(code)
	}
	ctx, stop := untilSignal(context.Background())
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "skein:", err)
		os.Exit(exitCode(err))
	}
}

// untilSignal returns a context that ends with the first signal to end. SIGTERM stops an agent
// for good; the unit has SIGINT for a restart.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if <-signals == syscall.SIGTERM {
			cancel(node.ErrTerminated)
		} else {
			cancel(errInterrupted)
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

var errInterrupted = errors.New("interrupted")

// labProcess runs what only the lab starts: its hosts' first process and its
// registry, whose arguments are not for people.
func labProcess(args []string) (exitCode int, mine bool) {
	switch {
	case len(args) > 1 && args[0] == "lab" && args[1] == "init":
		return lab.InitMain(args[2:]), true
	case len(args) == 2 && args[0] == "lab" && args[1] == "registry":
		return lab.RegistryMain(), true
	}
	return 0, false
}

func run(ctx context.Context, args []string) error {
	parser, err := newParser(ctx, &commands{})
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	var refused *kong.ParseError
	switch {
	case errors.As(err, &refused):
		return refusal(refused.Context, err)
	case err != nil:
		return &usageError{err}
	}
	if err := refuseEmpty(parsed); err != nil {
		return refusal(parsed, err)
	}
	return parsed.Run()
}

func newParser(ctx context.Context, all *commands) (*kong.Kong, error) {
	return kong.New(all, append(values(),
		kong.Name("skein"),
		kong.Description("Runs a fleet of container hosts with no control plane to run."),
		config.Environment(),
		examples(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)...)
}

// usageError is a command line or configuration that was refused.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func exitCode(err error) int {
	var usage *usageError
	if errors.As(err, &usage) { // before what it wraps: the parser has codes of its own
		return exitUsage
	}
	var exact interface{ ExitCode() int }
	if errors.As(err, &exact) {
		return exact.ExitCode()
	}
	return 1
}
