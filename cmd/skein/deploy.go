package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
)

// deployCommand rolls out a new version of a service.
type deployCommand struct {
	target
	write
	expectation
	Service        string         `arg:"" help:"Name of the service."`
	Image          string         `help:"Image of the new version: its definition is registered once more with it." placeholder:"IMAGE"`
	Container      string         `help:"Whose image it is, where the definition has several containers." placeholder:"CONTAINER"`
	TaskDefinition string         `help:"family, or family:revision." placeholder:"TASKDEF"`
	File           string         `short:"f" help:"JSON as for ECS UpdateService, - for standard input; flags win." placeholder:"FILE"`
	Strategy       string         `help:"ROLLING, BLUE_GREEN, LINEAR or CANARY. Default: the service's own." placeholder:"STRATEGY"`
	Bake           *time.Duration `help:"How long both versions stay after the last shift." placeholder:"DURATION"`
	Canary         float64        `help:"Percent of the first shift; the second gives the rest. Says CANARY." placeholder:"PERCENT"`
	Step           float64        `help:"Percent of each shift. Says LINEAR." placeholder:"PERCENT"`
	Every          *time.Duration `help:"How long to wait between two shifts." placeholder:"DURATION"`
	DespiteAlarms  bool           `help:"Begin though an alarm fires."`
	Plan           bool           `help:"Change nothing: say what it would need, and how long it would take."`
	Watch          bool           `help:"Show it until it ends; the exit code says how."`
}

// Run deploys, or plans it.
func (c *deployCommand) Run(ctx context.Context) error {
	body, err := c.body(ctx)
	if err != nil {
		return err
	}
	if c.Plan {
		return c.plan(ctx, body)
	}
	if c.Image != "" {
		if body["taskDefinition"], err = c.register(ctx); err != nil {
			return err
		}
	}
	if _, given := body["taskDefinition"]; !given && c.File == "" {
		body["forceNewDeployment"] = true
	}
	agent, err := c.write.client(ctx, &c.target)
	if err != nil {
		return err
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPatch, servicePath(c.Service, "", c.query()), body, &answer); err != nil {
		return err
	}
	answer.warn()
	if err := printDefaults(answer.Defaults); err != nil {
		return err
	}
	if answer.DeploymentID == "" {
		fmt.Printf("%s is %s already; nothing is deployed\n", printable(c.Service), printable(revisionOf(&answer, "gone")))
		return nil
	}
	fmt.Printf("%s deploys %s; skein deployment watch %s shows it\n", printable(answer.DeploymentID),
		printable(revisionOf(&answer, c.Service)), printable(answer.DeploymentID))
	if !c.Watch {
		return nil
	}
	return watchDeployment(ctx, &c.target, answer.DeploymentID)
}

// body merges file and flags into a request.
func (c *deployCommand) body(ctx context.Context) (map[string]any, error) {
	flags := serviceFlags{TaskDefinition: c.TaskDefinition, File: c.File}
	body, err := flags.body(ctx, "")
	if err != nil {
		return nil, err
	}
	if _, given := body["taskDefinition"]; given && c.Image != "" {
		return nil, &usageError{errors.New("--image makes a definition of its own; give no other definition")}
	}
	set := map[string]any{}
	if c.Canary != 0 || c.Step != 0 {
		if c.Canary != 0 && c.Step != 0 {
			return nil, &usageError{errors.New("--canary is of CANARY and --step of LINEAR; keep one")}
		}
		flag, strategy := "--step", "LINEAR"
		if c.Canary != 0 {
			flag, strategy = "--canary", "CANARY"
		}
		if c.Strategy != "" && c.Strategy != strategy {
			return nil, &usageError{fmt.Errorf("%s is of %s and --strategy says %s; keep one", flag, strategy, c.Strategy)}
		}
		c.Strategy = strategy
	}
	if c.Strategy != "" {
		set["strategy"] = c.Strategy
	}
	if c.Bake != nil {
		set["bakeTimeInMinutes"] = c.Bake.Minutes()
	}
	if err := c.steps(set); err != nil {
		return nil, err
	}
	if c.DespiteAlarms {
		body["despiteAlarms"] = true
	}
	return body, flags.mergeDeployment(body, set)
}

