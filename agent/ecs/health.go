package ecs

import (
	"strings"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// healthCheck reads a check and gives it ECS's defaults. Source: ECS API, HealthCheck;
// httpGet is Skein's own.
func (r *reader) healthCheck(o *strictjson.Object) *fleet.HealthCheck {
	h := o.Object("healthCheck")
	if h == nil {
		return nil
	}
	check := &fleet.HealthCheck{
		Command:      readCheckCommand(h),
		HTTP:         r.httpGet(h),
		IntervalS:    int(h.Int("interval", 30, 5, 300)),
		TimeoutS:     int(h.Int("timeout", 5, 2, 60)),
		Retries:      int(h.Int("retries", 3, 1, 10)),
		StartPeriodS: int(h.Int("startPeriod", 0, 0, maxStartPeriod)),
	}
	switch {
	case h.Has("command") && h.Has("httpGet"):
		h.Refuse("httpGet", "given beside command; keep one")
	case !h.Has("command") && !h.Has("httpGet"):
		h.Refuse("command", `missing: ["CMD", program, ...], ["CMD-SHELL", line], or httpGet instead`)
	}
	return check
}

// readCheckCommand turns CMD, CMD-SHELL or a bare list into the program and
// arguments that are run.
func readCheckCommand(h *strictjson.Object) []string {
	if !h.Has("command") || h.Kind("command") != strictjson.List {
		h.Texts("command", maxArguments, maxArgument)
		return nil
	}
	words := h.Texts("command", maxArguments, maxArgument)
	if len(words) == 0 || len(words) != h.Length("command") {
		if h.Length("command") == 0 {
			h.Refuse("command", `empty: ["CMD", program, ...] or ["CMD-SHELL", line]`)
		}
		return nil
	}
	switch words[0] {
	case "CMD-SHELL":
		if len(words) != 2 || strings.TrimSpace(words[1]) == "" {
			h.Refuse("command", "CMD-SHELL takes exactly one line; quote it as one string")
			return nil
		}
		return []string{"/bin/sh", "-c", words[1]}
	case "CMD":
		words = words[1:]
	}
	return checkProgram(h, words)
}

// checkProgram refuses what no host can run as it is written: such a check would fail
// for ever, and each failure replaces a task.
func checkProgram(h *strictjson.Object, words []string) []string {
	if len(words) == 0 || words[0] == "" {
		h.Refuse("command", "CMD needs a program to run")
		return nil
	}
	line := lineOf(words[0])
	switch keyword := strings.ToUpper(words[0]); {
	case keyword == "CMD" || keyword == "CMD-SHELL":
		h.Refuse("command", "%q is no program; write %s", words[0], keyword)
	case line != words[0] || len(words) == 1 && strings.ContainsAny(line, " \t\n"):
		h.Refuse("command", `%q is one word; write ["CMD-SHELL", %q]`, strictjson.Show(words[0]), strictjson.Show(line))
	default:
		return words
	}
	return nil
}

// lineOf is a line without the keyword that somebody wrote into it.
func lineOf(word string) string {
	const parting = ", \t\n"
	for _, keyword := range []string{"CMD-SHELL", "CMD"} {
		at := len(keyword)
		if len(word) > at && strings.EqualFold(word[:at], keyword) && strings.ContainsRune(parting, rune(word[at])) {
			return strings.TrimLeft(word[at:], parting)
		}
	}
	return word
}

func (r *reader) httpGet(h *strictjson.Object) *fleet.HTTPCheck {
	get := h.Object("httpGet")
	if get == nil {
		return nil
	}
	if !get.Has("port") {
		get.Refuse("port", "missing: the container's port, 1 to 65535")
	}
	check := &fleet.HTTPCheck{Port: int(get.Int("port", 0, 1, 65535)), Path: get.Text("path", maxPath)}
	switch {
	case !get.Has("path"):
		check.Path = "/"
	case !strings.HasPrefix(check.Path, "/"):
		get.Refuse("path", "%q does not begin with /", strictjson.Show(check.Path))
	case strings.ContainsFunc(check.Path, func(c rune) bool { return c <= ' ' || c > '~' }):
		get.Refuse("path", "%q holds a space or a character outside ASCII; percent-encode it", strictjson.Show(check.Path))
	}
	if r.mode == fleet.NetworkNone {
		h.Refuse("httpGet", "the agent cannot reach a container with networkMode none; use command")
	}
	return check
}
