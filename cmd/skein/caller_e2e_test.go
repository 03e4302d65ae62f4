//go:build e2e

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"skein/cmd/skein/lab"
)

// callerArg makes the test binary a task that calls others, when it is its first argument.
const callerArg = "caller"

// TestMain plays the caller's part in its container.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == callerArg {
		fmt.Fprintln(os.Stderr, serveCaller())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// calls is what a caller saw: how often each revision answered, and what failed.
type calls struct {
	Answers map[string]int
	Failed  []string
}

// found is what a caller's resolver said.
type found struct {
	Answers []string
	Failed  string
}

// serveCaller asks and looks up what it is told to, as any program of a task does.
func serveCaller() error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /call", func(w http.ResponseWriter, r *http.Request) {
		header, value, _ := strings.Cut(r.FormValue("header"), "=")
		n, _ := strconv.Atoi(r.FormValue("n"))
		seen := calls{Answers: map[string]int{}}
		for range max(1, n) {
			if revision, err := revisionOfURL(r.FormValue("url"), header, value); err != nil {
				seen.Failed = append(seen.Failed, err.Error())
			} else {
				seen.Answers[revision]++
			}
		}
		_ = json.NewEncoder(w).Encode(seen)
	})
	mux.HandleFunc("GET /lookup", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(lookUp(r.Context(), r.FormValue("kind"), r.FormValue("name")))
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

func lookUp(ctx context.Context, kind, name string) (f found) {
	ctx, stop := context.WithTimeout(ctx, 15*time.Second)
	defer stop()
	var err error
	switch kind {
	case "SRV":
		var records []*net.SRV
		_, records, err = net.DefaultResolver.LookupSRV(ctx, "", "", name)
		for _, r := range records {
			f.Answers = append(f.Answers, fmt.Sprintf("%s:%d", r.Target, r.Port))
		}
	default: // ip4, ip6
		var addresses []net.IP
		addresses, err = net.DefaultResolver.LookupIP(ctx, kind, name)
		for _, a := range addresses {
			f.Answers = append(f.Answers, a.String())
		}
	}
	if err != nil {
		f.Failed = err.Error()
	}
	return f
}

// revisionOfURL asks a task of the web image, over a connection of its own, which revision
// it is of.
func revisionOfURL(url, header, value string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/json")
	if header != "" {
		request.Header.Set(header, value)
	}
	c := newClient()
	defer c.CloseIdleConnections()
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, response.Status)
	}
	var id struct{ Revision string }
	return id.Revision, json.NewDecoder(response.Body).Decode(&id)
}

// callers are tasks of this program, one on each host.
type callers struct {
	*fleetUnderTest
	urls map[string]string // by host
}

// startCallers runs a caller on each host.
func (f *fleetUnderTest) startCallers() *callers {
	f.Helper()
	self, err := os.Executable()
	f.must(err)
	image, err := lab.BuildImage(self)
	f.must(err)
	view, err := f.lab.List(f.Context())
	f.must(err)
	reference := view.Registry + "/skein/caller:1"
	f.must(lab.Push(f.Context(), image, reference))
	c := &callers{fleetUnderTest: f, urls: map[string]string{}}
	def := f.register("h1", "caller", func(container map[string]any) {
		container["image"] = reference
		container["command"] = []string{callerArg}
		container["user"] = "65534:65534" // names are for every user of a container
	})
	f.create("h1", "caller", def, len(view.Hosts))
	f.awaitHealthy("h1", "caller", len(view.Hosts))
	for _, t := range f.tasks("h1", "caller") {
		for _, host := range view.Hosts {
			if t.Host != nil && host.Name == t.Host.Name {
				c.urls[host.Name] = fmt.Sprintf("http://%s:%d", host.Address, t.Ports[0].HostPort)
			}
		}
	}
	if len(c.urls) != len(view.Hosts) {
		f.Fatalf("callers run on %v alone", c.urls)
	}
	return c
}

// call has a host's caller call a URL so many times.
func (c *callers) call(host, target, header string, n int) (seen calls) {
	c.Helper()
	c.tell(host, "/call", url.Values{"url": {target}, "header": {header}, "n": {strconv.Itoa(n)}}, &seen)
	return seen
}

// answer fails unless the revision answers each of some calls.
func (c *callers) answer(host, target, header, revision string) {
	c.Helper()
	const n = 10
	if seen := c.call(host, target, header, n); seen.Answers[revision] != n {
		c.Errorf("on %s, %s with %q is not answered by %s: %+v", host, target, header, revision, seen)
	}
}

// looksUp fails unless a name has just these answers, or the failure that is the only one.
func (c *callers) looksUp(host, kind, name string, want ...string) {
	c.Helper()
	var f found
	c.tell(host, "/lookup", url.Values{"kind": {kind}, "name": {name}}, &f)
	slices.Sort(f.Answers)
	slices.Sort(want)
	if f.Failed != "" {
		f.Answers = append(f.Answers, f.Failed[max(0, len(f.Failed)-len(want[0])):])
	}
	if want = slices.Compact(want); !slices.Equal(slices.Compact(f.Answers), want) {
		c.Errorf("on %s, %s %s is %+v, not %q", host, kind, name, f, want)
	}
}

func (c *callers) tell(host, path string, query url.Values, answer any) {
	c.Helper()
	response, err := newClient().Get(c.urls[host] + path + "?" + query.Encode())
	c.must(err)
	defer response.Body.Close()
	c.must(json.NewDecoder(response.Body).Decode(answer))
}
