package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"skein/agent/api/view"
	"skein/agent/converge"
	"skein/agent/peer"
	"skein/agent/peer/stream"
	"skein/agent/plan"
	"skein/cmd/skein/config"
	"skein/raftfsm"
	"skein/raftfsm/fleet"
	"skein/runtime/containerd"
	"skein/runtime/ingress"
	"skein/runtime/port"
	"skein/runtime/seam/vfs"
)

// deliverWithin bounds how long the host loop may take over one frame; it
// writes the frame to disk first.
const deliverWithin = 30 * time.Second

// hostsFile is what tasks find at /etc/hosts; images of nothing but a program
// have none.
const hostsFile = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"

// openLoop makes the host loop over the adapters.
func (n *node) openLoop() (err error) {
	hosts := filepath.Join(n.Config.DataDir, "hosts")
	if err = vfs.WriteShared(hosts, []byte(hostsFile)); err != nil {
		return fmt.Errorf("write hosts file: %w", err)
	}
	n.host, err = converge.New(converge.Config{
		Machine: converge.MachineConfig{
			Fleet: n.identity.Identity().Fleet, Host: n.self, HostName: n.Config.Name, Zone: n.Config.Zone, Boot: n.boot,
			LogDir: filepath.Join(n.Config.DataDir, "logs"), ResolvConf: n.taskResolvConf(), HostsFile: hosts,
			Limits: converge.Limits{Starts: 2 * n.machine.CPUs()},
		},
		Dir: filepath.Join(n.Config.DataDir, "tasks"), FS: vfs.OS, Clock: n.clock,
		Containers: taskContainers{n.containers}, Network: n.network, Cgroups: n.cgroups,
		Send:   func(r fleet.Report) { n.link.Report(r) },
		Routes: routesServer{n.ingress, n.dns, n.Log}, Log: n.Log,
	})
	return err
}

// taskContainers are the containers of tasks: the self-check's is none.
type taskContainers struct{ *containerd.Client }

// List leaves the self-check's container out.
func (c taskContainers) List(ctx context.Context) ([]port.ContainerStatus, error) {
	all, err := c.Client.List(ctx)
	return slices.DeleteFunc(all, func(s port.ContainerStatus) bool { return s.Task == probeTask }), err
}

// newLink connects the host loop to the fleet.
func (n *node) newLink() *peer.Link {
	held := n.host.Status()
	return peer.NewLink(peer.LinkConfig{
		Port: n.port, Clock: n.clock, Logs: n.Log, Nonce: n.nonce, Epoch: held.Epoch, Index: held.Index,
		Session: n.session, Opened: n.host.SessionOpened, Deliver: n.deliver,
		Lost: func(error) { n.host.VoterLost() }, Acked: n.host.ReportAcked, Refused: n.host.ReportRefused,
		Cloned:   n.host.Cloned,
		Beat:     n.entries.beat,
		Entries:  func() (bool, []plan.EntryTrouble) { return n.leaving.Load(), n.entries.troubles() },
		Traffic:  n.traffic,
		Capacity: n.reports.newest, Late: func() time.Duration { _, worst := n.meter.Starved(); return worst },
	})
}

// session is what this host says of itself when its session opens.
func (n *node) session() fleet.OpenSession {
	addr, _ := PeerAddress(n.Config) // checked when the agent started
	gossip, _ := dialable(n.Config.GossipListen)
	image, err := n.machine.OSImage()
	if err != nil {
		image = ""
	}
	raftID := n.voter.id()
	if raftID == "" {
		raftID, _ = raftfsm.Identity(vfs.OS, n.voter.logDir())
	}
	return fleet.OpenSession{
		NextFields: fleet.Next(), Boot: n.boot, Addr: addr, Gossip: gossip, Status: statusURL(n.Config), Zone: n.Config.Zone,
		Attributes: n.Config.Attributes, Capacity: n.capacity, Version: n.Version, OSImage: image, RaftID: raftID,
		Format: fleet.FormatVersion,
	}
}

// deliver hands a frame of the stream to the host loop.
func (n *node) deliver(d stream.VoterFrame) error {
	n.host.VoterHeard(d.LeaderAge())
	n.voter.logsOut(d.LogsOut)
	n.entries.take(d)
	ctx, cancel := context.WithTimeout(context.Background(), deliverWithin)
	defer cancel()
	return n.host.Deliver(ctx, converge.Frame{Complete: d.Complete(), Wanted: d.Wanted, LeaderAge: d.LeaderAge()})
}

// statusURL is where people find this host's status page; empty without one.
func statusURL(c *config.Config) string {
	if c.StatusListen == "none" {
		return ""
	}
	addr, err := dialable(c.StatusListen)
	if err != nil {
		return ""
	}
	return "http://" + addr.String() + "/"
}

// apiLocal is this host as the API asks for it.
type apiLocal struct {
	host     *converge.Host
	ingress  *ingress.Engine
	stopping func() bool
}

// ServesTraffic is nil while the agent does not stop and a listener is open that clients
// outside can reach. A port that another program has takes no host out of service: of the
// listeners that are open, some are other services'.
func (l apiLocal) ServesTraffic() error {
	if l.stopping() {
		return errors.New("the agent stops, and its clients are asked to go elsewhere")
	}
	why := errors.New("there is no listener to serve")
	for _, one := range l.ingress.Status().Listeners {
		switch {
		case one.Alias:
		case one.Bound:
			return nil
		default:
			why = fmt.Errorf("listener %s is not open on port %d: %s", one.Name, one.Port, one.Failed)
		}
	}
	return why
}

// Tasks are those this host holds.
func (l apiLocal) Tasks() []view.LocalTask {
	status := l.host.Status()
	out := make([]view.LocalTask, 0, len(status.Tasks))
	for _, t := range status.Tasks {
		why := t.Reason
		if why == "" {
			why = t.Why
		}
		containers := make([]fleet.ContainerState, len(t.Containers))
		for i, c := range t.Containers {
			containers[i] = c.Told
		}
		out = append(out, view.LocalTask{
			ID: t.Task, Service: t.Service, Revision: t.Revision, TaskDef: t.TaskDef,
			Desired: t.Desired, Last: t.Status, Health: t.Health, Ports: t.Ports, Reason: why,
			Containers: containers,
		})
	}
	return out
}

// AloneSince is when the last voter was heard, zero while one is.
func (l apiLocal) AloneSince() time.Time { return l.host.Status().AloneSince.Std() }

// Ready is nil when this agent does its work.
func (l apiLocal) Ready() error {
	status := l.host.Status()
	switch {
	case !status.RuntimeUp:
		return fmt.Errorf("container runtime does not answer: %s", status.RuntimeError)
	case !status.Listed:
		return fmt.Errorf("the containers of this host have not been listed yet")
	}
	return nil
}
