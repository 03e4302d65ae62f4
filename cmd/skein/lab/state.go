package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skein/runtime/seam/vfs"
)

// stateFormat is raised when an older program could not read the file.
const stateFormat = 1

// maxStateBytes is many times what maxHosts hosts need.
const maxStateBytes = 1 << 20

// State is a lab as its file has it. It is written before each creation, so it
// may name things that do not exist, never the other way round.
type State struct {
	Format   int
	Name     string
	Dir      string
	Made     time.Time
	Complete bool // up reached its end
	Disks    bool // each host's data is on a disk of its own
	Subnet   netip.Prefix
	Registry Process
	Hosts    []Host
	Cuts     []Cut
}

// Host is one host of a lab.
type Host struct {
	N      int
	Name   string
	Zone   string
	Addr   netip.Addr
	Init   Process // zero when the host is dead
	BootID string
	Joined bool // it has an identity: its agent starts at boot
	Paused bool
	Frozen bool // its data disk stalls
}

// Cut drops what From sends to To, one way.
type Cut struct{ From, To netip.Addr }

func (s *State) host(name string) (*Host, error) {
	i := slices.IndexFunc(s.Hosts, func(h Host) bool { return h.Name == name })
	if i < 0 {
		names := make([]string, len(s.Hosts))
		for i, h := range s.Hosts {
			names[i] = h.Name
		}
		return nil, fmt.Errorf("%w: %q; lab %s has %s", ErrNoHost, name, s.Name, strings.Join(names, ", "))
	}
	return &s.Hosts[i], nil
}

// nextNumber is one above the highest ever given to a host that is still known.
func (s *State) nextNumber() int {
	highest := 0
	for _, h := range s.Hosts {
		highest = max(highest, h.N)
	}
	return highest + 1
}

// load returns ErrNoLab where there is no file.
func (l *Lab) load() (*State, error) {
	b, err := os.ReadFile(l.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s: `skein lab up --lab %s` makes one%s", ErrNoLab, l.name, l.name, l.others())
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, errNotRoot
	}
	if err != nil {
		return nil, fmt.Errorf("read lab state: %w", err)
	}
	s, err := decodeState(b)
	if err != nil {
		return nil, fmt.Errorf("read lab state %s: %w; `skein lab down --lab %s` removes the lab by its names", l.stateFile(),
			err, l.name)
	}
	return s, nil
}

// others says which labs there are instead: without --lab a command means the lab
// called demo.
func (l *Lab) others() string {
	states := l.allStates()
	if len(states) == 0 {
		return ""
	}
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = s.Name
	}
	return ", or name with --lab one that is up: " + strings.Join(names, ", ")
}

func decodeState(b []byte) (*State, error) {
	if len(b) > maxStateBytes {
		return nil, fmt.Errorf("%d bytes, at most %d", len(b), maxStateBytes)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if s.Format != stateFormat {
		return nil, fmt.Errorf("format %d, this program reads %d", s.Format, stateFormat)
	}
	return &s, nil
}

func (l *Lab) save(s *State) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write lab state: %w", err)
	}
	return vfs.WriteFileAtomic(vfs.OS, l.stateFile(), append(b, '\n'), 0o600)
}

// allStates returns every lab's state that can be read.
func (l *Lab) allStates() []*State {
	names, _ := filepath.Glob(filepath.Join(l.root, "*.json")) // fails only on a bad pattern
	var out []*State
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // removed meanwhile
		}
		if s, err := decodeState(b); err == nil {
			out = append(out, s)
		}
	}
	return out
}
