package ecs

import (
	"strings"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet/text"
)

// Run is RunTask as read.
type Run struct {
	TaskDef   string // "family" or "family:revision"
	Count     int    // 1 to 10
	StartedBy string
	Group     string // empty: "family:<family>" is taken
	Token     string
	Warnings  []strictjson.Warning
}

// ReadRun reads standalone tasks to start. Errors as those of ReadTaskDef.
func ReadRun(data []byte, opts Options) (Run, error) {
	doc, err := strictjson.Parse(data, MaxDocument)
	if err != nil {
		return Run{}, err
	}
	p := &strictjson.Problems{}
	runTable.Audit(doc, opts.Strict, p)
	o := strictjson.Root(doc, p)
	r := Run{
		TaskDef:   readTaskDefinition(o),
		Count:     int(o.Int("count", 1, 1, maxRun)),
		StartedBy: readCaller(o, "startedBy", maxStartedBy),
		Group:     readCaller(o, "group", maxGroup),
		Token:     readToken(o, maxRunToken),
	}
	if !o.Has("taskDefinition") {
		o.Refuse("taskDefinition", "missing: family, or family:revision")
	}
	if strings.HasPrefix(r.Group, "service:") {
		o.Refuse("group", "%q: groups that begin with service: belong to services", r.Group)
	}
	if err := p.Err(); err != nil {
		return Run{}, err
	}
	r.Warnings = p.Warnings()
	return r, nil
}

func readCaller(o *strictjson.Object, field string, most int) string {
	text := o.Text(field, most)
	if !callerForm.MatchString(text) {
		o.Refuse(field, "%q: letters, digits, spaces and _/.:@+=-", strictjson.Show(text))
		return ""
	}
	return text
}

// Stop is StopTask as read.
type Stop struct {
	Task     string // empty when named elsewhere
	Reason   string
	Token    string
	Warnings []strictjson.Warning
}

// ReadStop reads why a task is to stop. Errors as those of ReadTaskDef.
func ReadStop(data []byte, opts Options) (Stop, error) {
	doc, err := strictjson.Parse(data, MaxDocument)
	if err != nil {
		return Stop{}, err
	}
	p := &strictjson.Problems{}
	stopTable.Audit(doc, opts.Strict, p)
	o := strictjson.Root(doc, p)
	s := Stop{Task: o.Text("task", maxName), Reason: o.Text("reason", maxReason), Token: readToken(o, maxRunToken)}
	if strings.ContainsFunc(s.Reason, text.Unprintable) {
		o.Refuse("reason", "holds control characters")
	}
	if err := p.Err(); err != nil {
		return Stop{}, err
	}
	s.Warnings = p.Warnings()
	return s, nil
}
