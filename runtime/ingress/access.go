package ingress

import (
	"time"
	"unicode/utf8"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
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
	// Sampled says that the line stands for so many requests like it; 0: for itself alone.
	Sampled int `json:"sampled,omitempty"`
	// Dropped is how many lines were lost before this one: too many came, or the disk
	// took none.
	Dropped uint64 `json:"dropped,omitempty"`
}

// accessText bounds what a client can have written of each of its texts, in bytes.
const accessText = 512

// clip is a text that a client sent, cut, and harmless to a reader and a terminal.
func clip[T string | []byte](sent T) string {
	return text.Clean(text.Cut(string(sent[:min(len(sent), accessText+utf8.UTFMax)]), accessText))
}

func (x *exchange) access() Access {
	c := x.client
	a := Access{
		Method: clip(c.head.Method), Host: clip(c.head.Host), Path: clip(c.head.Path),
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
