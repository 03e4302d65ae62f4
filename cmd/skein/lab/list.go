package lab

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// HostView is one line of List.
type HostView struct {
	Name       string `json:"name"`
	Zone       string `json:"zone"`
	Address    string `json:"address"`
	LinkAddr   string `json:"linkAddress"` // of its interface: a MAC
	State      string `json:"state"`       // up, agent-down, runtime-down, not-joined, paused, dead
	InitPID    int    `json:"initPid,omitempty"`
	RuntimePID int    `json:"containerdPid,omitempty"`
	AgentPID   int    `json:"agentPid,omitempty"`
	BootID     string `json:"bootId"`
	StatusURL  string `json:"statusUrl"`
}

// View is what there is of a lab.
type View struct {
	Name     string       `json:"name"`
	Dir      string       `json:"dir"`
	Subnet   netip.Prefix `json:"subnet"`
	Registry string       `json:"registry"` // host:port of the lab's registry
	Complete bool         `json:"complete"` // false: up is at work or was cut short
	Hosts    []HostView   `json:"hosts"`
}

// List describes the lab; it takes no lock. Errors: ErrNoLab.
func (l *Lab) List(ctx context.Context) (*View, error) {
	s, err := l.load()
	if err != nil {
		return nil, err
	}
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	v := &View{Name: s.Name, Dir: s.Dir, Subnet: s.Subnet, Registry: s.registry().String(), Complete: s.Complete}
	for i := range s.Hosts {
		v.Hosts = append(v.Hosts, l.viewHost(ctx, &s.Hosts[i], all))
	}
	return v, nil
}

func (l *Lab) viewHost(ctx context.Context, host *Host, all []hierarchy) HostView {
	v := HostView{
		Name: host.Name, Zone: host.Zone, Address: host.Addr.String(), BootID: host.BootID,
		LinkAddr:  hardwareAddress(l.name, host.N).String(),
		StatusURL: "http://" + netip.AddrPortFrom(host.Addr, StatusPort).String() + "/",
	}
	if !host.Init.alive() {
		v.State = "dead"
		return v
	}
	v.InitPID = host.Init.PID
	if host.Paused {
		v.State = "paused"
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, err := l.ask(ctx, host, request{Op: opStatus})
	if err != nil {
		v.State = "booting"
		return v
	}
	outside := outsidePIDs(cgroupProcesses(all, l.hostCgroup(host.Name)))
	v.State = "up"
	for _, one := range status.Services {
		switch {
		case one.Name == runtimeService && one.PID == 0:
			v.State = "runtime-down"
		case one.Name == runtimeService:
			v.RuntimePID = outside[one.PID]
		case !host.Joined:
			v.State = "not-joined"
		case one.PID == 0:
			v.State = "agent-down"
		default:
			v.AgentPID = outside[one.PID]
		}
	}
	return v
}

// outsidePIDs maps pids as a host sees them to those of this machine.
func outsidePIDs(pids []int) map[int]int {
	out := make(map[int]int, len(pids))
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // just ended
		}
		if inner, ok := innerPID(string(b)); ok {
			out[inner] = pid
		}
	}
	return out
}

// innerPID reads the pid in the second pid namespace from proc(5) status:
// processes of containers have a third, which is not asked for.
func innerPID(status string) (int, bool) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			if len(fields) < 2 {
				return 0, false
			}
			pid, err := strconv.Atoi(fields[1])
			return pid, err == nil
		}
	}
	return 0, false
}

// WriteTo prints the lab as a table for people.
func (v *View) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "lab %s   network %s   registry %s   data %s\n", v.Name, v.Subnet, v.Registry, v.Dir)
	if !v.Complete {
		fmt.Fprintf(&b, "incomplete: `skein lab up --lab %s` is at work or was cut short\n", v.Name)
	}
	table := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tZONE\tADDRESS\tSTATE\tINIT\tCONTAINERD\tAGENT\tSTATUS PAGE")
	for _, h := range v.Hosts {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, h.Zone, h.Address, h.State,
			pidText(h.InitPID), pidText(h.RuntimePID), pidText(h.AgentPID), h.StatusURL)
	}
	if err := table.Flush(); err != nil {
		return 0, err
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func pidText(pid int) string {
	if pid == 0 {
		return "-"
	}
	return strconv.Itoa(pid)
}

// Names returns the labs on this machine that have a state file.
func Names() []string {
	var out []string
	for _, s := range (&Lab{root: runRoot}).allStates() {
		out = append(out, s.Name)
	}
	return out
}
