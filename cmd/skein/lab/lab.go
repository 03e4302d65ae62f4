package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"skein/cmd/skein/config"
)

// Sentinels of refusals.
var (
	ErrName   = errors.New("lab name refused")
	ErrUp     = errors.New("lab is up already")
	ErrNoLab  = errors.New("no such lab")
	ErrNoHost = errors.New("no such host")
	ErrState  = errors.New("host is not in a state for this")
)

const (
	// DefaultName is the lab of `make demo`.
	DefaultName = "demo"
	runRoot     = "/run/skein-lab"
	dataRoot    = "/var/lib/skein-lab"

	// RegistryPort is where the lab's registry listens on the bridge.
	RegistryPort = 5000
	// PeerPort, GossipPort and StatusPort are the same on every host.
	PeerPort   = config.PeerPort
	GossipPort = 7701
	StatusPort = 7702

	// AgentSocket is the agent's unix socket as seen inside a host.
	AgentSocket      = "/run/skein/agent.sock"
	containerdSocket = "/run/containerd/containerd.sock"
)

// nameRule keeps "sv-<lab>-<n>" inside the 15 bytes of a link name, and has no
// dash so that no lab's prefix is the beginning of another's.
var nameRule = regexp.MustCompile(`^[a-z][a-z0-9]{0,7}$`)

// Options of a lab.
type Options struct {
	Name     string       // 1 to 8 lower-case letters and digits; empty is DefaultName
	Dir      string       // data folder; empty is /var/lib/skein-lab/<name>
	Binary   string       // the program hosts run; empty is this one
	Commands Commands     // empty is the skein command line
	Say      func(string) // told of each step; may be nil
}

// Lab is a handle to a lab, whether it exists or not.
type Lab struct {
	name     string
	dir      string // from Options; the state file's counts once it exists
	binary   string
	commands Commands
	say      func(string)
	root     string // runRoot
}

// New checks the options and touches nothing.
func New(o Options) (*Lab, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if !nameRule.MatchString(o.Name) {
		return nil, fmt.Errorf("%w: %q: allowed are 1 to 8 lower-case letters and digits, a letter first", ErrName, o.Name)
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(dataRoot, o.Name)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("data folder of lab %s: %w", o.Name, err)
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find own program: %w", err)
		}
	}
	if o.Commands == nil {
		o.Commands = SkeinCommands{}
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	return &Lab{name: o.Name, dir: dir, binary: o.Binary, commands: o.Commands, say: o.Say, root: runRoot}, nil
}

// Name of the lab.
func (l *Lab) Name() string { return l.name }

func (l *Lab) sayf(format string, args ...any) { l.say(fmt.Sprintf(format, args...)) }

// What belongs to a lab is found by these names alone, should its state file be lost.
func (l *Lab) bridge() string       { return "sk-" + l.name }
func (l *Lab) portPrefix() string   { return "sv-" + l.name + "-" }
func (l *Lab) port(n int) string    { return fmt.Sprintf("%s%d", l.portPrefix(), n) }
func (l *Lab) table() string        { return "skein_lab_" + l.name }
func (l *Lab) cgroup() string       { return cgroupRoot + "/" + l.name }
func (l *Lab) stateFile() string    { return filepath.Join(l.root, l.name+".json") }
func (l *Lab) lockFile() string     { return filepath.Join(l.root, l.name+".lock") }
func (l *Lab) socketFolder() string { return filepath.Join(l.root, l.name) }
func (l *Lab) socketOf(what string) string {
	return filepath.Join(l.socketFolder(), what+".sock")
}
func (l *Lab) hostCgroup(host string) string { return l.cgroup() + "/" + host }

// cgroupRoot is the parent of all labs' cgroups in every hierarchy.
const cgroupRoot = "/skein-lab"

// Limits of waiting. All are far above what a starved two-core machine needed.
const (
	bootTimeout    = 30 * time.Second // init answers: mounts, network, cgroups
	agentTimeout   = 90 * time.Second // the first agent leads, a joining host is let in
	removalTimeout = 20 * time.Second // killed processes and their cgroups are gone
	lockTimeout    = 2 * time.Minute  // another command of the same lab ends
	controlTimeout = 5 * time.Second  // init answers a question
)
