package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
	"skein/cmd/skein/lab"
)

// labDemoCommand makes a lab with a service on it.
type labDemoCommand struct{ inLab }

const (
	demoService = "web"
	demoTasks   = 6
	demoPort    = 80 // of the listener; URLs need not name it
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
	if err = l.Up(ctx, lab.UpOptions{}); err != nil && !errors.Is(err, lab.ErrUp) {
		return err
	}
	agent, err := (&target{Lab: c.Lab}).labClient(c.Lab, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	if err = await(ctx, func() (string, bool) { return fleetReady(ctx, agent) }); err != nil {
		return err
	}
	if err = c.deploy(ctx, l, agent); err != nil {
		return err
	}
	if err = await(ctx, func() (string, bool) { return serviceHealthy(ctx, agent) }); err != nil {
		return err
	}
	entry, err := enter(ctx, l, agent)
	if err != nil {
		return err
	}
	return c.show(ctx, l, entry)
}

// enter adds the lab's entry address, waits until the service answers there, and returns
// its URL.
func enter(ctx context.Context, l *lab.Lab, agent *client.Client) (string, error) {
	view, err := l.List(ctx)
	if err != nil {
		return "", err
	}
	prefix := lab.EntryAddress(view.Subnet)
	body := types.EntryAddressBody{Address: prefix.String(), ClientToken: client.NewToken()}
	if err := agent.Send(ctx, http.MethodPost, "/v1/entry-addresses", body, nil); err != nil {
		return "", fmt.Errorf("add an entry address: %w", err)
	}
	url := urlOf(prefix.Addr())
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	return url, await(ctx, func() (string, bool) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err.Error(), false
		}
		response, err := web.Do(request)
		if err != nil {
			return "nobody answers at " + url + " yet", false
		}
		_ = response.Body.Close()
		return url + " answers", response.StatusCode == http.StatusOK
	})
}

// urlOf is where a browser finds the service, which listens at the port that URLs need not
// name.
func urlOf(addr netip.Addr) string {
	host := addr.String()
	if addr.Is6() {
		host = "[" + host + "]"
	}
	return "http://" + host + "/"
}

// deploy registers the web image and creates the service, unless it is there.
func (c *labDemoCommand) deploy(ctx context.Context, l *lab.Lab, agent *client.Client) error {
	var service types.Service
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
	return createDemo(ctx, agent, image)
}

// createDemo makes the demo's service. Another demo that was given at the same
// time may be first.
func createDemo(ctx context.Context, agent *client.Client, image string) error {
	var answer made
	if err := agent.Send(ctx, http.MethodPost, "/v1/taskdefs", webTaskDefinition(image), &answer); err != nil {
		return fmt.Errorf("register task definition: %w", err)
	}
	if answer.TaskDef == nil {
		return fmt.Errorf("register task definition: the answer names none")
	}
	fmt.Printf("registered %s; creating service %s with %d tasks\n", answer.TaskDef.ID, demoService, demoTasks)
	body := map[string]any{"serviceName": demoService, "taskDefinition": answer.TaskDef.ID, "desiredCount": demoTasks,
		"expose": map[string]any{"listen": demoPort, "healthCheckPath": "/healthz"}, "clientToken": client.NewToken()}
	err := agent.Send(ctx, http.MethodPost, "/v1/services", body, nil)
	var refused *client.Error
	if errors.As(err, &refused) && refused.Code == "exists" {
		return nil
	}
	if err != nil {
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
			"healthCheck": map[string]any{"httpGet": map[string]any{"port": 8080, "path": "/healthz"}, "interval": 5,
				"timeout": 2},
		}},
	}
}

// fleetReady looks whether every host takes tasks and every voter votes.
func fleetReady(ctx context.Context, agent *client.Client) (now string, done bool) {
	var status types.Status
	if _, err := agent.Get(ctx, "/v1/status", &status); err != nil {
		return err.Error(), false
	}
	now = fmt.Sprintf("%d of %d hosts ready, %d of %d voters", status.Hosts.Ready, status.Hosts.Total,
		status.Voters.Voting, status.Voters.Target)
	return now, status.Hosts.Ready == status.Hosts.Total && status.Voters.Voting == status.Voters.Target
}

// serviceHealthy looks whether all tasks of the demo's service are healthy.
func serviceHealthy(ctx context.Context, agent *client.Client) (now string, done bool) {
	var service types.Service
	if _, err := agent.Get(ctx, "/v1/services/"+demoService, &service); err != nil {
		return err.Error(), false
	}
	now = fmt.Sprintf("%d of %d tasks run, %d healthy", service.Running, service.Desired, service.Healthy)
	if len(service.Conditions) > 0 {
		now += ": " + printable(waits(service.Conditions))
	}
	return now, service.Steady && service.Healthy >= service.Desired
}

// await shows each change of what look sees until it is done.
func await(ctx context.Context, look func() (now string, done bool)) error {
	last := ""
	for {
		now, done := look()
		if now != last {
			fmt.Println(" ", now)
			last = now
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the demo: %w; last seen: %s", context.Cause(ctx), last)
		case <-time.After(demoPoll):
		}
	}
}

// show prints the status pages, the status and what to try next.
func (c *labDemoCommand) show(ctx context.Context, l *lab.Lab, entry string) error {
	view, err := l.List(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("\nthe service, at an entry address that one host after another answers for:\n  %s\n", entry)
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
  curl -H 'Accept: application/json' %[3]s    the service: which task answers
  %[1]s entry%[2]s                  which host answers for that address; power it off, and another does
  %[1]s tasks%[2]s                  where each task runs
  %[1]s lab kill h2%[2]s            power off a host: its tasks come back elsewhere
  %[1]s events -f%[2]s              watch the fleet decide
  %[1]s lab start h2%[2]s           boot it again
  %[1]s service scale web 9%[2]s    more tasks
  make demo-down                    remove every trace
`, program, at, entry)
	return nil
}
