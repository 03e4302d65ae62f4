//go:build e2e

package api

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"skein/agent/api/view"
	"skein/raftfsm/fleet"
)

// browser starts headless Chromium with an empty profile; its network is this
// test's server alone.
func browser(t *testing.T, width, height int, dark bool) context.Context {
	t.Helper()
	opts := []chromedp.ExecAllocatorOption{
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	}
	if dark {
		opts = append(opts, chromedp.Flag("blink-settings", "preferredColorScheme=0"))
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// see waits until a JavaScript expression is true in the page.
func see(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Steps(seen(expression))); err != nil {
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText.slice(0, 3000)`))
		t.Fatalf("never seen: %s: %v\nthe page says:\n%s", expression, err, text)
	}
}

func seen(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(15*time.Second))(ctx, target)
		return err
	})
}

func ask[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return got
}

// picture saves what the browser shows where SKEIN_PICTURES says, for people.
func picture(t *testing.T, ctx context.Context, name string) {
	dir := os.Getenv("SKEIN_PICTURES")
	if dir == "" {
		return
	}
	_ = chromedp.Do(ctx, chromedp.Sleep(900*time.Millisecond)) // animations end
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// busyFleet is a fleet in the middle of a day: two services, one being updated,
// a standalone task, a task that fits nowhere.
func busyFleet(t *testing.T, x *testAPI) {
	t.Helper()
	root := webFleet(t, x)
	x.members.reports = nil
	for i := 1; i <= 6; i++ {
		x.members.members = append(x.members.members, view.Member{Host: hostID(i), Name: fmt.Sprintf("h%d", i), Alive: true})
	}
	want(t, 201, root, "POST", "/v1/taskdefs", strings.ReplaceAll(strings.ReplaceAll(webDef, `"web"`, `"checkout"`),
		`"memory": 64`, `"memory": 700`))
	want(t, 201, root, "POST", "/v1/services",
		`{"serviceName": "checkout", "taskDefinition": "checkout", "desiredCount": 4}`)
	running(t, x.voter, "checkout", 4, 4)
	want(t, 201, root, "POST", "/v1/taskdefs", webDef)
	want(t, 200, root, "PATCH", "/v1/services/web", `{"taskDefinition": "web:2"}`)
	running(t, x.voter, "web", 2, 2)
	st := x.voter.State()
	x.voter.must(t, fleet.CreateTasks{Revision: st.Service("web").Revision, Tasks: []fleet.TaskID{"aa01", "aa02"}})
	x.voter.must(t, fleet.AssignTasks{Host: hostID(5), Tasks: []fleet.TaskID{"aa01"},
		Ports: [][]fleet.PortBinding{{{Container: "app", ContainerPort: 8080, HostPort: 50999, Protocol: fleet.TCP}}}})
	want(t, 201, root, "POST", "/v1/taskdefs", strings.ReplaceAll(strings.ReplaceAll(webDef, `"web"`, `"report"`),
		`"memory": 64`, `"memory": 90000`))
	want(t, 201, root, "POST", "/v1/services", `{"serviceName": "report", "taskDefinition": "report", "desiredCount": 1}`)
	x.voter.must(t, fleet.CreateTasks{Revision: "report/1", Tasks: []fleet.TaskID{"bb01"}})
	x.voter.must(t, fleet.PutCondition{Subject: fleet.ServiceSubject("report"), Code: "no-host-fits",
		Message: "no host has room for memory 90000 MiB", Counts: []fleet.Count{{Name: "memory", N: 6}}})
	want(t, 200, root, "POST", "/v1/hosts/h6/cordon", `{"why": "new disk"}`)
	var oldest fleet.TaskID
	for task := range x.voter.State().TasksOfService("web") {
		if task.Revision == "web/1" && task.Host != "" {
			oldest = task.ID
			break
		}
	}
	x.voter.must(t, fleet.StopTasks{Tasks: []fleet.TaskID{oldest}, Cause: fleet.CauseScaleIn, Reason: "replaced by web/2"})
}

func TestThePageShowsTheFleetAndWhatHappensInIt(t *testing.T) {
	x := newTestAPI(t, func(c *Config) { c.Now = time.Now })
	x.voter.at = time.Now
	busyFleet(t, x)
	server := httptest.NewServer(x.Handler(TrustNone))
	defer server.CloseClientConnections()
	ctx := browser(t, 1440, 900, false)

	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	see(t, ctx, `document.querySelector("#host-h5 .chip") && document.querySelector('#live[data-is="live"]') !== null`)
	got := ask[string](t, ctx,
		`[document.querySelectorAll(".host").length + " hosts", document.querySelectorAll(".host .chip").length + " tasks",
		document.querySelectorAll(".service").length + " services", ...[...document.querySelectorAll(".zone h3 b")].map((e) => e.textContent),
		document.querySelector("#host-h1 .badges").textContent.trim()].join(", ")`)
	if want := "6 hosts, 13 tasks, 3 services, Zone a, Zone b, Zone c, this page leader"; got != want {
		t.Errorf("shown: %s\n want: %s", got, want)
	}
	picture(t, ctx, "light.png")

	// A host falls silent and a markup-laden name arrives while the page is open.
	x.voter.must(t, fleet.SilenceHost{Host: hostID(2), Session: 1})
	want(t, 200, x.Handler(TrustRoot), "POST", "/v1/hosts/h3/cordon", `{"why": "<img src=x onerror=document.title=1>"}`)
	see(t, ctx, `document.querySelector('#host-h2[data-state="silent"]') !== null`)
	see(t, ctx, `document.querySelector("#events").textContent.includes("<img src=x")`)
	if n := ask[int](t, ctx, `document.querySelectorAll("#events img").length`); n != 0 {
		t.Error("a reason became markup")
	}
	picture(t, ctx, "silent.png")

	// A task says what it is when it is asked.
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#waiting .chip"))); err != nil {
		t.Fatal(err)
	}
	see(t, ctx, `document.querySelector("#detail").open && document.querySelector("#detail").textContent.includes("no host has room")`)
	picture(t, ctx, "task.png")

	// The agent goes away: the page says so instead of showing old facts as new.
	x.voter.set(func(v *fakeVoter) { v.leader, v.leads, v.age = "", false, time.Minute })
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#detail .close"))); err != nil {
		t.Fatal(err)
	}
	see(t, ctx, `document.querySelector('#live[data-is="gone"]') !== null && document.querySelector("#banners").textContent.includes("cut off")`)
	picture(t, ctx, "cutoff.png")
}

func TestThePageFitsAPhoneAndTheNight(t *testing.T) {
	x := newTestAPI(t, func(c *Config) { c.Now = time.Now })
	x.voter.at = time.Now
	busyFleet(t, x)
	server := httptest.NewServer(x.Handler(TrustNone))
	defer server.CloseClientConnections()
	ctx := browser(t, 390, 844, true)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile),
		chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	see(t, ctx, `document.querySelector("#host-h5 .chip") !== null`)
	if ask[bool](t, ctx, `document.documentElement.scrollWidth > innerWidth + 1`) {
		t.Error("the page is wider than a phone")
	}
	picture(t, ctx, "phone.png")
}

func TestThePageSaysWhenAFleetIsTooLargeToDraw(t *testing.T) {
	x := newTestAPI(t, func(c *Config) { c.Now = time.Now })
	x.voter.at = time.Now
	fleetOf(t, x.voter, 130)
	root := x.Handler(TrustRoot)
	want(t, 201, root, "POST", "/v1/taskdefs", webDef)
	want(t, 201, root, "POST", "/v1/services", `{"serviceName": "web", "taskDefinition": "web", "desiredCount": 600}`)
	running(t, x.voter, "web", 600, 130)
	x.voter.must(t, fleet.SilenceHost{Host: hostID(130), Session: 1})
	server := httptest.NewServer(x.Handler(TrustNone))
	defer server.CloseClientConnections()
	ctx := browser(t, 1440, 900, true)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	see(t, ctx, `document.querySelectorAll(".host").length === 100 && document.querySelector('#host-h130[data-state="silent"]') !== null`)
	see(t, ctx, `document.querySelector("#map-note").textContent.includes("Drawn are 100 of 130 hosts")`)
	picture(t, ctx, "large.png")
}

func TestThePageOfOneHostWithNothingOnItMakesSense(t *testing.T) {
	x := newTestAPI(t, func(c *Config) { c.Now = time.Now })
	x.voter.at = time.Now
	fleetOf(t, x.voter, 1)
	server := httptest.NewServer(x.Handler(TrustNone))
	defer server.CloseClientConnections()
	ctx := browser(t, 1200, 800, false)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		t.Fatal(err)
	}
	see(t, ctx, `document.querySelector("#host-h1") !== null && !document.querySelector("#no-services").hidden`)
	picture(t, ctx, "one.png")
}
