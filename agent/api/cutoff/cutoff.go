// Package cutoff answers for a host that hears no voter: what it last heard, joined
// with its own tasks and with the hosts that gossip still hears.
//
// It owns a bounded memory of the main lists. It is not a cache: while a voter answers,
// every question goes there.
package cutoff

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"skein/agent/api/refusal"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/raftfsm/fleet"
)

// Host is what the answering host knows by itself.
type Host struct {
	Self       types.Answerer
	Members    view.Members // nil: no gossip
	Tasks      []view.LocalTask
	AloneSince time.Time // when the last voter was heard; zero: not known
	Now        time.Time
}

// Answer answers a request to the endpoint of a pattern. The answer has no next: a
// client that follows one would be given the same page again and again.
func (m *Memory) Answer(pattern string, r *http.Request, host Host) (any, types.Meta, error) {
	f := &recalled{memory: m, host: host, r: r, key: keyOf(r), meta: types.Meta{StaleMs: -1, CutOff: true}}
	f.view = &view.View{Self: host.Self, Members: host.Members}
	if !host.AloneSince.IsZero() {
		f.meta.AloneSince = types.Stamp(fleet.TimeOf(host.AloneSince))
	}
	if r.URL.Query().Get("next") != "" {
		return nil, f.meta, refused("this host hears no voter and remembers one page of each list")
	}
	got, err := f.answer(pattern)
	return got, f.meta, err
}

func refused(why string) error {
	return refusal.New(http.StatusServiceUnavailable, "cut-off", why, "ask a host that is not cut off").
		After(5 * time.Second)
}

// recalled builds one answer out of memory.
type recalled struct {
	memory *Memory
	host   Host
	view   *view.View // without State: what gossip knows
	r      *http.Request
	key    string
	meta   types.Meta
}

func (f *recalled) answer(pattern string) (any, error) {
	switch pattern {
	case "/v1/status":
		return f.status(), nil
	case "/v1/hosts":
		return f.hosts(), nil
	case "/v1/hosts/{id}":
		return pick(f.hosts().Hosts, "host", f.r.PathValue("id"), func(h types.Host) []string {
			return []string{h.ID, h.Name}
		})
	case "/v1/tasks":
		return f.tasks(), nil
	case "/v1/tasks/{id}":
		return pick(f.allTasks().Tasks, "task", f.r.PathValue("id"), func(t types.Task) []string { return []string{t.ID} })
	case "/v1/services", "/v1/services/{name}":
		list := &types.Services{Services: []types.Service{}}
		f.load("/v1/services", list, &list.Meta)
		list.Next = ""
		if pattern == "/v1/services" {
			return list, nil
		}
		return pick(list.Services, "service", f.r.PathValue("name"),
			func(s types.Service) []string { return []string{s.Name} })
	case "/v1/taskdefs":
		list := &types.TaskDefs{TaskDefs: []types.TaskDef{}}
		f.load(pattern, list, &list.Meta)
		list.Next = ""
		return list, nil
	case "/v1/voters":
		list := &types.Voters{Voters: []types.VoterRow{}}
		f.load(pattern, list, &list.Meta)
		list.Leader, list.Counts = nil, f.voterCounts(list.Counts)
		for i := range list.Voters {
			id := fleet.HostID(list.Voters[i].Host.ID)
			list.Voters[i].Alive = f.view.Heard(id) == view.HeardAlive && !f.view.RunsAsWorker(id)
		}
		return list, nil
	case "/v1/events":
		list := &types.Events{Events: []types.Event{}}
		f.load(pattern, list, &list.Meta)
		if name := f.r.URL.Query().Get("service"); name != "" {
			list.Events = slices.DeleteFunc(list.Events, func(e types.Event) bool {
				return e.Subject != fleet.ServiceSubject(name).String()
			})
		}
		return list, nil
	}
	return nil, refused("this host hears no voter and remembers nothing of this")
}

// load fills answer from memory and makes its meta the answer's: what was heard,
// and how long ago.
func (f *recalled) load(pattern string, answer any, meta *types.Meta) {
	key := f.key
	if f.r.URL.Path != pattern {
		key = pattern + "?"
	}
	if at, ok := f.memory.recall(pattern, key, answer); ok {
		kept := older(*meta, f.host.Now.Sub(at))
		f.meta.Index, f.meta.StaleMs = kept.Index, kept.StaleMs
		if f.meta.AloneSince.IsZero() {
			f.meta.AloneSince = types.Stamp(fleet.TimeOf(at))
		}
	}
	*meta = f.meta
}

