package ingress

import (
	"time"

	"skein/raftfsm/fleet"
)

// AccessLog is told of requests. Its methods are called from many goroutines, and must not
// wait.
type AccessLog interface {
	// Wants reports whether a request with this status is to be written: whether it is in
	// the sample. It is asked before an Access is made.
	Wants(status int) bool
	Write(Access)
}

// Access is one request.
type Access struct {
	Time     time.Time             `json:"time"`
	Listener fleet.ListenerName    `json:"listener"`
	Rule     fleet.RuleID          `json:"rule,omitempty"`
	Group    fleet.TargetGroupName `json:"targetGroup,omitempty"`
	Revision fleet.RevisionID      `json:"revision,omitempty"`
	Task     fleet.TaskID          `json:"task,omitempty"`
	Client   string                `json:"client"`
	Method   string                `json:"method"`
	Host     string                `json:"host"`
	Path     string                `json:"path"` // without its query, which may hold secrets
	Status   int                   `json:"status"`
	TookMS   float64               `json:"tookMs"` // until the answer began
	Retries  int                   `json:"retries,omitempty"`
}

func (x *exchange) access() Access {
	c := x.client
	a := Access{
		Method: string(c.head.Method), Host: string(c.head.Host), Path: string(c.head.Path),
	}
	a.fill(c, &x.choice, x.status, x.took)
	return a
}

func (a *Access) fill(c *client, h *choice, status int, took time.Duration) {
	a.Time, a.Listener, a.Client = c.engine.config.Clock.Now(), c.listener.noun.Name, c.source.Addr().String()
	a.Status, a.TookMS = status, float64(took.Microseconds())/1000
	a.Retries = h.tried.Len()
	if h.rule != nil {
		a.Rule = h.rule.Noun.ID
	}
	if t := h.target; t != nil {
		a.Group, a.Revision, a.Task = t.Group, t.Noun.Revision, t.Noun.Task
	}
}
