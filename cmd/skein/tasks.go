package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"skein/agent/api/types"
)

// tasksCommand lists tasks.
type tasksCommand struct {
	target
	output
	Service string `arg:"" optional:"" help:"Only tasks of this service."`
	Host    string `help:"Only tasks of this host." placeholder:"HOST"`
	All     bool   `short:"a" help:"Stopped ones too."`
}

// Run prints tasks, why they are pending and why they stopped.
func (c *tasksCommand) Run(ctx context.Context) error {
	query := url.Values{}
	if c.Service != "" {
		query.Set("service", c.Service)
	}
	if c.Host != "" {
		query.Set("host", c.Host)
	}
	return list(ctx, &c.target, c.output, "/v1/tasks", query, func(p *types.Tasks) ([]types.Task, string) {
		return slices.DeleteFunc(p.Tasks, func(t types.Task) bool { return !c.All && t.Last == "STOPPED" }), p.Next
	}, printTasks)
}

func printTasks(tasks []types.Task) error {
	slices.SortStableFunc(tasks, func(a, b types.Task) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	now := time.Now()
	t := newTable(os.Stdout, "TASK", "OF", "HOST", "STATUS", "HEALTH", "AGE", "PORTS", "WHY")
	for _, task := range tasks {
		host := "-"
		if task.Host != nil {
			host = firstOf(task.Host.Name, task.Host.ID)
		}
		status := task.Last
		if task.Desired == "STOPPED" && task.Last != "STOPPED" {
			status += " (stopping)"
		}
		if task.Unreachable {
			status += " (unreachable)"
		}
		t.row(short(task.ID), firstOf(task.Revision, task.TaskDef), host, status, task.Health, ago(task.CreatedAt, now),
			ports(task.Ports), why(&task))
	}
	return t.flush()
}

func ports(bindings []types.Port) string {
	texts := make([]string, len(bindings))
	for i, b := range bindings {
		texts[i] = fmt.Sprintf("%d->%d/%s", b.HostPort, b.ContainerPort, b.Protocol)
	}
	return orDash(strings.Join(texts, " "))
}

// waits is what every planner says about something, most telling first.
func waits(conditions []types.Condition) string {
	messages := make([]string, len(conditions))
	for i := range conditions {
		messages[i] = conditions[i].Message
	}
	return strings.Join(messages, "; ")
}

// why is why a task is pending or has stopped.
func why(task *types.Task) string {
	if len(task.Conditions) > 0 && task.Last != "STOPPED" {
		return waits(task.Conditions)
	}
	if task.StopCode == "" {
		return task.Reason
	}
	text := task.StopCode + ": " + task.Reason
	for _, container := range task.Containers {
		if container.ExitCode != nil {
			text += fmt.Sprintf(" [%s exit %d]", container.Name, *container.ExitCode)
		}
	}
	return text
}

// taskCommand shows one task.
type taskCommand struct {
	target
	ID string `arg:"" help:"Id of the task, or a unique beginning of it."`
}

// Run prints all that is known of a task, as JSON.
func (c *taskCommand) Run(ctx context.Context) error {
	return showJSON(ctx, &c.target, "/v1/tasks/"+url.PathEscape(c.ID))
}

// runCommand starts standalone tasks.
type runCommand struct {
	target
	write
	TaskDefinition string `arg:"" help:"family, or family:revision."`
	Count          int    `short:"n" default:"1" help:"How many, 1 to 10."`
	StartedBy      string `help:"Who asked, for lists." placeholder:"TEXT"`
	Group          string `help:"Group; default family:NAME." placeholder:"TEXT"`
}

// Run starts tasks that nobody replaces and prints their ids.
func (c *runCommand) Run(ctx context.Context) error {
	agent, err := c.write.client(ctx, &c.target)
	if err != nil {
		return err
	}
	body := map[string]any{"taskDefinition": c.TaskDefinition, "count": c.Count}
	if c.StartedBy != "" {
		body["startedBy"] = c.StartedBy
	}
	if c.Group != "" {
		body["group"] = c.Group
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPost, "/v1/tasks", body, &answer); err != nil {
		return err
	}
	answer.warn()
	for _, task := range answer.Tasks {
		fmt.Println(printable(task.ID))
	}
	return nil
}

// stopCommand stops one task.
type stopCommand struct {
	target
	write
	ID     string `arg:"" help:"Id of the task, or a unique beginning of it."`
	Reason string `help:"Reason, for others." placeholder:"TEXT"`
}

// Run asks a task to stop; a service replaces it.
func (c *stopCommand) Run(ctx context.Context) error {
	body := map[string]any{}
	if c.Reason != "" {
		body["reason"] = c.Reason
	}
	return c.do(ctx, &c.target, http.MethodDelete, "/v1/tasks/"+url.PathEscape(c.ID), body, "%s is being stopped", c.ID)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
