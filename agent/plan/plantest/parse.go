package plantest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
)

// fixture is a text taken apart.
type fixture struct {
	t        testing.TB
	services []*serviceSpec
	defs     []*defSpec
	hosts    []*hostSpec
	waiting  []taskSpec
	leader   map[string]string
}

type defSpec struct {
	name    string
	cpu     int64
	mem     int64
	port    int
	dynamic bool
	check   bool
}

type serviceSpec struct {
	defSpec
	desired, min, max int
	revisions         int
	failed            int
	grace             time.Duration
	stopAfter         time.Duration // onDisconnect
	deleted           bool
}

type hostSpec struct {
	name, zone  string
	cpu, mem    int64
	cordoned    bool
	joining     bool
	rebooted    time.Duration // how long ago; zero: it did not
	lost        bool
	silent      time.Duration // zero: not silent
	liveness    plan.Liveness
	livenessFor time.Duration
	reads       int // format of its agent; 0: the first
	session     int // on whose stream it is heard; negative: that of State
	tasks       []taskSpec
}

type taskSpec struct {
	name     string // service or definition
	revision int    // 0: standalone
	status   string
	health   string
	age      time.Duration
	count    int
	replace  string // the cause for which it is to be replaced
}

var livenessNames = map[string]plan.Liveness{"unknown": plan.LivenessUnknown, "alive": plan.LivenessAlive,
	"suspect": plan.LivenessSuspect, "refused": plan.LivenessRefused, "silent": plan.LivenessSilent}

func parse(t testing.TB, text string) *fixture {
	t.Helper()
	f := &fixture{t: t, leader: map[string]string{}}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for clause := range strings.SplitSeq(line, ";") {
			if words := strings.Fields(clause); len(words) > 0 {
				f.clause(clause, words)
			}
		}
	}
	return f
}

func (f *fixture) clause(clause string, words []string) {
	f.t.Helper()
	head, tasks, isHost := strings.Cut(clause, ":")
	switch {
	case isHost && strings.TrimSpace(head) == "unassigned":
		f.waiting = append(f.waiting, f.tasks(tasks)...)
	case isHost:
		f.hosts = append(f.hosts, f.host(strings.Fields(head), tasks))
	case words[0] == "leader":
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			f.leader[key] = value
		}
	case words[0] == "def":
		d := usualDef(words[1])
		for _, w := range words[2:] {
			if !f.defWord(&d, w) {
				f.t.Fatalf("fixture: definition %s: unknown word %q", d.name, w)
			}
		}
		f.defs = append(f.defs, &d)
	default:
		f.services = append(f.services, f.service(words))
	}
}

func usualDef(name string) defSpec { return defSpec{name: name, cpu: 256, mem: 128} }

func (f *fixture) defWord(d *defSpec, word string) bool {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "cpu":
		d.cpu = int64(f.number(word, value))
	case "mem":
		d.mem = int64(f.number(word, value))
	case "port":
		d.port = f.number(word, value)
	case "dynamic":
		d.dynamic = true
	case "check":
		d.check = true
	default:
		return false
	}
	return true
}

func (f *fixture) service(words []string) *serviceSpec {
	f.t.Helper()
	s := &serviceSpec{defSpec: usualDef(words[0]), min: 100, max: 200, revisions: 1}
	for _, w := range words[1:] {
		if f.defWord(&s.defSpec, w) {
			continue
		}
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "desired":
			s.desired = f.number(w, value)
		case "min":
			s.min = f.number(w, value)
		case "max":
			s.max = f.number(w, value)
		case "rev":
			s.revisions = f.number(w, value)
		case "failed":
			s.failed = f.number(w, value)
		case "grace":
			s.grace = f.duration(w, value)
		case "stop-after":
			s.stopAfter = f.duration(w, value)
		case "deleted":
			s.deleted = true
		default:
			f.t.Fatalf("fixture: service %s: unknown word %q", s.name, w)
		}
	}
	return s
}

func (f *fixture) host(words []string, tasks string) *hostSpec {
	f.t.Helper()
	h := &hostSpec{name: words[0], zone: "a", cpu: 4096, mem: 8192, liveness: plan.LivenessAlive, session: -1,
		tasks: f.tasks(tasks)}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "zone":
			h.zone = value
		case "cpu":
			h.cpu = int64(f.number(w, value))
		case "mem":
			h.mem = int64(f.number(w, value))
		case "cordoned":
			h.cordoned = true
		case "joining":
			h.joining = true
		case "rebooted":
			h.rebooted = time.Second
			if value != "" {
				h.rebooted = f.duration(w, value)
			}
		case "lost":
			h.lost, h.liveness = true, plan.LivenessSilent
		case "silent":
			h.silent, h.liveness = time.Second, plan.LivenessSilent
			if value != "" {
				h.silent = f.duration(w, value)
			}
		case "reads":
			h.reads = f.number(w, value)
		case "session":
			h.session = f.number(w, value)
		case "seen":
			liveness, held, _ := strings.Cut(value, "/")
			h.liveness = livenessNames[liveness]
			if held != "" {
				h.livenessFor = f.duration(w, held)
			}
		default:
			f.t.Fatalf("fixture: host %s: unknown word %q", h.name, w)
		}
	}
	return h
}

// tasks reads "web/1 running healthy x2 age=5s, job pending".
func (f *fixture) tasks(text string) []taskSpec {
	f.t.Helper()
	var all []taskSpec
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		task := taskSpec{count: 1, status: "running", age: time.Minute}
		name, revision, ofService := strings.Cut(words[0], "/")
		task.name = name
		if ofService {
			task.revision = f.number(words[0], revision)
		}
		for _, w := range words[1:] {
			switch {
			case w == "healthy" || w == "unhealthy":
				task.health = w
			case strings.HasPrefix(w, "replace="):
				task.replace = w[len("replace="):]
			case strings.HasPrefix(w, "age="):
				task.age = f.duration(w, w[len("age="):])
			case w[0] == 'x':
				task.count = f.number(w, w[1:])
			default:
				task.status = w
			}
		}
		all = append(all, task)
	}
	return all
}

func (f *fixture) number(word, value string) int {
	f.t.Helper()
	n, err := strconv.Atoi(value)
	if err != nil {
		f.t.Fatalf("fixture: %q: %v", word, err)
	}
	return n
}

func (f *fixture) duration(word, value string) time.Duration {
	f.t.Helper()
	d, err := time.ParseDuration(value)
	if err != nil {
		f.t.Fatalf("fixture: %q: %v", word, err)
	}
	return d
}
