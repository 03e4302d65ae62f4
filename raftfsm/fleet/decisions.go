package fleet

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// decide records what was done in the ring of decisions. The item's By and
// Reason win over the defaults in d.
func (s *State) decide(x *context, d Decision) {
	d.Seq, d.Index, d.At = s.lastDecision+1, x.index, x.now
	if x.item.By != "" {
		d.By = x.item.By
	} else if d.By == "" {
		d.By = "operator"
	}
	if x.item.Reason != "" {
		d.Message = x.item.Reason
	}
	d.By, d.Message = clip(d.By, MaxID), clip(d.Message, maxMessage)
	s.lastDecision = d.Seq
	s.addDecision(&d)
	for s.decisions.Len() > MaxDecisions || s.decisionMem > MaxDecisionMem {
		_, oldest, _ := s.decisions.PopMin()
		s.decisionMem -= decisionSize(oldest)
	}
	x.out.Touched.Decisions = true
}

func (s *State) addDecision(d *Decision) {
	s.decisions.Set(d.Seq, d)
	s.decisionMem += decisionSize(d)
}

// decisionSize is about what a decision takes in memory: its texts, and the
// fixed parts of the rows.
func decisionSize(d *Decision) int {
	n := 128 + len(d.By) + len(d.Code) + len(d.About) + len(d.Message)
	for _, c := range d.Counts {
		n += 24 + len(c.Name)
	}
	return n
}

// clip makes a text valid UTF-8 of at most max bytes.
func clip(text string, max int) string {
	if text = strings.ToValidUTF8(text, "?"); len(text) <= max {
		return text
	}
	for max > 0 && !utf8.RuneStart(text[max]) {
		max--
	}
	return text[:max]
}

// some is "1 task", "2 tasks".
func some(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short is the head of a task id, enough for people.
func (id TaskID) short() string {
	if len(id) > 8 {
		return string(id[:8])
	}
	return string(id)
}

// of names what a task belongs to, for people: "web" or "a standalone task".
func (t *Task) of() string {
	if t.Service != "" {
		return t.Service
	}
	family, _ := t.TaskDef.Split()
	return family + " (standalone)"
}

// subject is what a decision about a task is filed under.
func (t *Task) subject() string {
	if t.Service != "" {
		return AboutService(t.Service)
	}
	return AboutTask(t.ID)
}

func aboutHost(h *Host) string { return "host:" + h.Name }
