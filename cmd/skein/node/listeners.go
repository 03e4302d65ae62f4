package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

const (
	// listenersEvery is how often listeners are looked at, and failingFor how long one fails
	// before the fleet is told: a port that is handed over fails for a moment.
	listenersEvery = time.Second
	failingFor     = 3 * time.Second
	// tellEvery is the shortest time between two words about listeners, each of which is
	// an entry of the log.
	tellEvery = 10 * time.Second
	// holderEvery is how often is looked who holds a port, which reads the open files of
	// all processes.
	holderEvery = time.Minute
	// maxFailing bounds the listeners that are told of, and maxWhy what is said of each, in bytes.
	maxFailing = 16
	maxWhy     = 256
)

// hostChecks are the lines of the host's self-check: its own, and those of listeners.
type hostChecks struct {
	mu        sync.Mutex
	self      []fleet.Check // nil: not made yet
	listeners []fleet.Check
	told      []fleet.Check
}

// set changes a part, and says what is to be told: nil for nothing new. Before the first
// self-check nothing is, because the first that passes makes the host ready.
func (c *hostChecks) set(change func(*hostChecks)) []fleet.Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
	if c.self == nil {
		return nil
	}
	room := max(fleet.MaxSelfChecks-len(c.listeners), 0)
	all := slices.Concat(c.self[:min(len(c.self), room)], c.listeners)
	if slices.Equal(all, c.told) {
		return nil
	}
	c.told = all
	return slices.Clone(all)
}

// checkListeners tells the fleet which listeners clients cannot reach on this host, and that
// its tasks have no DNS.
func (n *node) checkListeners(ctx context.Context) error {
	watch := listenerWatch{holder: n.machine.PortHolder}
	return every(ctx, listenersEvery, func() {
		checks, changed := watch.look(n.clock.Mono(), unanswered(n.dns.Failed(), n.ingress.Failing()))
		if !changed {
			return
		}
		if all := n.checks.set(func(c *hostChecks) { c.listeners = checks }); all != nil {
			n.host.HostChecked(all, nil)
		}
	})
}

// unanswered are the listeners that fail and, without a name and first of all, DNS for tasks.
func unanswered(dns string, failing []ingress.ListenerStatus) []ingress.ListenerStatus {
	if dns == "" {
		return failing
	}
	return slices.Insert(failing, 0, ingress.ListenerStatus{Port: dnsPort, Failed: dns})
}

// listenerWatch knows since when listeners have failed.
type listenerWatch struct {
	holder  func(port int) string // names the program that has a port
	failing map[fleet.ListenerName]*failingListener
	told    []fleet.Check
	toldAt  time.Duration
	ever    bool // something was told
}

type failingListener struct {
	since    time.Duration
	holder   string
	lookedAt time.Duration // when the holder was looked for
	looked   bool
}

// look says what the fleet is to be told of listeners, and whether that is news.
func (w *listenerWatch) look(now time.Duration, failing []ingress.ListenerStatus) ([]fleet.Check, bool) {
	was := w.failing
	w.failing = map[fleet.ListenerName]*failingListener{}
	var checks []fleet.Check
	for _, l := range failing {
		f := was[l.Name]
		if f == nil {
			f = &failingListener{since: now}
		}
		w.failing[l.Name] = f
		if now-f.since < failingFor || len(checks) == maxFailing {
			continue
		}
		if !l.Bound && (!f.looked || now-f.lookedAt >= holderEvery) {
			f.holder, f.lookedAt, f.looked = w.holder(l.Port), now, true
		}
		checks = append(checks, listenerCheck(l, f.holder))
	}
	if slices.Equal(checks, w.told) || w.ever && now-w.toldAt < tellEvery {
		return nil, false
	}
	w.told, w.toldAt, w.ever = checks, now, true
	return checks, true
}

// listenerCheck is the line of a listener that fails. Its name is short, as State has it.
func listenerCheck(l ingress.ListenerStatus, holder string) fleet.Check {
	check := fleet.Check{Name: fmt.Sprintf("listener at port %d", l.Port), Listener: l.Name}
	if l.Name == "" {
		check.Name, l.Failed = "dns-of-tasks", "tasks of this host find no service by name: "+l.Failed
	}
	switch {
	case l.Bound:
		check.Detail = clipped("certificates: " + strings.Join(l.Certificates, "; "))
	case holder != "":
		check.Detail = fmt.Sprintf("%s; %s has it", clipped(l.Failed), holder)
	default:
		check.Detail = clipped(l.Failed)
	}
	return check
}

func clipped(why string) string {
	why = strings.ToValidUTF8(why, "?")
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "..."
	}
	return why
}