func (f *recalled) status() *types.Status {
	s := &types.Status{Notes: []string{}}
	f.load("/v1/status", s, &s.Meta)
	s.AnsweredBy, s.Leader = f.host.Self, nil
	s.Voters = f.voterCounts(s.Voters)
	s.Notes = []string{"this host hears no voter: it shows what it last heard, and keeps its own tasks running"}
	if s.StaleMs < 0 {
		list := f.hosts()
		s.Hosts = types.HostCounts{Total: len(list.Hosts)}
		for _, t := range f.host.Tasks {
			if t.Last == fleet.TaskRunning {
				s.Tasks.Running++
			}
		}
	}
	return s
}

// voterCounts counts the voters that gossip still hears, out of those last told of.
func (f *recalled) voterCounts(last types.VoterCounts) types.VoterCounts {
	alive := 0
	for _, m := range f.view.InRing() {
		if m.Role == "voter" && m.Alive {
			alive++
		}
	}
	return types.CountVoters(last.Target, last.Voting, last.Changing, alive)
}

// hosts joins the hosts last heard of with those that gossip knows now.
func (f *recalled) hosts() *types.Hosts {
	list := &types.Hosts{Hosts: []types.Host{}}
	f.load("/v1/hosts", list, &list.Meta)
	list.Next = ""
	known := map[string]bool{}
	for i := range list.Hosts {
		row := &list.Hosts[i]
		known[row.ID] = true
		row.Leader, row.Gossip = false, f.view.Heard(fleet.HostID(row.ID))
		if r := f.view.Report(fleet.HostID(row.ID)); r != nil {
			row.Report = r
		}
	}
	for _, m := range f.view.InRing() {
		if !known[string(m.Host)] {
			list.Hosts = append(list.Hosts, f.view.MemberRow(m))
		}
	}
	slices.SortFunc(list.Hosts, func(a, b types.Host) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// allTasks joins the tasks last heard of with this host's own.
func (f *recalled) allTasks() *types.Tasks {
	list := &types.Tasks{Tasks: []types.Task{}}
	f.load("/v1/tasks", list, &list.Meta)
	list.Next = ""
	at := map[string]int{}
	for i := range list.Tasks {
		list.Tasks[i].Source = "cache"
		at[list.Tasks[i].ID] = i
	}
	self := types.HostRef{ID: f.host.Self.ID, Name: f.host.Self.Name, Zone: f.host.Self.Zone}
	for _, t := range f.host.Tasks {
		if i, known := at[string(t.ID)]; known {
			t.Overlay(&list.Tasks[i])
		} else {
			list.Tasks = append(list.Tasks, t.Row(self))
		}
	}
	slices.SortFunc(list.Tasks, func(a, b types.Task) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (f *recalled) tasks() *types.Tasks {
	list := f.allTasks()
	query := f.r.URL.Query()
	filter, host := view.NewTaskFilter(query), query.Get("host")
	list.Tasks = slices.DeleteFunc(list.Tasks, func(t types.Task) bool {
		if host != "" && (t.Host == nil || t.Host.ID != host && t.Host.Name != host) {
			return true
		}
		return !filter.Match(t.Service, "", t.TaskDef, t.Desired, t.Last)
	})
	return list
}

// pick returns the one row that a reference names, by a name or an id's
// beginning.
func pick[T any](rows []T, what, ref string, names func(T) []string) (any, error) {
	for _, row := range rows {
		for _, name := range names(row) {
			if name == ref || what == "task" && len(ref) >= view.MinPrefix && strings.HasPrefix(name, ref) {
				return &row, nil
			}
		}
	}
	return nil, refused("this host hears no voter and remembers no " + what + " " + types.Clean(ref))
}

// older is the meta of an answer that was kept for a while.
func older(m types.Meta, by time.Duration) types.Meta {
	if m.StaleMs >= 0 {
		m.StaleMs += by.Milliseconds()
	}
	return m
}
