package plantest

import (
	"fmt"
	"strings"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Text is a plan as text: one clause a command, parted by "; ".
//
//	silence h1; lose h1; expire h1; return h1;
//	goals web max 8: web/2 x4 max 8; create web/2 x3;
//	stop web-1 web-2 (scale-in): reason; place new-01 on h1 port 8080;
//	wait service:web no-host-fits: message; clear service:web; probe h1 h2
//
// An empty plan is "nothing".
func Text(p plan.Plan) string {
	if lines := lines(p); len(lines) > 0 {
		return strings.Join(lines, "; ")
	}
	return "nothing"
}

func lines(p plan.Plan) []string {
	var lines []string
	for _, item := range p.Items {
		lines = append(lines, command(item))
	}
	if len(p.Probes) > 0 {
		lines = append(lines, "probe "+join(p.Probes))
	}
	return lines
}

func command(item fleet.Item) string {
	switch c := item.Command.(type) {
	case fleet.SilenceHost:
		if c.Flaps > 0 {
			return fmt.Sprintf("silence %s flaps %d", c.Host, c.Flaps)
		}
		return "silence " + string(c.Host)
	case fleet.LoseHost:
		return "lose " + string(c.Host)
	case fleet.ReturnHost:
		return "return " + string(c.Host)
	case fleet.ExpireTasks:
		return "expire " + string(c.Host)
	case fleet.PutGoals:
		return goals(c)
	case fleet.CreateTasks:
		return fmt.Sprintf("create %s x%d", c.Revision, len(c.Tasks))
	case fleet.StopTasks:
		return fmt.Sprintf("stop %s (%s): %s", join(c.Tasks), c.Cause, c.Reason)
	case fleet.PlaceTasks:
		shares := make([]string, len(c.Shares))
		for i, share := range c.Shares {
			shares[i] = "place " + join(share.Tasks) + " on " + string(share.Host) + ports(share.Ports)
		}
		return strings.Join(shares, "; ")
	case fleet.PutCondition:
		if c.Code == "" {
			return "clear " + c.Subject.String()
		}
		return fmt.Sprintf("wait %s %s: %s", c.Subject, c.Code, c.Message)
	default:
		return deployCommand(item)
	}
}

// goals is "goals web max 8: web/1 x4 max 8".
func goals(c fleet.PutGoals) string {
	var text strings.Builder
	fmt.Fprintf(&text, "goals %s max %d:", c.Service, c.Max)
	for _, r := range c.Revisions {
		if r.Idle {
			fmt.Fprintf(&text, " %s idle", r.Revision)
			continue
		}
		if r.Held {
			fmt.Fprintf(&text, " %s holds %d", r.Revision, r.Desired)
			continue
		}
		fmt.Fprintf(&text, " %s x%d max %d", r.Revision, r.Desired, r.Max)
	}
	return text.String()
}

func ports(lists [][]fleet.PortBinding) string {
	var text strings.Builder
	for _, list := range lists {
		for _, b := range list {
			fmt.Fprintf(&text, " port %d", b.HostPort)
		}
	}
	return text.String()
}

func join[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, " ")
}
