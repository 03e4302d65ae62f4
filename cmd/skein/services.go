package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
)

// serviceCommand is about services.
type serviceCommand struct {
	List   serviceListCommand   `cmd:"" default:"withargs" help:"List the services." example:"skein service"`
	Show   serviceShowCommand   `cmd:"" help:"Show one service." example:"skein service show web"`
	Create serviceCreateCommand `cmd:"" help:"Keep a number of tasks of a definition running." example:"skein service create web --image registry:5000/web:1 --count 6 --port 8080 --listen 80"`
	Update serviceUpdateCommand `cmd:"" help:"Change a service; a new definition rolls out at once." example:"skein service update web --task-definition web:4"`
	Scale  serviceScaleCommand  `cmd:"" help:"Change how many tasks run." example:"skein service scale web 10"`
	Delete serviceDeleteCommand `cmd:"" help:"Stop a service's tasks and remove it." example:"skein service delete web --force"`
}

type serviceListCommand struct {
	target
	output
}

// Run prints the services.
func (c *serviceListCommand) Run(ctx context.Context) error {
	return list(ctx, &c.target, c.output, "/v1/services", nil,
		func(p *types.Services) ([]types.Service, string) { return p.Services, p.Next }, printServices)
}

func printServices(services []types.Service) error {
	t := newTable(os.Stdout, "SERVICE", "STATE", "DESIRED", "RUNNING", "HEALTHY", "PENDING", "REVISION", "ZONES",
		"WAITS FOR")
	for _, s := range services {
		state := "changing"
		switch {
		case s.Status != "ACTIVE":
			state = strings.ToLower(s.Status)
		case s.Steady:
			state = "steady"
		}
		t.row(s.Name, state, strconv.Itoa(s.Desired), strconv.Itoa(s.Running), strconv.Itoa(s.Healthy),
			strconv.Itoa(s.Pending), s.Revision, zoneCounts(s.Zones), waits(s.Conditions))
	}
	return t.flush()
}

func zoneCounts(zones map[string]int) string {
	parts := make([]string, 0, len(zones))
	for _, zone := range sortedKeys(zones) {
		parts = append(parts, fmt.Sprintf("%s:%d", zone, zones[zone]))
	}
	return orDash(strings.Join(parts, " "))
}

// mustKnow is the agent's refusal of a service that there is not: an empty list about
// a name with a slip in it would look like that of a service with nothing to show.
func mustKnow(ctx context.Context, agent *client.Client, service string) error {
	_, err := agent.Get(ctx, "/v1/services/"+url.PathEscape(service), nil)
	return err
}

type serviceShowCommand struct {
	target
	Name string `arg:"" help:"Name of the service."`
}

// Run prints all that is known of a service, as JSON.
func (c *serviceShowCommand) Run(ctx context.Context) error {
	return showJSON(ctx, &c.target, "/v1/services/"+url.PathEscape(c.Name))
}

// serviceFlags are the fields of a service that have flags; a file may have more.
type serviceFlags struct {
	TaskDefinition string `help:"family, or family:revision." placeholder:"TASKDEF"`
	DesiredCount   *int   `name:"desired-count" aliases:"count" short:"n" help:"How many tasks to keep running." placeholder:"N"`
	MinPercent     *int   `name:"min-percent" help:"Lower bound of healthy tasks while updating, percent of the desired count." placeholder:"N"`
	MaxPercent     *int   `name:"max-percent" help:"Upper bound of tasks while updating, percent of the desired count." placeholder:"N"`
	Strategy       string `help:"How deployments are done: ROLLING, BLUE_GREEN, LINEAR or CANARY." placeholder:"STRATEGY"`
	File           string `short:"f" help:"JSON as for ECS CreateService or UpdateService, - for standard input; flags win." placeholder:"FILE"`
	Strict         bool   `help:"Refuse fields that would be ignored or mapped."`
}

// body merges file and flags into a request.
func (f *serviceFlags) body(ctx context.Context, name string) (map[string]any, error) {
	body := map[string]any{}
	if f.File != "" {
		text, err := readInput(ctx, f.File)
		if err != nil {
			return nil, err
		}
		if body, err = members(text); err != nil {
			return nil, &usageError{fmt.Errorf("%s: %w", f.File, err)}
		}
	}
	if name != "" {
		body["serviceName"] = name
	}
	if f.TaskDefinition != "" {
		body["taskDefinition"] = f.TaskDefinition
	}
	if f.DesiredCount != nil {
		body["desiredCount"] = *f.DesiredCount
	}
	return body, f.addDeployment(body)
}

// addDeployment merges the flags of an update's bounds into those of the file.
func (f *serviceFlags) addDeployment(body map[string]any) error {
	set := map[string]any{}
	if f.MinPercent != nil {
		set["minimumHealthyPercent"] = *f.MinPercent
	}
	if f.MaxPercent != nil {
		set["maximumPercent"] = *f.MaxPercent
	}
	if f.Strategy != "" {
		set["strategy"] = f.Strategy
	}
	return f.mergeDeployment(body, set)
}

