package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
)

const (
	// ratesWait is how long hosts have to tell what they count, once somebody has asked.
	ratesWait = 3 * time.Second
	ratesLook = 500 * time.Millisecond
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
