package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"skein/agent/api/types"
)

// deploymentCommand is about roll-outs of services.
type deploymentCommand struct {
	List     deploymentListCommand     `cmd:"" default:"withargs" help:"List deployments, those that have not ended unless a service is named." example:"skein deployment list web"`
	Show     deploymentShowCommand     `cmd:"" help:"Show one deployment with its stages, hooks and alarms." example:"skein deployment show web.4"`
	Watch    deploymentWatchCommand    `cmd:"" help:"Show a deployment until it ends. Exit code: 0 succeeded, 3 rolled back, 4 stopped, 5 its rollback failed." example:"skein deployment watch web"`
	Promote  deploymentPromoteCommand  `cmd:"" help:"Wait for no more steps and no more bake." example:"skein deployment promote web"`
	Pause    deploymentPauseCommand    `cmd:"" help:"Hold a deployment where it is; alarms and rollbacks go on." example:"skein deployment pause web"`
	Continue deploymentContinueCommand `cmd:"" help:"End a pause, or answer a hook that waits for a person." example:"skein deployment continue web.4 --hook web.4-2"`
	Rollback deploymentRollbackCommand `cmd:"" help:"Give all traffic back to the former version." example:"skein deployment rollback web"`
	Stop     deploymentStopCommand     `cmd:"" help:"End a deployment at once, without going back by steps." example:"skein deployment stop web.4"`
}

type deploymentListCommand struct {
	target
	output
	Service string `arg:"" optional:"" help:"Its deployments, the newest first."`
	All     bool   `help:"Also those that have ended."`
}

// Run prints deployments.
func (c *deploymentListCommand) Run(ctx context.Context) error {
	query := url.Values{}
	switch {
	case c.Service != "":
		query.Set("service", c.Service)
	case !c.All:
		query.Set("live", "true")
	}
	return list(ctx, &c.target, c.output, "/v1/deployments", query,
		func(p *types.Deployments) ([]types.Deployment, string) { return p.Deployments, p.Next }, printDeployments)
}

func printDeployments(all []types.Deployment) error {
	now := time.Now()
	t := newTable(os.Stdout, "DEPLOYMENT", "STRATEGY", "STATUS", "STAGE", "STEP", "NEW VERSION", "TRAFFIC", "BEGAN",
		"WAITS FOR")
	for _, d := range all {
		stage, step := "-", "-"
		if d.Stage != "" {
			stage = d.Stage
		}
		if d.Step > 0 {
			step = fmt.Sprintf("%d/%d", d.Step, d.Steps)
		}
		t.row(d.ID, d.Strategy, d.Status, stage, step, d.Target.Revision, trafficOf(&d), ago(d.CreatedAt, now),
			firstOf(d.Waits, d.Reason))
	}
	return t.flush()
}

// trafficOf is the share of the new version; a rolling deployment has none of its own.
func trafficOf(d *types.Deployment) string {
	if d.Strategy == "ROLLING" {
		return "-"
	}
	return percent(d.Target.Production)
}

type deploymentShowCommand struct {
	target
	output
	Deployment string `arg:"" help:"SERVICE.N, or SERVICE for its newest."`
}

// Run prints a deployment.
func (c *deploymentShowCommand) Run(ctx context.Context) error {
	agent, err := c.client(ctx)
	if err != nil {
		return err
	}
	d, err := getDeployment(ctx, agent, c.Deployment)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(d)
	}
	now := time.Now()
	fmt.Print(strings.Join(picture(d, now), "\n") + "\n\n")
	t := newTable(os.Stdout, "STAGE", "STEP", "BEGAN", "TOOK", "WHY IT ENDED")
	for _, s := range d.Stages {
		t.row(s.Stage, stepOf(s.Step), clockTime(s.BeganAt), took(s.BeganAt, s.EndedAt), s.Why)
	}
	return t.flush()
}

func stepOf(step int) string {
	if step == 0 {
		return "-"
	}
	return strconv.Itoa(step)
}

// order is a command that asks something of a deployment.
type order struct {
	target
	write
	Deployment string `arg:"" help:"SERVICE.N, or SERVICE for its newest."`
}

func (o *order) send(ctx context.Context, body types.OrderBody, done string) error {
	return o.do(ctx, &o.target, http.MethodPost, "/v1/deployments/"+url.PathEscape(o.Deployment)+"/orders", body, "%s %s",
		o.Deployment, done)
}

type deploymentPromoteCommand struct{ order }

// Run promotes a deployment.
func (c *deploymentPromoteCommand) Run(ctx context.Context) error {
	return c.send(ctx, types.OrderBody{Order: "promote"}, "waits for no more steps and no more bake")
}

type deploymentPauseCommand struct{ order }

// Run pauses a deployment.
func (c *deploymentPauseCommand) Run(ctx context.Context) error {
	return c.send(ctx, types.OrderBody{Order: "pause"}, "is paused")
}

type deploymentContinueCommand struct {
	order
	Hook   string `help:"Call of a hook that waits for a person, as show and watch name it." placeholder:"HOOK-ID"`
	Refuse bool   `help:"Answer that hook with no: the deployment rolls back."`
}

// Run ends a pause, or answers a hook.
func (c *deploymentContinueCommand) Run(ctx context.Context) error {
	body, done := types.OrderBody{Order: "continue", Hook: c.Hook}, "goes on"
	if c.Refuse {
		body.Action, done = "ROLLBACK", "goes back"
	}
	return c.send(ctx, body, done)
}

type deploymentRollbackCommand struct{ order }

