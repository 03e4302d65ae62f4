package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
)

// printFailing says which hosts do not serve a listener, and why.
func printFailing(w io.Writer, listeners []types.Listener) {
	for i := range listeners {
		if text := listeners[i].Failure(); text != "" {
			fmt.Fprintln(w, "note:", printable(text))
		}
	}
}

// placeOf is where clients reach a listener: a port of every host, or a name and port that
// tasks alone know.
func placeOf(l types.Listener) string {
	if l.Alias != "" {
		return fmt.Sprintf("%s:%d", l.Alias, l.Port)
	}
	return strconv.Itoa(l.Port)
}

func listListeners(ctx context.Context, agent *client.Client) (all []types.Listener, header http.Header, err error) {
	return listAll(ctx, agent, "/v1/listeners", nil, listenersOf)
}

func listenersOf(p *types.Listeners) ([]types.Listener, string) { return p.Listeners, p.Next }

func listGroups(ctx context.Context, agent *client.Client) (all []types.TargetGroup, err error) {
	all, _, err = listAll(ctx, agent, "/v1/target-groups", nil, groupsOf)
	return all, err
}

func groupsOf(p *types.TargetGroups) ([]types.TargetGroup, string) { return p.TargetGroups, p.Next }

// listenerCommand is about the ports that every host answers on.
type listenerCommand struct {
	List   listenerListCommand   `cmd:"" default:"withargs" help:"List the listeners." example:"skein listener"`
	Show   listenerShowCommand   `cmd:"" help:"Show one listener with its rules." example:"skein listener show web-80"`
	Create listenerCreateCommand `cmd:"" help:"Answer on a port of every host." example:"skein listener create shop --port 80 --to shop-blue"`
	Delete listenerDeleteCommand `cmd:"" help:"Delete a listener with its rules." example:"skein listener delete shop"`
}

type listenerListCommand struct {
	target
	output
}

// Run prints the listeners.
func (c *listenerListCommand) Run(ctx context.Context) error {
	return list(ctx, &c.target, c.output, "/v1/listeners", nil, listenersOf, printListeners)
}

func printListeners(all []types.Listener) error { return printListenersTo(os.Stdout, all) }

func printListenersTo(w io.Writer, all []types.Listener) error {
	t := newTable(w, "LISTENER", "PORT", "PROTOCOL", "RULES", "MADE BY", "FAILS ON")
	for _, l := range all {
		t.row(l.Name, placeOf(l), l.Protocol, strconv.Itoa(len(l.Rules)), orDash(l.Owner), failsOn(l))
	}
	if err := t.flush(); err != nil {
		return err
	}
	printFailing(w, all)
	return nil
}

// failsOn names hosts that do not serve a listener, in one cell.
func failsOn(l types.Listener) string {
	const named = 3
	var names []string
	for _, f := range l.Failing[:min(named, len(l.Failing))] {
		names = append(names, nameOfHost(&f.Host))
	}
	if more := l.FailingCount - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return orDash(strings.Join(names, ", "))
}

type listenerShowCommand struct {
	target
	Name string `arg:"" help:"Name of the listener."`
}

// Run prints all that is known of a listener, as JSON.
func (c *listenerShowCommand) Run(ctx context.Context) error {
	return showJSON(ctx, &c.target, "/v1/listeners/"+url.PathEscape(c.Name))
}

// stickiness is how a rule that forwards keeps clients.
type stickiness struct {
	Sticky       int    `xor:"sticky" help:"Seconds for which a client stays with the revision that it reached, by a cookie." placeholder:"SECONDS"`
	StickyHeader string `xor:"sticky" help:"Header by whose value a client is led to the same group each time." placeholder:"NAME"`
}

// forwardTo has a body forward to the groups of --to, if they are given.
func (s *stickiness) forwardTo(body map[string]any, action string, to []string) error {
	if len(to) == 0 {
		if s.Sticky != 0 || s.StickyHeader != "" {
			return &usageError{errors.New(
				"--sticky and --sticky-header say how clients are led to the groups of --to: give that too")}
		}
		return nil
	}
	weights, err := weightsOf("--to", to)
	if err != nil {
		return err
	}
	body[action] = types.Action{Forward: &types.Forward{Groups: weights, StickyS: s.Sticky, StickyHeader: s.StickyHeader}}
	return nil
}

type listenerCreateCommand struct {
	target
	write
	stickiness
	Name     string   `arg:"" help:"Name of the listener."`
	Port     int      `help:"Port on every host." placeholder:"PORT"`
	Protocol string   `help:"HTTP, HTTPS, TCP or TLS (passed on by the name that clients ask for)." default:"HTTP"`
	To       []string `help:"Target group that takes what no rule takes; GROUP=PERCENT for several." placeholder:"GROUP"`
	File     string   `short:"f" help:"JSON of the whole listener, - for standard input; flags win." placeholder:"FILE"`
}

