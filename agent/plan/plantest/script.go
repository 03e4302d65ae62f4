package plantest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Run plays a script and returns it with its outcomes. A script is a fixture,
// then lines that begin with "> "; what follows such a line, up to the next, is
// its outcome and is written anew:
//
//	> plan              all planners, in order, each sees the commands before it
//	> wait 40s          time passes
//	> obey              hosts that are seen alive bring all tasks to what is wanted
//	> obey web-3=unhealthy web-4=fails
//	> see h2 silent 1s  a host is seen otherwise
//	> reboot h2         its agent opens a session under a new boot id
//	> scale web 4 / update web max=100 min=50 / deploy web / delete web / cordon h1 / uncordon h1
//	> replace web-1 drain  a task is to be replaced
//	> live              planners, hosts and routes go on until nothing more is planned
//	> live web SCALE_UP    ... or a deployment is in a stage ("web PRODUCTION_TRAFFIC_SHIFT 2": at a step)
//	> expose web        it gets a listener, a test rule, and two target groups by its port 81 (dynamic)
//	> deploy web strategy=BLUE_GREEN bake=5m hook=check:webhook@POST_SCALE_UP  as World.configure has it
//	> routes h1=behind  hosts serve the newest routes; those that are behind do not, from now on
//	> answer web.2-1 SUCCEEDED / FAILED / IN_PROGRESS/30 / lies / unreachable / nothing / 5/5 / tail boom
//	> alarm web cpu 7   an alarm's question is answered; "none" is no number
//	> traffic web/2 100 50  ingress counted so many requests and errors in the last minute; unserved:web/2 100 100
//	  are of requests for which its groups had no target
//	> order web pause / continue [web.2-1 [no]] / promote / rollback / stop
//	> deployments web   its deployments, and all rules
//	> status            services with their counts and waits
func Run(t testing.TB, script string, planners ...func(plan.Input) plan.Plan) string {
	t.Helper()
	fixture, steps, _ := strings.Cut(script, "\n> ")
	w := Parse(t, fixture)
	var out strings.Builder
	out.WriteString(strings.TrimRight(fixture, "\n") + "\n")
	for step := range strings.SplitSeq(steps, "\n> ") {
		line, _, _ := strings.Cut(step, "\n")
		words := strings.Fields(line)
		fmt.Fprintf(&out, "\n> %s\n", strings.Join(words, " "))
		if len(words) > 0 {
			out.WriteString(w.play(words, planners))
		}
	}
	return out.String()
}

// Play plays one step of a script, such as "deploy web strategy=CANARY", and returns its
// outcome.
func (w *World) Play(step string, planners ...func(plan.Input) plan.Plan) string {
	w.t.Helper()
	return w.play(strings.Fields(step), planners)
}

func (w *World) play(words []string, planners []func(plan.Input) plan.Plan) string {
	w.t.Helper()
	subject := ""
	if len(words) > 1 {
		subject = words[1]
	}
	switch words[0] {
	case "plan":
		return w.pass(planners)
	case "wait":
		w.Wait(w.duration(subject))
	case "obey":
		w.Obey(words[1:]...)
	case "see":
		liveness := plan.HostLiveness{Liveness: livenessNames[words[2]], For: w.duration(words[3]), Age: w.duration(words[3])}
		if liveness.Liveness == plan.LivenessAlive {
			liveness.Session = w.State.Host(fleet.HostID(subject)).Session.N
		}
		w.Liveness.Hosts[fleet.HostID(subject)] = liveness
	case "reboot":
		w.reboot(fleet.HostID(subject))
	case "cordon":
		w.Do(fleet.CordonHost{Host: fleet.HostID(subject)})
	case "uncordon":
		w.Do(fleet.UncordonHost{Host: fleet.HostID(subject)})
	case "replace":
		w.at = w.Now
		w.replace(fleet.TaskID(subject), words[2])
	case "delete":
		w.Do(fleet.DeleteService{Name: subject, Force: true})
	case "scale", "update", "deploy":
		w.put(words[0], subject, words[2:])
	case "live":
		return w.Live(planners, words[1:]...)
	case "expose":
		w.expose(subject)
	case "routes":
		for _, word := range words[1:] {
			id, how, _ := strings.Cut(word, "=")
			w.behind[fleet.HostID(id)] = how == "behind"
		}
		w.Serve()
	case "answer":
		w.answer(subject, words[2], words[3:]...)
	case "alarm":
		w.tells(subject, words[2], words[3])
	case "traffic":
		w.count(words[1:])
	case "order":
		w.order(subject, words[2:])
	case "deployments":
		return w.deployments(subject)
	case "status":
		return w.status()
	default:
		w.t.Fatalf("script: unknown step %q", words[0])
	}
	return ""
}