// Run rolls a deployment back.
func (c *deploymentRollbackCommand) Run(ctx context.Context) error {
	return c.send(ctx, types.OrderBody{Order: "rollback"}, "goes back")
}

type deploymentStopCommand struct{ order }

// Run stops a deployment.
func (c *deploymentStopCommand) Run(ctx context.Context) error {
	return c.send(ctx, types.OrderBody{Order: "stop"}, "is stopped")
}

// alarmCommand is about alarms that fail deployments.
type alarmCommand struct {
	List   alarmListCommand   `cmd:"" default:"withargs" help:"List the alarms." example:"skein alarm"`
	Put    alarmPutCommand    `cmd:"" help:"Create or change an alarm: a query to a Prometheus server." example:"skein alarm put errors --url http://prometheus.example:9090 --query 'sum(rate(errors[1m]))' --above 0.05"`
	Delete alarmDeleteCommand `cmd:"" aliases:"rm" help:"Delete an alarm that no deployment names." example:"skein alarm delete errors"`
}

type alarmListCommand struct {
	target
	output
}

// Run prints the alarms.
func (c *alarmListCommand) Run(ctx context.Context) error {
	return list(ctx, &c.target, c.output, "/v1/alarms", nil,
		func(p *types.Alarms) ([]types.Alarm, string) { return p.Alarms, "" }, printAlarmRows)
}

func printAlarmRows(alarms []types.Alarm) error {
	t := newTable(os.Stdout, "ALARM", "FIRES", "EVERY", "SERVER", "QUERY")
	for _, a := range alarms {
		fires := fmt.Sprintf("%s %s", a.Comparison, strconv.FormatFloat(a.Threshold, 'g', -1, 64))
		if a.Times > 1 {
			fires += fmt.Sprintf(", %d times in a row", a.Times)
		}
		t.row(a.Name, fires, seconds(a.IntervalS), a.URL, a.Query)
	}
	return t.flush()
}

type alarmPutCommand struct {
	target
	write
	expectation
	Name  string   `arg:"" help:"Name of the alarm."`
	URL   string   `name:"url" help:"Of the Prometheus server, which must be among the hook targets." placeholder:"URL"`
	Query string   `help:"PromQL; of several numbers the worst counts." placeholder:"PROMQL"`
	Above *float64 `help:"It fires where the number is above." placeholder:"NUMBER"`
	Below *float64 `help:"It fires where the number is below." placeholder:"NUMBER"`
	Every int      `help:"Seconds between two questions." placeholder:"SECONDS"`
	Times int      `help:"Questions in a row that must fire." placeholder:"N"`
}

// Run creates or changes an alarm.
func (c *alarmPutCommand) Run(ctx context.Context) error {
	body := map[string]any{}
	set := func(name string, value any, given bool) {
		if given {
			body[name] = value
		}
	}
	set("url", c.URL, c.URL != "")
	set("query", c.Query, c.Query != "")
	set("intervalSeconds", c.Every, c.Every != 0)
	set("times", c.Times, c.Times != 0)
	switch {
	case c.Above != nil && c.Below != nil:
		return &usageError{fmt.Errorf("--above and --below are both given; keep one")}
	case c.Above != nil:
		body["comparison"], body["threshold"] = "above", *c.Above
	case c.Below != nil:
		body["comparison"], body["threshold"] = "below", *c.Below
	}
	return c.do(ctx, &c.target, http.MethodPut, pathOf("/v1/alarms/"+url.PathEscape(c.Name), c.query()), body, "%s is set",
		c.Name)
}

type alarmDeleteCommand struct {
	target
	write
	expectation
	Name string `arg:"" help:"Name of the alarm."`
}

// Run deletes an alarm.
func (c *alarmDeleteCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodDelete, pathOf("/v1/alarms/"+url.PathEscape(c.Name), c.query()),
		types.PlainBody{}, "%s is gone", c.Name)
}

// hookTargetCommand is about what hooks and alarms may name.
type hookTargetCommand struct {
	List   hookTargetListCommand   `cmd:"" default:"withargs" help:"List what hooks and alarms may name." example:"skein hook-target"`
	Allow  hookTargetAllowCommand  `cmd:"" help:"Allow a target: the beginning of URLs, or task:FAMILY." example:"skein hook-target allow https://hooks.example/skein/"`
	Delete hookTargetDeleteCommand `cmd:"" aliases:"rm" help:"Take a target away that nothing needs." example:"skein hook-target delete task:smoke"`
}

type hookTargetListCommand struct {
	target
	output
}

// Run prints what hooks may name.
func (c *hookTargetListCommand) Run(ctx context.Context) error {
	return list(ctx, &c.target, c.output, "/v1/hook-targets", nil,
		func(p *types.HookTargets) ([]string, string) { return p.Targets, "" }, func(targets []string) error {
			for _, t := range targets {
				fmt.Println(printable(t))
			}
			return nil
		})
}

type hookTargetAllowCommand struct {
	target
	write
	Target string `arg:"" help:"The beginning of URLs, or task:FAMILY."`
}

// Run allows a target.
func (c *hookTargetAllowCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodPost, "/v1/hook-targets", types.HookTargetBody{Target: c.Target},
		"hooks and alarms may name %s", c.Target)
}

type hookTargetDeleteCommand struct {
	target
	write
	Target string `arg:"" help:"As hook-target list shows it."`
}

// Run takes a target away.
func (c *hookTargetDeleteCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodDelete, "/v1/hook-targets", types.HookTargetBody{Target: c.Target},
		"hooks and alarms may not name %s any more", c.Target)
}

func joined(words []string) string { return strings.Join(words, ", ") }