// Run creates a listener.
func (c *listenerCreateCommand) Run(ctx context.Context) error {
	body, err := bodyOfFile(ctx, c.File)
	if err != nil {
		return err
	}
	body["name"] = c.Name
	if c.Port != 0 {
		body["port"] = c.Port
	}
	if _, given := body["protocol"]; !given {
		body["protocol"] = c.Protocol
	}
	if err := c.forwardTo(body, "defaultAction", c.To); err != nil {
		return err
	}
	return c.do(ctx, &c.target, http.MethodPost, "/v1/listeners", body, "created %s", c.Name)
}

type listenerDeleteCommand struct {
	target
	write
	expectation
	Name string `arg:"" help:"Name of the listener."`
}

// Run deletes a listener.
func (c *listenerDeleteCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodDelete, pathOf("/v1/listeners/"+url.PathEscape(c.Name), c.query()),
		types.PlainBody{}, "%s is gone", c.Name)
}

// targetGroupCommand is about where the tasks of a service are found.
type targetGroupCommand struct {
	List   targetGroupListCommand   `cmd:"" default:"withargs" help:"List the target groups." example:"skein target-group"`
	Show   targetGroupShowCommand   `cmd:"" help:"Show one target group with its targets." example:"skein target-group show web-blue"`
	Create targetGroupCreateCommand `cmd:"" help:"Create a target group, for a service to be bound to." example:"skein target-group create shop-blue --health-path /health"`
	Delete targetGroupDeleteCommand `cmd:"" help:"Delete a target group that nothing names." example:"skein target-group delete shop-blue"`
}

type targetGroupListCommand struct {
	target
	output
}

// Run prints the target groups.
func (c *targetGroupListCommand) Run(ctx context.Context) error {
	return list(ctx, &c.target, c.output, "/v1/target-groups", nil, groupsOf, printGroups)
}

func printGroups(all []types.TargetGroup) error {
	t := newTable(os.Stdout, "TARGET GROUP", "PROTOCOL", "CHECK", "HEALTHY", "DRAINING", "SERVICE", "RULES")
	for _, g := range all {
		check := "connect"
		if g.Check.Path != "" {
			check = "GET " + g.Check.Path
		}
		t.row(g.Name, g.Protocol, check, healthyOf(g), strconv.Itoa(g.Counts.Draining), orDash(g.Service),
			orDash(strings.Join(g.Rules, " ")))
	}
	return t.flush()
}

type targetGroupShowCommand struct {
	target
	Name string `arg:"" help:"Name of the target group."`
}

// Run prints all that is known of a target group, as JSON.
func (c *targetGroupShowCommand) Run(ctx context.Context) error {
	return showJSON(ctx, &c.target, "/v1/target-groups/"+url.PathEscape(c.Name))
}

type targetGroupCreateCommand struct {
	target
	write
	Name     string `arg:"" help:"Name of the target group."`
	Protocol string `help:"HTTP1, HTTP2, GRPC or TCP: what is spoken with its targets." default:"HTTP1"`
	Health   string `name:"health-path" help:"Path that is asked for to check a target; a connection is enough without." placeholder:"PATH"`
	File     string `short:"f" help:"JSON of the whole target group, - for standard input; flags win." placeholder:"FILE"`
}

// Run creates a target group.
func (c *targetGroupCreateCommand) Run(ctx context.Context) error {
	body, err := bodyOfFile(ctx, c.File)
	if err != nil {
		return err
	}
	body["name"] = c.Name
	if _, given := body["protocolVersion"]; !given {
		body["protocolVersion"] = c.Protocol
	}
	if c.Health != "" {
		check, _ := body["healthCheck"].(map[string]any)
		if check == nil {
			check = map[string]any{}
		}
		check["path"] = c.Health
		body["healthCheck"] = check
	}
	return c.do(ctx, &c.target, http.MethodPost, "/v1/target-groups", body, "created %s", c.Name)
}

type targetGroupDeleteCommand struct {
	target
	write
	expectation
	Name string `arg:"" help:"Name of the target group."`
}

// Run deletes a target group.
func (c *targetGroupDeleteCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodDelete, pathOf("/v1/target-groups/"+url.PathEscape(c.Name), c.query()),
		types.PlainBody{}, "%s is gone", c.Name)
}

// bodyOfFile reads a JSON object; an empty one where no file is given.
func bodyOfFile(ctx context.Context, file string) (map[string]any, error) {
	body := map[string]any{}
	if file == "" {
		return body, nil
	}
	given, err := readInput(ctx, file)
	if err != nil {
		return nil, err
	}
	if body, err = members(given); err != nil {
		return nil, &usageError{fmt.Errorf("%s: %w", file, err)}
	}
	return body, nil
}
