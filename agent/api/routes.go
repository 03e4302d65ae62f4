package api

import (
	"net/http"

	"skein/agent/api/types"
)

// table is every route there is.
func (a *API) table() []route {
	routes := append(a.reads(), a.writes()...)
	routes = append(routes, a.nextFormat()...)
	return append(routes, a.plains()...)
}

func (a *API) reads() []route {
	page := func(list string) []param { return query(paramLimit, paramNext(list)) }
	get := func(pattern, summary string, params []param, answer any, cached bool, read func(*view) (any, error)) route {
		return route{method: http.MethodGet, pattern: pattern, kind: kindRead, summary: summary, query: params,
			answer: answer, cached: cached, read: read}
	}
	tokens := get("/v1/tokens", "Tokens, without their secrets", query(), types.TokenList{}, false, (*view).tokens)
	tokens.private = true
	return []route{
		get("/v1/status", "The fleet at a glance", query(), types.Status{}, true, (*view).status),
		get("/v1/hosts", "Hosts by id", page("hosts"), types.Hosts{}, true, (*view).hosts),
		get("/v1/hosts/{id}", "One host, by id or name", query(), types.Host{}, false, (*view).host),
		get("/v1/services", "Services by name", page("services"), types.Services{}, true, (*view).services),
		get("/v1/services/{name}", "One service", query(), types.Service{}, false, (*view).service),
		get("/v1/tasks", "Tasks by id", query(paramLimit, paramNext("tasks"),
			param{"service", "only tasks of this service", checkName, false},
			param{"family", "only tasks of this task definition family", checkName, false},
			param{"host", "only tasks on this host, by id or name", checkName, false},
			param{"status", "only tasks whose lastStatus is one of these, joined with commas", checkStatuses, false},
			param{"desiredStatus", "RUNNING or STOPPED", checkDesiredStatus, false}), types.Tasks{}, true, (*view).tasks),
		get("/v1/tasks/{id}", "One task, by id or a beginning that only it has", query(), types.Task{}, false, (*view).task),
		get("/v1/taskdefs", "Task definitions by family and revision",
			query(paramLimit, paramNext("taskdefs"), param{"family", "only this family", checkName, false}), types.TaskDefs{},
			true, (*view).taskDefs),
		get("/v1/taskdefs/{id}", "One task definition: family:revision, or a family for its newest", query(), types.TaskDef{},
			false, (*view).taskDef),
		get("/v1/voters", "Holders of the log, and who leads", query(), types.Voters{}, true, (*view).voters),
		get("/v1/events", "What was done and why, oldest first; the newest ones unless after is given",
			query(paramLimit, paramAfter, paramAbout), types.Events{}, true, (*view).events),
		get("/v1/settings", "Settings of the fleet", query(), types.Settings{}, false, (*view).settings),
		tokens,
		{method: http.MethodGet, pattern: "/v1/events/stream", kind: kindStream, media: "text/event-stream",
			summary: "Events as they happen, as server-sent events (event, state, gap, resume, cut-off); resumed with " +
				"Last-Event-ID",
			query: []param{paramAfter, paramAbout}},
	}
}

func (a *API) writes() []route {
	write := func(method, pattern, summary string, params []param, body, answer any, status int,
		f func(*call) (*order, error)) route {
		return route{method: method, pattern: pattern, kind: kindWrite, summary: summary, query: params, body: body,
			answer: answer, status: status, write: f}
	}
	strict := []param{paramStrict}
	force := []param{paramForce}
	return []route{
		write(http.MethodPost, "/v1/taskdefs", "Register a task definition: ECS RegisterTaskDefinition's input", strict,
			ecsBody("task definition"), types.TaskDefWritten{}, http.StatusCreated, (*call).registerTaskDef),
		write(http.MethodPost, "/v1/services", "Create a service: ECS CreateService's input", strict, ecsBody("service"),
			types.ServiceWritten{}, http.StatusCreated, (*call).createService),
		write(http.MethodPatch, "/v1/services/{name}",
			"Change a service: ECS UpdateService's input; what is not given is kept", []param{paramStrict, paramExpect},
			ecsBody("service"), types.ServiceWritten{}, 0, (*call).updateService),
		write(http.MethodDelete, "/v1/services/{name}", "Delete a service; its tasks stop", []param{paramForce, paramExpect},
			types.ForceBody{}, types.ServiceWritten{}, 0, (*call).deleteService),
		write(http.MethodPost, "/v1/services/{name}/scale", "Change how many tasks a service keeps running",
			[]param{paramExpect}, types.ScaleBody{}, types.ServiceWritten{}, 0, (*call).scaleService),
		write(http.MethodPost, "/v1/tasks", "Start standalone tasks: ECS RunTask's input", strict, ecsBody("run"),
			types.TasksWritten{}, http.StatusCreated, (*call).runTasks),
		write(http.MethodDelete, "/v1/tasks/{id}", "Stop a task", []param{{"reason", "why, for people", anyText, true}},
			ecsBody("stop"), types.TasksWritten{}, 0, (*call).stopTask),
		write(http.MethodPost, "/v1/hosts/{id}/cordon", "Keep new tasks off a host", nil, types.CordonBody{},
			types.HostWritten{}, 0, (*call).cordon),
		write(http.MethodPost, "/v1/hosts/{id}/uncordon", "Let a host take new tasks again", nil, types.PlainBody{},
			types.HostWritten{}, 0, (*call).uncordon),
		write(http.MethodPost, "/v1/hosts/{id}/forget", "End a host's identity for ever", force, types.ForceBody{},
			types.HostWritten{}, 0, (*call).forget),
		write(http.MethodPost, "/v1/tokens", "Make a token; its text is in this answer only", nil, types.TokenBody{},
			types.TokenMade{}, http.StatusCreated, (*call).makeToken),
		write(http.MethodDelete, "/v1/tokens/{id}", "Revoke a token", nil, types.PlainBody{}, types.Written{}, 0,
			(*call).deleteToken),
		write(http.MethodPost, "/v1/fleet/finalize",
			"End an upgrade: raise the fleet's format to what every agent reads; older agents are refused from then on", force,
			types.ForceBody{}, types.FleetWritten{}, 0, (*call).finalize),
		write(http.MethodPut, "/v1/settings/{name}", "Change a setting", nil, types.SettingBody{}, types.SettingWritten{}, 0,
			(*call).putSetting),
	}
}

func (a *API) plains() []route {
	get := func(pattern, media, summary string, f http.HandlerFunc) route {
		return route{method: http.MethodGet, pattern: pattern, kind: kindPlain, media: media, summary: summary, plain: f}
	}
	return []route{
		get("/healthz", "text/plain", "200 while this agent answers", a.healthz),
		get("/readyz", "text/plain", "200 while this host does its work and hears the fleet", a.readyz),
		get("/metrics", "text/plain", "Metrics in Prometheus' words; those of the fleet on voters only", a.metrics.handler()),
		get("/openapi.json", "application/json", "This document", a.serveOpenAPI),
		get("/{$}", "text/html", "The status page", a.page("index.html")),
		get("/app.css", "text/css", "Its style", a.page("app.css")),
		get("/app.js", "text/javascript", "Its script", a.page("app.js")),
	}
}