// pass runs the planners over the World and applies what they say.
func (w *World) pass(planners []func(plan.Input) plan.Plan) string {
	w.t.Helper()
	var out strings.Builder
	for _, next := range planners {
		p := next(w.Input())
		w.Apply(p.Items...)
		for _, line := range lines(p) {
			out.WriteString(strings.ReplaceAll(line, "; place ", "\nplace ") + "\n")
		}
	}
	if out.Len() == 0 {
		return nothing
	}
	return out.String()
}

const nothing = "nothing\n"

// Obey lets the hosts that are seen alive bring their tasks to what is wanted of
// them: RUNNING and healthy, or STOPPED. Fates are "web-3=unhealthy", "web-3=starting",
// "web-3=fails" and "web-3=done".
func (w *World) Obey(fates ...string) {
	w.t.Helper()
	for host := range w.State.Clone().Hosts() {
		if w.Liveness.Hosts[host.ID].Liveness != plan.LivenessAlive {
			continue
		}
		var reports []fleet.TaskReport
		for _, task := range slices.Collect(w.State.HeldBy(host.ID)) {
			reports = append(reports, fateOf(task, host, fates))
		}
		if len(reports) > 0 {
			w.Report(host.ID, reports...)
		}
	}
}

func fateOf(task *fleet.Task, host *fleet.Host, fates []string) fleet.TaskReport {
	r := fleet.TaskReport{Task: task.ID, Status: fleet.TaskRunning, Health: fleet.HealthHealthy, Attempt: 1}
	is := func(fate string) bool { return slices.Contains(fates, string(task.ID)+"="+fate) }
	switch {
	case task.Desired == fleet.TaskStopped || task.Session < host.BootSession:
		r.Status, r.Health = fleet.TaskStopped, fleet.HealthUnknown
	case is("unhealthy"):
		r.Health = fleet.HealthUnhealthy
	case is("starting"):
		r.Status, r.Health = fleet.TaskActivating, fleet.HealthUnknown
	case is("done"):
		code := 0
		r.Status, r.Health, r.StopCode = fleet.TaskStopped, fleet.HealthUnknown, fleet.StopEssentialContainerExited
		r.Exits = []fleet.ContainerExit{{Container: "app", Code: &code}}
	case is("fails"):
		code := 1
		r.Status, r.Health, r.StopCode = fleet.TaskStopped, fleet.HealthUnknown, fleet.StopEssentialContainerExited
		r.Exits = []fleet.ContainerExit{{Container: "app", Code: &code}}
	}
	if r.Status == fleet.TaskRunning {
		for _, target := range task.Targets {
			state := fleet.TargetHealthy
			if r.Health == fleet.HealthUnhealthy {
				state = fleet.TargetUnhealthy
			}
			r.Targets = append(r.Targets, fleet.TargetReport{Group: target.Group, State: state})
		}
	}
	return r
}

func (w *World) reboot(id fleet.HostID) {
	w.t.Helper()
	host := w.State.Host(id)
	w.reports[id] = 0
	w.Do(fleet.OpenSession{Host: id, Boot: fmt.Sprintf("boot-%d", host.Session.N+1), Nonce: host.Session.Nonce + 1,
		Addr: host.Addr, Zone: host.Zone, Capacity: host.Capacity, Format: host.ReadsFormat()})
	w.Liveness.Hosts[id] = plan.HostLiveness{Liveness: plan.LivenessAlive, Session: w.State.Host(id).Session.N}
}

// put updates a service: "scale web 4", "update web min=50 max=100", "deploy web".
func (w *World) put(step, name string, words []string) {
	w.t.Helper()
	put := w.keep(name)
	put.Force = step == "deploy"
	for _, word := range words {
		if w.configure(&put.Deployment, word) {
			continue
		}
		key, value, _ := strings.Cut(word, "=")
		var n int
		fmt.Sscan(value, &n)
		switch key {
		case "min":
			put.MinPercent = n
		case "max":
			put.MaxPercent = n
		default:
			fmt.Sscan(word, &put.Desired)
		}
	}
	w.Do(put)
}

// status is one line a service: counts by revision, and what is waited for.
func (w *World) status() string {
	var out strings.Builder
	for v := range w.State.Services() {
		fmt.Fprintf(&out, "%s desired %d:", v.Name, v.Desired)
		for id := range w.State.LiveRevisions(v.Name) {
			n := w.State.Counts(v.Name, id)
			fmt.Fprintf(&out, " %s running %d pending %d stopping %d unreachable %d,", id, n.Running, n.Pending, n.Stopping,
				n.Unreachable)
		}
		for _, row := range plan.ConditionsOf(w.State, fleet.ServiceSubject(v.Name)) {
			fmt.Fprintf(&out, " %s since %s", row.Code, w.Now.Sub(row.Since).Round(time.Second))
		}
		out.WriteString("\n")
	}
	return out.String()
}