// steps adds how traffic shifts.
func (c *deployCommand) steps(set map[string]any) error {
	canary, linear := map[string]any{}, map[string]any{}
	if c.Canary != 0 {
		canary["canaryPercent"] = c.Canary
	}
	if c.Step != 0 {
		linear["stepPercent"] = c.Step
	}
	if c.Every != nil {
		switch c.Strategy {
		case "CANARY":
			canary["canaryBakeTimeInMinutes"] = c.Every.Minutes()
		case "LINEAR":
			linear["stepBakeTimeInMinutes"] = c.Every.Minutes()
		default:
			return &usageError{errors.New("--every is the wait between shifts of CANARY or LINEAR: say --canary, --step or " +
				"--strategy")}
		}
	}
	if len(canary) > 0 {
		set["canaryConfiguration"] = canary
	}
	if len(linear) > 0 {
		set["linearConfiguration"] = linear
	}
	return nil
}

// register registers the service's definition with the new image.
func (c *deployCommand) register(ctx context.Context) (taskDef string, err error) {
	agent, err := c.target.client(ctx) // not the write's own: the definition is another request than the service
	if err != nil {
		return "", err
	}
	var service types.Service
	if _, err = agent.Get(ctx, "/v1/services/"+url.PathEscape(c.Service), &service); err != nil {
		return "", err
	}
	var answer made
	err = agent.Send(ctx, http.MethodPost, "/v1/taskdefs/"+url.PathEscape(service.TaskDef)+"/revisions",
		types.ImageBody{Container: c.Container, Image: c.Image}, &answer)
	if err != nil {
		return "", fmt.Errorf("register a definition of %s: %w", c.Image, err)
	}
	if answer.TaskDef == nil {
		return "", errors.New("the agent did not say which definition it registered; skein taskdef list shows it")
	}
	fmt.Printf("registered %s: %s with %s\n", printable(answer.TaskDef.ID), printable(service.TaskDef), printable(c.Image))
	return answer.TaskDef.ID, nil
}

// plan prints what the deployment would need. Its error is that both versions find no room.
func (c *deployCommand) plan(ctx context.Context, body map[string]any) error {
	agent, err := c.target.client(ctx)
	if err != nil {
		return err
	}
	delete(body, "clientToken")
	with, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("what to plan: %w", err)
	}
	var p types.DeploymentPlan
	header, err := agent.Get(ctx, pathOf("/v1/services/"+url.PathEscape(c.Service)+"/plan",
		url.Values{"with": {string(with)}}), &p)
	if err != nil {
		return err
	}
	warnStale(header)
	return printPlan(&p, c.Image)
}

func printPlan(p *types.DeploymentPlan, image string) error {
	runs := p.TaskDef
	if image != "" {
		runs += " and image " + image
	}
	fmt.Printf("%s of %s with %s, about %s and what its hooks take\n", p.Strategy, printable(p.Service),
		printable(runs), seconds(p.Seconds))
	t := newTable(os.Stdout, "", "TASKS", "CPU", "MEMORY")
	for _, r := range []struct {
		name string
		types.Reservation
	}{{"now", p.Now}, {"new version", p.New}, {"both at most", p.Most}} {
		t.row(r.name, strconv.Itoa(r.Tasks), strconv.FormatInt(r.CPU, 10), fmt.Sprintf("%d MiB", r.Memory))
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Println()
	t = newTable(os.Stdout, "STAGE", "PHASE", "STEP", "NEW VERSION", "TAKES", "HOOKS", "")
	for _, s := range p.Stages {
		step := "-"
		if s.Step > 0 {
			step = strconv.Itoa(s.Step)
		}
		t.row(s.Stage, s.Phase, step, strconv.FormatFloat(s.Percent, 'f', -1, 64)+" %", seconds(s.Seconds),
			orDash(joined(s.Hooks)), s.Note)
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Println()
	t = newTable(os.Stdout, "HOST", "ZONE", "HAS", "TAKES")
	for _, h := range p.Hosts {
		t.row(h.Host, h.Zone, strconv.Itoa(h.Now), strconv.Itoa(h.Tasks))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if p.Missing > 0 && p.Strategy != "ROLLING" {
		return errors.New(printable(p.Why))
	}
	if p.Why != "" {
		fmt.Println("note:", printable(p.Why))
	}
	return nil
}

// seconds is a length of time as people read it.
func seconds(n int) string { return (time.Duration(n) * time.Second).String() }

// getDeployment reads one deployment.
func getDeployment(ctx context.Context, agent *client.Client, ref string) (*types.Deployment, error) {
	var d types.Deployment
	if _, err := agent.Get(ctx, "/v1/deployments/"+url.PathEscape(ref), &d); err != nil {
		return nil, err
	}
	return &d, nil
}
