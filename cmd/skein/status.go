package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"skein/agent/api/types"
)

// statusCommand shows the fleet at a glance.
type statusCommand struct {
	target
	output
}

// Run prints status, hosts and services.
func (c *statusCommand) Run(ctx context.Context) error {
	agent, err := c.client(ctx)
	if err != nil {
		return err
	}
	var status types.Status
	header, err := agent.Get(ctx, "/v1/status", &status)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(status)
	}
	warnStale(header)
	printStatus(&status)
	var hosts types.Hosts
	if _, err := agent.Get(ctx, "/v1/hosts", &hosts); err != nil {
		return err
	}
	fmt.Println()
	if err := printHosts(hosts.Hosts); err != nil {
		return err
	}
	var services types.Services
	if _, err := agent.Get(ctx, "/v1/services", &services); err != nil {
		return err
	}
	if len(services.Services) == 0 {
		return nil
	}
	fmt.Println()
	if err := printServices(services.Services); err != nil {
		return err
	}
	var live []types.Deployment
	for _, s := range services.Services {
		if s.LiveDeployment != nil {
			live = append(live, *s.LiveDeployment)
		}
	}
	if len(live) == 0 {
		return nil
	}
	fmt.Println()
	return printDeployments(live)
}

func printStatus(s *types.Status) {
	leader := "nobody"
	if s.Leader != nil {
		leader = s.Leader.Name
	}
	fmt.Printf("fleet %s  leader %s  voters %s  hosts %d ready of %d  tasks %d running of %d desired\n",
		printable(firstOf(s.Fleet.Name, s.Fleet.ID)), printable(leader), printable(s.Voters.Summary),
		s.Hosts.Ready, s.Hosts.Total, s.Tasks.Running, s.Tasks.Desired)
	for _, note := range s.Notes {
		fmt.Println("note:", printable(note))
	}
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// votersCommand lists the holders of the log.
type votersCommand struct {
	target
	output
}

// Run prints voters and leader.
func (c *votersCommand) Run(ctx context.Context) error {
	agent, err := c.client(ctx)
	if err != nil {
		return err
	}
	var answer types.Voters
	header, err := agent.Get(ctx, "/v1/voters", &answer)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(answer)
	}
	warnStale(header)
	if answer.Counts.Alive < answer.Counts.Voting {
		fmt.Fprintln(os.Stderr, "note: voters", printable(answer.Counts.Summary))
	}
	now := time.Now()
	t := newTable(os.Stdout, "VOTER", "HOST", "ZONE", "PHASE", "SINCE", "HOST IS", "")
	for _, voter := range answer.Voters {
		mark := ""
		if answer.Leader != nil && answer.Leader.ID == voter.Host.ID {
			mark = "leads"
		}
		state := voter.State
		if !voter.Alive {
			state += ", not heard"
		}
		t.row(voter.ID, voter.Host.Name, voter.Host.Zone, voter.Phase, ago(voter.Since, now), state, mark)
	}
	return t.flush()
}

// eventsCommand shows what was decided and why.
type eventsCommand struct {
	target
	output
	Service string  `help:"Only those about this service." placeholder:"SERVICE"`
	Follow  bool    `short:"f" help:"Follow: print events as they happen."`
	After   *uint64 `help:"Only those after this number; 0 for the oldest kept." placeholder:"N"`
	Limit   int     `default:"50" help:"How many, 1 to 1000: the newest, or with --after the next."`
}

// Run prints events, oldest first, and with --follow goes on.
func (c *eventsCommand) Run(ctx context.Context) error {
	agent, err := c.client(ctx)
	if err != nil {
		return err
	}
	path := "/v1/events?limit=" + strconv.Itoa(c.Limit)
	if c.After != nil {
		path += "&after=" + strconv.FormatUint(*c.After, 10)
	}
	about := ""
	if c.Service != "" {
		about = "&service=" + url.QueryEscape(c.Service)
	}
	path += about
	var answer types.Events
	if _, err := agent.Get(ctx, path, &answer); err != nil {
		return err
	}
	if len(answer.Events) == 0 && c.Service != "" && c.After == nil && !c.Follow {
		if err := mustKnow(ctx, agent, c.Service); err != nil {
			return err
		}
	}
	if c.JSON && !c.Follow {
		return printJSON(answer)
	}
	for _, event := range answer.Events {
		if err := c.print(event); err != nil {
			return err
		}
	}
	if !c.Follow {
		return nil
	}
	return followEvents(ctx, agent, about, answer.Next, c.print)
}

func (c *eventsCommand) print(d types.Event) error {
	if c.JSON {
		return printJSON(d)
	}
	counts := ""
	for _, count := range d.Counts {
		counts += fmt.Sprintf("  %s=%d", count.Name, count.Count)
	}
	_, err := fmt.Printf("%s  %-10s %s%s\n", clockTime(d.At), printable(d.By),
		printable(firstOf(d.Message, d.Code+" "+d.Subject)), printable(counts))
	return err
}
