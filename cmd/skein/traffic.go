package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
	"skein/raftfsm/fleet"
)

// routesCommand shows who gets which share of what comes in.
type routesCommand struct {
	target
	output
}

// Run prints every rule with the groups that it leads to.
func (c *routesCommand) Run(ctx context.Context) error {
	agent, err := c.client(ctx)
	if err != nil {
		return err
	}
	listeners, header, err := listListeners(ctx, agent)
	if err != nil {
		return err
	}
	groups, err := listGroups(ctx, agent)
	if err != nil {
		return err
	}
	rates := awaitRates(ctx, agent)
	if c.JSON {
		return printJSON(map[string]any{"listeners": listeners, "targetGroups": groups, "traffic": rates})
	}
	warnStale(header)
	return printRoutes(os.Stdout, listeners, groups, rates)
}

const (
	// ratesWait is how long hosts have to tell what they count, once somebody has asked.
	ratesWait = 3 * time.Second
	ratesLook = 500 * time.Millisecond
)

// awaitRates are what target groups are asked for now: nothing where no leader answers in time,
// since what is to be seen besides does not need one.
func awaitRates(ctx context.Context, agent *client.Client) []types.GroupRates {
	ctx, cancel := context.WithTimeout(ctx, ratesWait)
	defer cancel()
	var answer types.Rates
	for {
		var next types.Rates
		if _, err := agent.Get(ctx, "/v1/traffic", &next); err != nil {
			return answer.Groups
		}
		answer = next
		if !slices.ContainsFunc(answer.Groups, func(g types.GroupRates) bool { return !g.Known }) {
			return answer.Groups
		}
		select {
		case <-time.After(ratesLook):
		case <-ctx.Done():
			return answer.Groups
		}
	}
}

