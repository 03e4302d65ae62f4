package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// cache holds a worker's last good answers of the main lists, bounded in number
// and size. It is for the time when no voter answers; while one does, every
// read goes there.
type cache struct {
	mu      sync.Mutex
	entries map[string]cached
}

type cached struct {
	pattern string
	body    []byte
	at      time.Time
}

func cacheKey(r *http.Request) string { return r.URL.Path + "?" + r.URL.RawQuery }

func (c *cache) put(key string, entry cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.entries[key]; !known && len(c.entries) >= maxCacheItems {
		oldest := ""
		for k, e := range c.entries {
			if oldest == "" || e.at.Before(c.entries[oldest].at) {
				oldest = k
			}
		}
		delete(c.entries, oldest)
	}
	c.entries[key] = entry
}

// get returns the entry of a key.
func (c *cache) get(key string) (cached, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	return e, ok
}

// of returns the entry of a list, whatever its page or filter, that says most:
// a filtered list must not stand for the whole while there is a better one.
func (c *cache) of(pattern string) (cached, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best cached
	for _, e := range c.entries {
		if e.pattern == pattern && len(e.body) > len(best.body) {
			best = e
		}
	}
	return best, best.body != nil
}

// remembered decodes the best kept answer for a request into answer.
func (a *API) remembered(pattern, key string, answer any) (at time.Time, ok bool) {
	e, ok := a.cache.get(key)
	if !ok {
		e, ok = a.cache.of(pattern)
	}
	if !ok || json.Unmarshal(e.body, answer) != nil {
		return time.Time{}, false
	}
	return e.at, true
}

// recall is a worker's answer when no voter answers: what it last heard,
// joined with its own tasks and the hosts that gossip still hears. It has no
// next: a client that follows one would be given the same page again and again.
func (a *API) recall(rt route, r *http.Request) (any, types.Meta, error) {
	f := &cachedAnswer{api: a, r: r, key: cacheKey(r), meta: types.Meta{StaleMs: -1, CutOff: true}}
	if a.Local != nil {
		if since := a.Local.AloneSince(); !since.IsZero() {
			f.meta.AloneSince = types.Stamp(fleet.TimeOf(since))
		}
	}
	if r.URL.Query().Get("next") != "" {
		return nil, f.meta,
			refuse(http.StatusServiceUnavailable, "cut-off", "this host hears no voter and remembers one page of each list",
				"ask a host that is not cut off").after(5 * time.Second)
	}
	got, err := f.answer(rt.pattern)
	return got, f.meta, err
}

// cachedAnswer builds one answer out of memory.
type cachedAnswer struct {
	api  *API
	r    *http.Request
	key  string
	meta types.Meta
}

