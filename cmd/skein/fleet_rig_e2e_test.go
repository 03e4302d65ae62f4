//go:build e2e

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
	"skein/cmd/skein/lab"
)

// fleetUnderTest is a lab of three hosts with a name of its own.
type fleetUnderTest struct {
	testing.TB
	lab   *lab.Lab
	dir   string
	image string
}

// within is far above what a starved two-core machine needed for any one wait.
const within = 90 * time.Second

func newFleet(t testing.TB, o lab.UpOptions) *fleetUnderTest {
	t.Helper()
	binary := os.Getenv("SKEIN_BINARY")
	if binary == "" {
		t.Fatal("SKEIN_BINARY must name the static binary: run this by `make e2e`")
	}
	return newFleetOf(t, binary, o)
}

// newFleetOf is newFleet with agents of a given program.
func newFleetOf(t testing.TB, binary string, o lab.UpOptions) *fleetUnderTest {
	t.Helper()
	f, err := tryFleet(t, binary, o)
	f.must(err)
	return f
}

// tryFleet is newFleetOf, with the error of making the lab for the caller.
func tryFleet(t testing.TB, binary string, o lab.UpOptions) (*fleetUnderTest, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lab")
	l, err := lab.New(lab.Options{Name: fmt.Sprintf("e%d", os.Getpid()%1_000_000), Dir: dir, Binary: binary,
		Say: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleetUnderTest{TB: t, lab: l, dir: dir}
	t.Cleanup(func() {
		if t.Failed() {
			f.dump()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Down(ctx); err != nil {
			t.Errorf("lab not removed: %v", err)
		}
	})
	return f, l.Up(f.Context(), o)
}

func (f *fleetUnderTest) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// dump prints what a person would look at first.
func (f *fleetUnderTest) dump() {
	for _, host := range []string{"h1", "h2", "h3"} {
		var text strings.Builder
		_ = f.lab.Logs(context.Background(), &text, host, lab.LogOptions{Lines: 30})
		f.Logf("last lines of the agent's log on %s:\n%s", host, text.String())
	}
}

// at returns a client of one host's agent, with the operator's token.
func (f *fleetUnderTest) at(host string) *client.Client {
	f.Helper()
	socket, err := f.lab.Socket(host)
	f.must(err)
	token, err := f.lab.OperatorToken()
	f.must(err)
	return client.New(client.Endpoint{Socket: socket}, token)
}

// eventually polls look until it is content; what it saw last is in the failure.
func (f *fleetUnderTest) eventually(what string, look func() (seen string, done bool)) {
	f.Helper()
	deadline := time.Now().Add(within)
	for {
		seen, done := look()
		if done {
			return
		}
		if time.Now().After(deadline) {
			f.Fatalf("%s: not within %s; last seen: %s", what, within, seen)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// throughout looks again and again for a while: what it looks for must hold each time.
func (f *fleetUnderTest) throughout(what string, d time.Duration, look func() (seen string, holds bool)) {
	f.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if seen, holds := look(); !holds {
			f.Fatalf("%s, but: %s", what, seen)
		}
	}
}

func get[T any](f *fleetUnderTest, host, path string) (answer T, err error) {
	_, err = f.at(host).Get(f.Context(), path, &answer)
	return answer, err
}

func (f *fleetUnderTest) service(host, name string) (types.Service, error) {
	return get[types.Service](f, host, "/v1/services/"+name)
}

func (f *fleetUnderTest) awaitHealthy(host, name string, desired int) {
	f.Helper()
	f.eventually(name+" is healthy", func() (string, bool) {
		s, err := f.service(host, name)
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%+v wait %+v", s, s.Conditions), s.Steady && s.Desired == desired && s.Healthy == desired
	})
}

func (f *fleetUnderTest) awaitReady(host string, hosts, voters int) {
	f.Helper()
	f.eventually(fmt.Sprintf("%d hosts ready, %d voters", hosts, voters), func() (string, bool) {
		s, err := get[types.Status](f, host, "/v1/status")
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%+v", s), s.Hosts.Ready == hosts && s.Voters.Voting == voters && s.Leader != nil
	})
}

// tasks are the service's tasks that are not stopped, by id.
func (f *fleetUnderTest) tasks(host, service string) []types.Task {
	f.Helper()
	page, err := get[types.Tasks](f, host, "/v1/tasks?service="+service)
	f.must(err)
	return slices.DeleteFunc(page.Tasks, func(t types.Task) bool { return t.Last == "STOPPED" })
}

// register registers a definition of the web image with changes to its one container.
func (f *fleetUnderTest) register(host, family string, change func(container map[string]any)) string {
	f.Helper()
	def := webTaskDefinition(f.image)
	def["family"] = family
	if change != nil {
		change(def["containerDefinitions"].([]any)[0].(map[string]any))
	}
	var answer made
	f.must(f.at(host).Send(f.Context(), http.MethodPost, "/v1/taskdefs", def, &answer))
	return answer.TaskDef.ID
}

func (f *fleetUnderTest) create(host, name, taskDef string, desired int) {
	f.Helper()
	f.must(f.at(host).Send(f.Context(), http.MethodPost, "/v1/services",
		map[string]any{"serviceName": name, "taskDefinition": taskDef, "desiredCount": desired}, nil))
}

func (f *fleetUnderTest) remove(host, name string) {
	f.Helper()
	f.must(f.at(host).Send(f.Context(), http.MethodDelete, "/v1/services/"+name, types.ForceBody{Force: true}, nil))
	f.eventually(name+" is gone", func() (string, bool) {
		s, err := f.service(host, name)
		return fmt.Sprintf("%+v %v", s, err), err != nil
	})
}

func (f *fleetUnderTest) hostURL(host string) string {
	f.Helper()
	view, err := f.lab.List(f.Context())
	f.must(err)
	for _, h := range view.Hosts {
		if h.Name == host {
			return h.StatusURL
		}
	}
	f.Fatalf("no host %s", host)
	return ""
}