func printRoutes(
	w io.Writer, listeners []types.Listener, groups []types.TargetGroup, rates []types.GroupRates,
) error {
	byName, now := map[string]types.TargetGroup{}, map[string]types.GroupRates{}
	for _, g := range groups {
		byName[g.Name] = g
	}
	for _, g := range rates {
		now[g.TargetGroup] = g
	}
	t := newTable(w, "PORT", "RULE", "TAKES", "GOES TO", "SHARE", "NOW", "ERRORS", "P99", "HEALTHY", "SERVICE")
	for _, l := range listeners {
		for _, r := range l.Rules {
			port, rule, takes := fmt.Sprintf("%s/%s", placeOf(l), l.Protocol), r.ID, conditionsOf(r)
			if r.Action.Forward == nil {
				t.row(port, rule, takes, answerOf(r.Action), "100 %", "-", "-", "-", "-", orDash(r.Service))
				continue
			}
			for _, w := range r.Action.Forward.Groups {
				g, is := byName[w.Group], now[w.Group]
				t.row(append(append([]string{port, rule, takes, w.Group, percent(w.Weight)}, rateCells(is.Known, is.Rate)...),
					healthyOf(g), orDash(g.Service))...)
				for _, revision := range is.Revisions {
					t.row(append([]string{"", "", "", "  " + revision.Revision, ""}, rateCells(true, revision.Rate)...)...)
				}
				if is.NoTarget > 0 {
					t.row("", "", "", "  no task", "", perSecond(is.NoTarget), "100 %")
				}
				port, rule, takes = "", "", ""
			}
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	printFailing(w, listeners)
	return nil
}

// printFailing says which hosts do not serve a listener, and why.
func printFailing(w io.Writer, listeners []types.Listener) {
	for i := range listeners {
		if text := listeners[i].Failure(); text != "" {
			fmt.Fprintln(w, "note:", printable(text))
		}
	}
}

// rateCells are how much is asked for now, and how that ends. What is not known is no zero.
func rateCells(known bool, r types.Rate) []string {
	switch {
	case !known:
		return []string{"-", "-", "-"}
	case r.RequestsPerS == 0:
		return []string{"0/s", "-", "-"}
	}
	p99 := "-"
	if r.P99Ms > 0 {
		p99 = strconv.FormatFloat(r.P99Ms, 'f', 0, 64) + " ms"
	}
	return []string{perSecond(r.RequestsPerS), strconv.FormatFloat(100*r.ErrorShare, 'f', 1, 64) + " %", p99}
}

func perSecond(rate float64) string { return strconv.FormatFloat(rate, 'f', 1, 64) + "/s" }

// placeOf is where clients reach a listener: a port of every host, or a name and port that
// tasks alone know.
func placeOf(l types.Listener) string {
	if l.Alias != "" {
		return fmt.Sprintf("%s:%d", l.Alias, l.Port)
	}
	return strconv.Itoa(l.Port)
}

// percent is a weight as people read it.
func percent(weight int) string {
	return strconv.FormatFloat(float64(weight)/100, 'f', -1, 64) + " %"
}

func healthyOf(g types.TargetGroup) string {
	n := g.Counts
	return fmt.Sprintf("%d/%d", n.Healthy, n.Healthy+n.Initial+n.Unhealthy)
}

// conditionsOf is what a rule takes, in few words.
func conditionsOf(r types.Rule) string {
	if len(r.Conditions) == 0 {
		return "all else"
	}
	parts := make([]string, len(r.Conditions))
	for i, c := range r.Conditions {
		field, _, _ := strings.Cut(c.Field, "-")
		if c.Name != "" {
			field += " " + c.Name
		}
		parts[i] = field + " " + strings.Join(c.Values, " or ")
	}
	return strings.Join(parts, ", ")
}

// answerOf is what is said where no target is asked.
func answerOf(a types.Action) string {
	if a.Redirect != nil {
		return fmt.Sprintf("redirect (%d)", a.Redirect.Status)
	}
	if a.Fixed != nil {
		return fmt.Sprintf("answer %d", a.Fixed.Status)
	}
	return "-"
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

// ruleCommand is about what becomes of requests at a listener.
type ruleCommand struct {
	Create  ruleCreateCommand  `cmd:"" help:"Say what becomes of some requests at a listener." example:"skein rule create web-80/shop --priority 10 --host shop.example --to shop-blue"`
	Weights ruleWeightsCommand `cmd:"" help:"Shift traffic between target groups of a rule." example:"skein rule weights web-80/default web-blue=95 web-green=5"`
	Delete  ruleDeleteCommand  `cmd:"" help:"Delete a rule." example:"skein rule delete web-80/shop"`
}

type ruleCreateCommand struct {
	target
	write
	stickiness
	Rule     string            `arg:"" help:"LISTENER/NAME."`
	Priority int               `help:"The lowest that fits takes a request, 1 to 50000." placeholder:"N"`
	Host     []string          `help:"Hosts that it takes, * and ? allowed." placeholder:"PATTERN"`
	Path     []string          `help:"Paths that it takes, * and ? allowed." placeholder:"PATTERN"`
	Header   map[string]string `help:"Header that it takes, NAME=PATTERN." placeholder:"NAME=PATTERN"`
	Method   []string          `help:"Methods that it takes." placeholder:"METHOD"`
	Source   []string          `help:"Ranges of client addresses that it takes." placeholder:"PREFIX"`
	To       []string          `help:"Target group that it forwards to; GROUP=PERCENT for several." placeholder:"GROUP"`
	File     string            `short:"f" help:"JSON of the whole rule, - for standard input; flags win." placeholder:"FILE"`
}

// Run creates a rule.
func (c *ruleCreateCommand) Run(ctx context.Context) error {
	listener, name, err := splitRule(c.Rule)
	if err != nil {
		return err
	}
	body, err := bodyOfFile(ctx, c.File)
	if err != nil {
		return err
	}
	body["name"] = name
	if c.Priority != 0 {
		body["priority"] = c.Priority
	}
	if conditions := c.conditions(); len(conditions) > 0 {
		body["conditions"] = conditions
	}
	if err := c.forwardTo(body, "action", c.To); err != nil {
		return err
	}
	return c.do(ctx, &c.target, http.MethodPost, "/v1/listeners/"+url.PathEscape(listener)+"/rules", body, "created %s",
		c.Rule)
}

func (c *ruleCreateCommand) conditions() []types.RuleCondition {
	var all []types.RuleCondition
	add := func(field fleet.ConditionField, name string, values []string) {
		if len(values) > 0 {
			all = append(all, types.RuleCondition{Field: field.String(), Name: name, Values: values})
		}
	}
	add(fleet.FieldHost, "", c.Host)
	add(fleet.FieldPath, "", c.Path)
	for _, name := range sortedKeys(c.Header) {
		add(fleet.FieldHeader, name, []string{c.Header[name]})
	}
	add(fleet.FieldMethod, "", c.Method)
	add(fleet.FieldSource, "", c.Source)
	return all
}

type ruleWeightsCommand struct {
	target
	write
	expectation
	Rule    string   `arg:"" help:"LISTENER/NAME; NAME default is the rule that takes what no other takes."`
	Weights []string `arg:"" help:"GROUP=PERCENT of each group that is to have a share; together 100."`
}

// Run shifts traffic.
func (c *ruleWeightsCommand) Run(ctx context.Context) error {
	path, err := rulePath(c.Rule)
	if err != nil {
		return err
	}
	weights, err := weightsOf("WEIGHTS", c.Weights)
	if err != nil {
		return err
	}
	return c.do(ctx, &c.target, http.MethodPost, pathOf(path+"/weights", c.query()), types.WeightsBody{Weights: weights},
		"%s: %s", c.Rule, strings.Join(c.Weights, ", "))
}

type ruleDeleteCommand struct {
	target
	write
	expectation
	Rule string `arg:"" help:"LISTENER/NAME."`
}

// Run deletes a rule.
func (c *ruleDeleteCommand) Run(ctx context.Context) error {
	path, err := rulePath(c.Rule)
	if err != nil {
		return err
	}
	return c.do(ctx, &c.target, http.MethodDelete, pathOf(path, c.query()), types.PlainBody{}, "%s is gone", c.Rule)
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

// weightsOf reads GROUP=PERCENT; one group without a percentage has all.
func weightsOf(flag string, given []string) ([]types.GroupWeight, error) {
	if len(given) == 1 && !strings.Contains(given[0], "=") {
		return []types.GroupWeight{{Group: given[0], Weight: fleet.TotalWeight}}, nil
	}
	weights := make([]types.GroupWeight, len(given))
	sum := 0
	for i, text := range given {
		group, share, _ := strings.Cut(text, "=")
		value, err := strconv.ParseFloat(share, 64)
		basis := value * 100
		if err != nil || !(value >= 0 && value <= 100) || math.Abs(basis-math.Round(basis)) > 1e-6 {
			return nil, &usageError{fmt.Errorf("%s %q: GROUP=PERCENT is needed, from 0 to 100 with at most two decimals", flag,
				text)}
		}
		weights[i] = types.GroupWeight{Group: group, Weight: int(math.Round(basis))}
		sum += weights[i].Weight
	}
	if sum != fleet.TotalWeight {
		return nil, &usageError{fmt.Errorf("%s: the shares sum to %s, not to 100", flag, percent(sum))}
	}
	return weights, nil
}

// splitRule parts LISTENER/NAME.
func splitRule(id string) (listener, name string, err error) {
	of, name := fleet.RuleID(id).Split()
	if of == "" || name == "" {
		return "", "", &usageError{fmt.Errorf("%q is no rule: LISTENER/NAME is needed, like web-80/default", id)}
	}
	return string(of), name, nil
}

func rulePath(id string) (string, error) {
	listener, name, err := splitRule(id)
	return "/v1/listeners/" + url.PathEscape(listener) + "/rules/" + url.PathEscape(name), err
}
