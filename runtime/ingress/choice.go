package ingress

import (
	"net/http"
	"time"

	"skein/runtime/ingress/route"
)

// choice is the way of one request, or connection, to a target.
type choice struct {
	request route.Request
	cookies route.Cookies // nil: there are none
	began   time.Duration // on the monotonic clock

	table  *route.Table // that rule and group are of
	ended  bool         // the listener is not in the table
	rule   *route.Rule  // nil: none takes it
	group  *route.Group // nil: the rule does not forward, or no group has weight
	target *route.Target
	line   [2][]byte // what is to be added to the answer: cookies of group and target
	tried  route.Tried
}

// find looks for rule and group in the table as it is now. Served: the listener is in it.
func (h *choice) find(c *client) (served bool) {
	h.table = c.engine.table.Load()
	h.rule, h.group = nil, nil
	l := h.table.Listeners[c.listener.noun.Name]
	if h.ended = l == nil; h.ended {
		return false
	}
	if h.rule = l.Find(&h.request); h.rule != nil && h.rule.Noun.Action.Forward != nil {
		h.group, h.line[0] = h.rule.Pick(&h.request, h.cookies, c.engine.config.Clock.Now)
	}
	return true
}

// unruled is the status of a request that no rule takes. A listener that is not in the table
// has just ended: another connection may find what this one does not.
func (h *choice) unruled() int {
	if h.ended {
		return http.StatusServiceUnavailable
	}
	return http.StatusNotFound
}

// take takes a target of the group, which is then to be released. If the group has none,
// and the table is another by now, what is in that counts: a request must not fail because
// its group's last target left while it came. It does not go to another group of the same
// table.
func (h *choice) take(c *client) bool {
	for {
		if h.group != nil {
			h.target, h.line[1] = h.group.Take(c.engine.config.Random, h.began, &h.tried, h.cookies)
			if h.target != nil {
				return true
			}
		}
		if h.table == c.engine.table.Load() || !h.find(c) {
			return false
		}
	}
}

// unserved counts a request for which its group had no target.
func (h *choice) unserved(status int) {
	if h.group != nil {
		h.group.Unserved.Observe(status, -1)
	}
}
