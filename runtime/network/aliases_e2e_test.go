//go:build e2e

package network

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"skein/raftfsm/fleet"
)

func TestAliasesAnswerTasksAndNobodyElse(t *testing.T) {
	w := newWorld(t)
	n := open(t)
	alias := netip.AddrPortFrom(DefaultAliases.Addr().Next().Next(), 8080)
	answerAt(t, alias, "alias")
	pid := task(t, "a")
	setup(t, n, "a", pid, fleet.TCP, 8080) // the same port of the host leads to the task
	if got := askAlias(t, pid, alias); got != "alias" {
		t.Errorf("a task is answered %q", got)
	}
	if got := dial("tcp4", alias.String()); got != "alias" {
		t.Errorf("the host itself is answered %q", got)
	}
	if got := w.askAt(t, "tcp4", alias); got != "" {
		t.Errorf("a neighbour is answered %q", got)
	}
	if got := w.ask(t, "tcp4", 8080); got != "a" {
		t.Errorf("a neighbour is answered %q by the host's port, which is the task's", got)
	}

	must(t, netlink.RouteDel(aliasRoute(t)))
	must(t, n.Repair(t.Context()))
	if got := askAlias(t, pid, alias); got != "alias" {
		t.Errorf("after the route was taken away and put back a task is answered %q", got)
	}
}

func TestAliasesThatTheHostUsesAreRefused(t *testing.T) {
	newWorld(t)
	_, err := Open(t.Context(), Config{Aliases: netip.MustParsePrefix(hostAddr + "/16")})
	t.Cleanup(func() { clean(t) })
	if err == nil || !strings.Contains(err.Error(), "network.aliases") {
		t.Errorf("Open with aliases among which the host is: %v", err)
	}
}

// askAlias dials from a task, which may just have been set up: a busy machine takes longer
// over its first packets than dial waits.
func askAlias(t *testing.T, pid int, alias netip.AddrPort) (answer string) {
	t.Helper()
	for tries := 0; tries < 10 && answer == ""; tries++ {
		answer = dialIn(t, pid, "tcp4", alias.String())
	}
	return answer
}

// answerAt answers each connection to an address with a word.
func answerAt(t *testing.T, addr netip.AddrPort, word string) {
	t.Helper()
	l, err := net.Listen("tcp", addr.String())
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, word)
			_ = c.Close()
		}
	}()
}

// askAt has the neighbour, which sends to this host what is for aliases, dial an address.
func (w *world) askAt(t *testing.T, network string, addr netip.AddrPort) string {
	t.Helper()
	ns, err := openNamespace(w.pid)
	must(t, err)
	defer ns.Close()
	must(t, within(ns, func(h *netlink.Handle) error {
		return h.RouteReplace(&netlink.Route{Dst: ipNet(DefaultAliases), Gw: netip.MustParseAddr(hostAddr).AsSlice()})
	}))
	fmt.Fprintf(w.in, "%s %s\n", network, addr)
	line, err := w.out.ReadString('\n')
	must(t, err)
	return strings.TrimSpace(line)
}

func aliasRoute(t *testing.T) *netlink.Route {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	return localRoute(DefaultAliases, lo.Attrs().Index)
}
