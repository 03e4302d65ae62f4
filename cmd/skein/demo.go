package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"skein/agent/api"
	"skein/cmd/skein/client"
	"skein/cmd/skein/lab"
)

// labDemoCommand makes a lab with a service on it.
type labDemoCommand struct{ inLab }

const (
	demoService = "web"
	demoTasks   = 6
	// demoTimeout is many times what a busy two-core machine needs from hosts
	// that have joined to tasks that are healthy.
	demoTimeout = 4 * time.Minute
	demoPoll    = 300 * time.Millisecond
)

// Run makes the lab where there is none, waits until its service is healthy and
// says what to try. It can be run again at any time.
func (c *labDemoCommand) Run(ctx context.Context) error {
	l, err := c.open()
	if err != nil {
		return err
	}
	if err := l.Up(ctx, lab.UpOptions{}); err != nil && !errors.Is(err, lab.ErrUp) {
		return err
	}
	agent, err := (&target{Lab: c.Lab}).labClient(c.Lab, "")
	if err != nil {
		return err
	}
	if err := c.deploy(ctx, l, agent); err != nil {
		return err
	}
	if err := waitHealthy(ctx, agent); err != nil {
		return err
	}
	return c.show(ctx, l)
}

// deploy registers the web image and creates the service, unless it is there.
func (c *labDemoCommand) deploy(ctx context.Context, l *lab.Lab, agent *client.Client) error {
	var service api.Service
	_, err := agent.Get(ctx, "/v1/services/"+demoService, &service)
	var refused *client.Error
	if err == nil || !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		return err
	}
	fmt.Println("building the web image from this binary and pushing it to the lab's registry")
	image, err := l.PushWeb(ctx)
	if err != nil {
		return err
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPost, "/v1/taskdefs", webTaskDefinition(image), &answer); err != nil {
		return fmt.Errorf("register task definition: %w", err)
	}
	if answer.TaskDef == nil {
		return fmt.Errorf("register task definition: the answer names none")
	}
	fmt.Printf("registered %s; creating service %s with %d tasks\n", answer.TaskDef.ID, demoService, demoTasks)
	body := map[string]any{"serviceName": demoService, "taskDefinition": answer.TaskDef.ID, "desiredCount": demoTasks, "clientToken": client.NewToken()}
	if err := agent.Send(ctx, http.MethodPost, "/v1/services", body, nil); err != nil {
		return fmt.Errorf("create service: %w", err)
	}
	return nil
}

func webTaskDefinition(image string) map[string]any {
	return map[string]any{
		"family": demoService, "networkMode": "bridge",
		"containerDefinitions": []any{map[string]any{
			"name": "web", "image": image, "cpu": 64, "memoryReservation": 32, "memory": 128, "stopTimeout": 5,
			"command":      []string{"web", "--listen", ":8080"},
			"portMappings": []any{map[string]any{"containerPort": 8080}},
			"healthCheck":  map[string]any{"httpGet": map[string]any{"port": 8080, "path": "/healthz"}, "interval": 5, "timeout": 2},
		}},
	}
}

// waitHealthy shows the service's progress until all its tasks are healthy.
func waitHealthy(ctx context.Context, agent *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	last := ""
	for {
		var service api.Service
		_, err := agent.Get(ctx, "/v1/services/"+demoService, &service)
		now := fmt.Sprintf("%d of %d tasks run, %d healthy", service.Running, service.Desired, service.Healthy)
		switch {
		case err != nil:
			now = err.Error()
		case service.Wait != nil:
			now += ": " + printable(service.Wait.Message)
		}
		if now != last {
			fmt.Println(" ", now)
			last = now
		}
		if err == nil && service.Steady && service.Healthy >= service.Desired {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to be healthy: %w; last seen: %s", demoService, context.Cause(ctx), last)
		case <-time.After(demoPoll):
		}
	}
}

// show prints the status pages, the status and what to try next.
func (c *labDemoCommand) show(ctx context.Context, l *lab.Lab) error {
	view, err := l.List(ctx)
	if err != nil {
		return err
	}
	fmt.Println("\nstatus pages, one on every host:")
	for _, host := range view.Hosts {
		fmt.Printf("  %s\n", host.StatusURL)
	}
	fmt.Println()
	if err := (&statusCommand{target: target{Lab: c.Lab}}).Run(ctx); err != nil {
		return err
	}
	program := os.Args[0]
	at := ""
	if c.Lab != lab.DefaultName {
		at = " --lab " + c.Lab
	}
	fmt.Printf(`
try next:
  %[1]s tasks%[2]s                  where each task runs
  %[1]s lab kill h2%[2]s            power off a host: its tasks come back elsewhere
  %[1]s events -f%[2]s              watch the fleet decide
  %[1]s lab start h2%[2]s           boot it again
  %[1]s service scale web 9%[2]s    more tasks
  make demo-down                    remove every trace
`, program, at)
	return nil
}
