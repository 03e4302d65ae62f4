package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"skein/agent/api/types"
)

// hostsCommand is about the machines of the fleet.
type hostsCommand struct {
	List     hostsListCommand     `cmd:"" default:"withargs" help:"List the hosts." example:"skein hosts"`
	Show     hostsShowCommand     `cmd:"" help:"Show one host with its checks." example:"skein hosts show h3"`
	Cordon   hostsCordonCommand   `cmd:"" help:"Keep new tasks off a host." example:"skein hosts cordon h3 --why 'new disk'"`
	Uncordon hostsUncordonCommand `cmd:"" help:"Let new tasks on a host again." example:"skein hosts uncordon h3"`
	Forget   hostsForgetCommand   `cmd:"" help:"End a host's identity for ever; its tasks count as stopped." example:"skein hosts forget h3 --force"`
}

type hostsListCommand struct {
	target
	output
}

// Run prints the hosts.
func (c *hostsListCommand) Run(ctx context.Context) error {
	return list(ctx, &c.target, c.output, "/v1/hosts", nil, hostsOf, func(all []types.Host) error {
		if err := printHosts(all); err != nil {
			return err
		}
		printAlarms(os.Stdout, all...)
		return nil
	})
}

func hostsOf(p *types.Hosts) ([]types.Host, string) { return p.Hosts, p.Next }

// printAlarms says what must be heard of single hosts at once.
func printAlarms(to io.Writer, hosts ...types.Host) {
	for i := range hosts {
		if alarm := hosts[i].Alarm(); alarm != "" {
			fmt.Fprintln(to, "note:", printable(alarm))
		}
	}
}

func printHosts(hosts []types.Host) error {
	slices.SortFunc(hosts, func(a, b types.Host) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	now := time.Now()
	t := newTable(os.Stdout, "HOST", "ZONE", "STATE", "SINCE", "ROLE", "TASKS", "CPU FREE", "MEMORY FREE", "STATUS PAGE")
	for _, h := range hosts {
		role := h.Role
		if h.Leader {
			role = "leader"
		}
		t.row(h.Name, h.Zone, hostState(&h), ago(h.StateSince, now), role, strconv.Itoa(h.Running+h.Pending),
			fmt.Sprintf("%d/%d", h.Free.CPU, h.Capacity.CPU), fmt.Sprintf("%d/%d MiB", h.Free.Memory, h.Capacity.Memory),
			orDash(h.StatusURL))
	}
	return t.flush()
}

// hostState is a host's life in the words of the table.
func hostState(h *types.Host) string {
	state := h.State
	if h.State == "ready" && h.Gossip == "failed" {
		state += ", not heard" // its agent is down or stands still; its tasks run on
	}
	if h.Cordon != nil {
		state += ", cordoned"
	}
	if h.Clone != nil {
		state += ", cloned disk?"
	}
	if h.TooOld != nil {
		state += ", agent too old"
	}
	return state
}

type hostsShowCommand struct {
	target
	Host string `arg:"" help:"Name or id."`
}

// Run prints all that is known of a host, as JSON.
func (c *hostsShowCommand) Run(ctx context.Context) error {
	agent, err := c.client(ctx)
	if err != nil {
		return err
	}
	var text json.RawMessage // what a newer agent adds is shown too
	header, err := agent.Get(ctx, "/v1/hosts/"+url.PathEscape(c.Host), &text)
	if err != nil {
		return err
	}
	warnStale(header)
	var host types.Host
	if err := json.Unmarshal(text, &host); err != nil {
		return fmt.Errorf("read host: %w", err)
	}
	printAlarms(os.Stderr, host)
	return printJSON(text)
}

// showJSON prints one object as the API has it.
func showJSON(ctx context.Context, t *target, path string) error {
	agent, err := t.client(ctx)
	if err != nil {
		return err
	}
	var answer map[string]any
	header, err := agent.Get(ctx, path, &answer)
	if err != nil {
		return err
	}
	warnStale(header)
	return printJSON(answer)
}

type hostsCordonCommand struct {
	target
	write
	Host string `arg:"" help:"Name or id."`
	Why  string `help:"Reason, for others." placeholder:"TEXT"`
}

// Run cordons a host.
func (c *hostsCordonCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodPost, hostPath(c.Host, "cordon"), types.CordonBody{Why: c.Why},
		"%s takes no new tasks; those on it stay", c.Host)
}

type hostsUncordonCommand struct {
	target
	write
	Host string `arg:"" help:"Name or id."`
}

// Run takes a cordon off.
func (c *hostsUncordonCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodPost, hostPath(c.Host, "uncordon"), types.PlainBody{},
		"%s may take new tasks", c.Host)
}

type hostsForgetCommand struct {
	target
	write
	Host  string `arg:"" help:"Name or id."`
	Force bool   `help:"Even though it is ready."`
}

// Run forgets a host.
func (c *hostsForgetCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodPost, hostPath(c.Host, "forget"), types.ForceBody{Force: c.Force},
		"%s is no longer of this fleet; to come back it joins anew", c.Host)
}

func hostPath(host, verb string) string { return "/v1/hosts/" + url.PathEscape(host) + "/" + verb }
