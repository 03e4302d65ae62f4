package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"skein/agent/api/types"
)

// taskdefCommand is about task definitions.
type taskdefCommand struct {
	Register taskdefRegisterCommand `cmd:"" help:"Register an ECS task definition as the next revision of its family." example:"skein taskdef register web.json"`
	List     taskdefListCommand     `cmd:"" default:"withargs" help:"List task definitions." example:"skein taskdef"`
	Show     taskdefShowCommand     `cmd:"" help:"Show one definition." example:"skein taskdef show web:3"`
}

type taskdefRegisterCommand struct {
	target
	write
	File   string `arg:"" help:"ECS task definition JSON, - for standard input."`
	Strict bool   `help:"Refuse fields that would be ignored or mapped."`
}

// Run registers a definition and prints family:revision.
func (c *taskdefRegisterCommand) Run(ctx context.Context) error {
	text, err := readInput(ctx, c.File)
	if err != nil {
		return err
	}
	agent, err := c.write.client(ctx, &c.target)
	if err != nil {
		return err
	}
	path := "/v1/taskdefs"
	if c.Strict {
		path += "?strict=true"
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPost, path, json.RawMessage(text), &answer); err != nil {
		return err
	}
	answer.warn()
	if answer.TaskDef == nil {
		return fmt.Errorf("the agent did not say which revision it registered; skein taskdef list shows it")
	}
	fmt.Println(printable(answer.TaskDef.ID))
	return nil
}

type taskdefListCommand struct {
	target
	output
}

// Run prints the definitions.
func (c *taskdefListCommand) Run(ctx context.Context) error {
	return list(ctx, &c.target, c.output, "/v1/taskdefs", nil,
		func(p *types.TaskDefs) ([]types.TaskDef, string) { return p.TaskDefs, p.Next }, printTaskDefs)
}

func printTaskDefs(all []types.TaskDef) error {
	t := newTable(os.Stdout, "TASK DEFINITION", "NETWORK", "CPU", "MEMORY", "IMAGES")
	for _, def := range all {
		images := ""
		for _, container := range def.Containers {
			images += container.Image + " "
		}
		t.row(def.ID, def.Network, fmt.Sprint(def.Reservation.CPU), fmt.Sprintf("%d MiB", def.Reservation.Memory), images)
	}
	return t.flush()
}

type taskdefShowCommand struct {
	target
	ID string `arg:"" help:"family:revision."`
}

// Run prints a definition, as JSON.
func (c *taskdefShowCommand) Run(ctx context.Context) error {
	return showJSON(ctx, &c.target, "/v1/taskdefs/"+url.PathEscape(c.ID))
}