// mergeDeployment lays fields over how the file says that deployments are done.
func (f *serviceFlags) mergeDeployment(body, set map[string]any) error {
	if len(set) == 0 {
		return nil
	}
	const field = "deploymentConfiguration"
	deployment := map[string]any{}
	if text, given := body[field].(json.RawMessage); given && string(text) != "null" {
		var err error
		if deployment, err = members(text); err != nil {
			return &usageError{fmt.Errorf("%s: %s: %w", f.File, field, err)}
		}
	}
	maps.Copy(deployment, set)
	body[field] = deployment
	return nil
}

// prepare returns the request and who carries it. A client token in the file
// serves where no flag gives one.
func (f *serviceFlags) prepare(
	ctx context.Context, t *target, w *write, name string,
) (*client.Client, map[string]any, error) {
	body, err := f.body(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if text, ok := body["clientToken"].(json.RawMessage); ok {
		var given string
		if json.Unmarshal(text, &given) != nil {
			return nil, nil, &usageError{fmt.Errorf("%s: clientToken: must be a string", f.File)}
		}
		w.ClientToken = cmp.Or(w.ClientToken, given)
		delete(body, "clientToken")
	}
	agent, err := w.client(ctx, t)
	return agent, body, err
}

func (f *serviceFlags) query() string {
	if f.Strict {
		return "?strict=true"
	}
	return ""
}

type serviceCreateCommand struct {
	target
	write
	serviceFlags
	exposeFlags
	Name string `arg:"" optional:"" help:"Name of the service."`
}

// exposeFlags make a service of an image, and let clients reach it, without a file.
type exposeFlags struct {
	Image      string `help:"Image of its tasks: a definition of the service's name is registered for it." placeholder:"IMAGE"`
	Port       int    `help:"Port that its containers listen on." placeholder:"PORT"`
	Listen     int    `help:"Port of every host on which clients reach it: makes listener, rule and target groups." placeholder:"PORT"`
	Alias      string `help:"Name and port by which tasks of the fleet reach it: makes listener, rule and target groups." placeholder:"NAME:PORT"`
	PortName   string `name:"port-name" help:"Name of the portMapping that --alias leads to." default:"http" placeholder:"NAME"`
	Host       string `help:"Of the requests at that port, those for this host." placeholder:"NAME"`
	Path       string `help:"Of the requests at that port, those below this path." placeholder:"PATH"`
	HealthPath string `name:"health-path" help:"Path that is asked for to check a task; a connection is enough without." placeholder:"PATH"`
	Memory     int    `help:"MiB that a task of the image is given." default:"256" placeholder:"MIB"`
}

// expose is the part of the request that says how the service is reached; nil for none.
func (f *exposeFlags) expose() (map[string]any, error) {
	if f.Listen == 0 {
		if f.Host+f.Path+f.HealthPath != "" {
			return nil, &usageError{errors.New("--host, --path and --health-path say what --listen takes; give it")}
		}
		return nil, nil
	}
	out := map[string]any{"listen": f.Listen}
	for name, value := range map[string]string{"host": f.Host, "path": f.Path, "healthCheckPath": f.HealthPath} {
		if value != "" {
			out[name] = value
		}
	}
	if f.Port != 0 {
		out["containerPort"] = f.Port
	}
	return out, nil
}

// connect is the part of the request that says by which name tasks reach the service; nil
// for none.
func (f *exposeFlags) connect() (map[string]any, error) {
	if f.Alias == "" {
		return nil, nil
	}
	name, text, _ := strings.Cut(f.Alias, ":")
	port, err := strconv.Atoi(text)
	if err != nil || name == "" {
		return nil, &usageError{fmt.Errorf("--alias %s: it is like b:8080, a name and the port that tasks ask", f.Alias)}
	}
	return map[string]any{"enabled": true, "services": []any{map[string]any{
		"portName": f.PortName, "clientAliases": []any{map[string]any{"dnsName": name, "port": port}},
	}}}, nil
}

// register registers a definition of the image and returns it.
func (f *exposeFlags) register(ctx context.Context, agent *client.Client, name string) (taskDef string, err error) {
	container := map[string]any{"name": name, "image": f.Image, "memory": f.Memory}
	if f.Port != 0 {
		container["portMappings"] = []any{map[string]any{"containerPort": f.Port, "name": f.PortName, "appProtocol": "http"}}
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPost, "/v1/taskdefs",
		map[string]any{"family": name, "containerDefinitions": []any{container}}, &answer); err != nil {
		return "", fmt.Errorf("register a definition of %s: %w", f.Image, err)
	}
	if answer.TaskDef == nil {
		return "", errors.New("the agent did not say which definition it registered; skein taskdef list shows it")
	}
	answer.warn()
	fmt.Printf("registered %s: %s with %d MiB of memory\n", printable(answer.TaskDef.ID), printable(f.Image), f.Memory)
	return answer.TaskDef.ID, nil
}

// Run creates a service and prints the defaults it took.
func (c *serviceCreateCommand) Run(ctx context.Context) error {
	agent, body, err := c.prepare(ctx, &c.target, &c.write, c.Name)
	if err != nil {
		return err
	}
	if err := c.merge(ctx, body); err != nil {
		return err
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPost, "/v1/services"+c.query(), body, &answer); err != nil {
		return err
	}
	answer.warn()
	fmt.Printf("created %s\n", printable(revisionOf(&answer, c.Name)))
	printReached(&answer)
	return printDefaults(answer.Defaults)
}

// merge adds to a request what the flags of creation say.
func (c *serviceCreateCommand) merge(ctx context.Context, body map[string]any) error {
	expose, err := c.expose()
	if err != nil {
		return err
	}
	if expose != nil {
		body["expose"] = expose
	}
	connect, err := c.connect()
	if err != nil {
		return err
	}
	if connect != nil {
		body["serviceConnectConfiguration"] = connect
	}
	if c.Image == "" {
		return nil
	}
	if _, given := body["taskDefinition"]; given || c.Name == "" {
		return &usageError{errors.New("--image makes a definition of the service's name; give NAME and no other definition")}
	}
	agent, err := c.target.client(ctx) // not the writes' own: the definition is another request than the service
	if err != nil {
		return err
	}
	body["taskDefinition"], err = c.register(ctx, agent, c.Name)
	return err
}

// printReached says what was made for clients to reach a new service.
func printReached(answer *made) {
	if answer.Service == nil {
		return
	}
	for _, lb := range answer.Service.LoadBalancers {
		fmt.Printf("reached through target group %s", printable(lb.Group))
		if a := lb.Advanced; a != nil {
			fmt.Printf(" (the other colour's: %s), by rule %s", printable(a.AlternateGroup), printable(a.ProductionRule))
		}
		fmt.Println("; skein routes shows it")
	}
}

// revisionOf is the revision a service has after a write.
func revisionOf(answer *made, otherwise string) string {
	if answer.Service == nil {
		return otherwise
	}
	return answer.Service.Revision
}

func printDefaults(defaults []types.Default) error {
	if len(defaults) == 0 {
		return nil
	}
	fmt.Println("defaults taken:")
	t := newTable(os.Stdout)
	for _, d := range defaults {
		t.row("  "+d.Field, d.Value, d.Why)
	}
	return t.flush()
}

// expectation lets a change refuse what has moved since it was read.
type expectation struct {
	Expect *uint64 `help:"Refuse unless its modifyIndex, as service show gives it, is this." placeholder:"INDEX"`
}

func (e *expectation) query() url.Values {
	values := url.Values{}
	if e.Expect != nil {
		values.Set("expect", strconv.FormatUint(*e.Expect, 10))
	}
	return values
}

type serviceUpdateCommand struct {
	target
	write
	serviceFlags
	expectation
	Name  string `arg:"" help:"Name of the service."`
	Force bool   `help:"Roll out again though nothing changed."`
}

// Run updates a service.
func (c *serviceUpdateCommand) Run(ctx context.Context) error {
	agent, body, err := c.prepare(ctx, &c.target, &c.write, "")
	if err != nil {
		return err
	}
	if c.Force {
		body["forceNewDeployment"] = true
	}
	query := c.expectation.query()
	if c.Strict {
		query.Set("strict", "true")
	}
	var answer made
	if err := agent.Send(ctx, http.MethodPatch, servicePath(c.Name, "", query), body, &answer); err != nil {
		return err
	}
	answer.warn()
	if err := printDefaults(answer.Defaults); err != nil {
		return err
	}
	fmt.Printf("%s is now %s\n", printable(c.Name), printable(revisionOf(&answer, "gone")))
	if answer.DeploymentID != "" {
		fmt.Printf("%s deploys it; skein deployment watch %s shows it\n", printable(answer.DeploymentID),
			printable(answer.DeploymentID))
	}
	return nil
}

type serviceScaleCommand struct {
	target
	write
	expectation
	Name    string `arg:"" help:"Name of the service."`
	Desired int    `arg:"" help:"How many tasks to keep running."`
}

// Run scales a service.
func (c *serviceScaleCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodPost, servicePath(c.Name, "/scale", c.query()),
		types.ScaleBody{Desired: c.Desired}, "%s: desired count is %d", c.Name, c.Desired)
}

type serviceDeleteCommand struct {
	target
	write
	expectation
	Name  string `arg:"" help:"Name of the service."`
	Force bool   `help:"Even though its desired count is above 0."`
}

// Run deletes a service.
func (c *serviceDeleteCommand) Run(ctx context.Context) error {
	return c.do(ctx, &c.target, http.MethodDelete, servicePath(c.Name, "", c.query()),
		types.ForceBody{Force: c.Force}, "%s is being removed; its tasks stop", c.Name)
}

func servicePath(name, verb string, query url.Values) string {
	return pathOf("/v1/services/"+url.PathEscape(name)+verb, query)
}