func (f *cachedAnswer) answer(pattern string) (any, error) {
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
		v := &view{api: f.api}
		for i := range list.Voters {
			list.Voters[i].Alive = v.heard(fleet.HostID(list.Voters[i].Host.ID)) == heardAlive
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
	return nil, refuse(http.StatusServiceUnavailable, "cut-off", "this host hears no voter and remembers nothing of this",
		"ask a host that is not cut off").after(5 * time.Second)
}

// load fills answer from memory and makes its meta the answer's: what was heard,
// and how long ago.
func (f *cachedAnswer) load(pattern string, answer any, meta *types.Meta) {
	key := f.key
	if f.r.URL.Path != pattern {
		key = pattern + "?"
	}
	if at, ok := f.api.remembered(pattern, key, answer); ok {
		kept := older(*meta, f.api.Now().Sub(at))
		f.meta.Index, f.meta.StaleMs = kept.Index, kept.StaleMs
		if f.meta.AloneSince.IsZero() {
			f.meta.AloneSince = types.Stamp(fleet.TimeOf(at))
		}
	}
	*meta = f.meta
}

func (f *cachedAnswer) status() *types.Status {
	s := &types.Status{Notes: []string{}}
	f.load("/v1/status", s, &s.Meta)
	s.AnsweredBy, s.Leader = f.api.answerer("worker"), nil
	s.Voters = f.voterCounts(s.Voters)
	s.Notes = []string{"this host hears no voter: it shows what it last heard, and keeps its own tasks running"}
	if s.StaleMs < 0 {
		list := f.hosts()
		s.Hosts = types.HostCounts{Total: len(list.Hosts)}
		for _, t := range f.own() {
			if t.Last == fleet.TaskRunning {
				s.Tasks.Running++
			}
		}
	}
	return s
}

// voterCounts counts the voters that gossip still hears, out of those last told of.
func (f *cachedAnswer) voterCounts(last types.VoterCounts) types.VoterCounts {
	v, alive := &view{api: f.api}, 0
	v.gossip()
	for _, m := range v.members {
		if m.Role == "voter" && m.Alive {
			alive++
		}
	}
	return types.CountVoters(last.Target, last.Voting, last.Changing, alive)
}

// hosts joins the hosts last heard of with those that gossip knows now.
func (f *cachedAnswer) hosts() *types.Hosts {
	list := &types.Hosts{Hosts: []types.Host{}}
	f.load("/v1/hosts", list, &list.Meta)
	list.Next = ""
	v := &view{api: f.api}
	v.gossip()
	known := map[string]bool{}
	for i := range list.Hosts {
		row := &list.Hosts[i]
		known[row.ID] = true
		row.Leader, row.Gossip = false, v.heard(fleet.HostID(row.ID))
		if r := v.report(fleet.HostID(row.ID)); r != nil {
			row.Report = reportOf(r)
		}
	}
	for _, m := range v.members {
		if !known[string(m.Host)] {
			list.Hosts = append(list.Hosts, memberRow(v, m))
		}
	}
	if !known[string(f.api.Host)] && v.members[f.api.Host].Host == "" {
		list.Hosts = append(list.Hosts,
			memberRow(v, Member{Host: f.api.Host, Name: f.api.Name, Zone: f.api.Zone, Role: "worker", Version: f.api.Version}))
	}
	slices.SortFunc(list.Hosts, func(a, b types.Host) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// memberRow is a host that only gossip speaks of.
func memberRow(v *view, m Member) types.Host {
	row := types.Host{ID: string(m.Host), Name: clean(m.Name), Zone: clean(m.Zone), Role: "worker", State: "unknown",
		Version: clean(m.Version), Gossip: v.heard(m.Host)}
	if m.Role == "voter" {
		row.Role = "voter"
	}
	if m.Addr.IsValid() {
		row.Addr = m.Addr.String()
	}
	if r := v.report(m.Host); r != nil {
		row.Report = reportOf(r)
		row.Capacity, row.Reserved, row.Free = resources(r.Capacity), resources(r.Reserved),
			resources(r.Capacity.Sub(r.Reserved))
		row.Running, row.Pending = r.TasksRunning, r.TasksPending
	}
	return row
}

func (f *cachedAnswer) own() []LocalTask {
	if f.api.Local == nil {
		return nil
	}
	return f.api.Local.Tasks()
}

// allTasks joins the tasks last heard of with this host's own.
func (f *cachedAnswer) allTasks() *types.Tasks {
	list := &types.Tasks{Tasks: []types.Task{}}
	f.load("/v1/tasks", list, &list.Meta)
	list.Next = ""
	at := map[string]int{}
	for i := range list.Tasks {
		list.Tasks[i].Source = "cache"
		at[list.Tasks[i].ID] = i
	}
	self := types.HostRef{ID: string(f.api.Host), Name: f.api.Name, Zone: f.api.Zone}
	for _, t := range f.own() {
		if i, known := at[string(t.ID)]; known {
			t.overlay(&list.Tasks[i])
		} else {
			list.Tasks = append(list.Tasks, t.row(self))
		}
	}
	slices.SortFunc(list.Tasks, func(a, b types.Task) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (f *cachedAnswer) tasks() *types.Tasks {
	list := f.allTasks()
	query := f.r.URL.Query()
	filter, host := filterOf(query), query.Get("host")
	list.Tasks = slices.DeleteFunc(list.Tasks, func(t types.Task) bool {
		if host != "" && (t.Host == nil || t.Host.ID != host && t.Host.Name != host) {
			return true
		}
		return !filter.match(t.Service, "", t.TaskDef, t.Desired, t.Last)
	})
	return list
}

// pick returns the one row that a reference names, by a name or an id's
// beginning.
func pick[T any](rows []T, what, ref string, names func(T) []string) (any, error) {
	for _, row := range rows {
		for _, name := range names(row) {
			if name == ref || what == "task" && len(ref) >= minPrefix && strings.HasPrefix(name, ref) {
				return &row, nil
			}
		}
	}
	return nil, refuse(http.StatusServiceUnavailable, "cut-off", "this host hears no voter and remembers no "+what+" "+
		clean(ref), "ask a host that is not cut off").after(5 * time.Second)
}
