package sim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"skein/agent/deployment"
	"skein/agent/effects"
)

// hookRunners are twins of what carries out the calls of deployments, by the kind of the
// effect. What they answer is said by the world and by its seed.
var hookRunners = map[string]func(*World, effects.Request) (time.Duration, effects.Answer){
	deployment.KindWebhook: (*World).runWebhook,
	deployment.KindQuery:   (*World).runQuery,
	deployment.KindProbe:   (*World).runProbe,
	deployment.KindLogTail: (*World).runTail,
}

const (
	// hangs is longer than any effect may take.
	hangs = time.Hour
	// quick is about how long an answer takes that does not hang.
	quick = 300 * time.Millisecond
	// callsInProgress is how often a hook that takes its time is called until it is done.
	callsInProgress = 3
)

// runWebhook answers a webhook. The last part of its URL is how it behaves: ok, fail,
// progress (IN_PROGRESS at first), hang, down (nobody listens), flaky (the first attempt
// fails), twice (after its answer the opposite comes), liar (what is no verdict), junk (what
// no runner says), moody (by chance ok, fail or hang).
func (w *World) runWebhook(r effects.Request) (time.Duration, effects.Answer) {
	in, err := deployment.ReadWebhook(r.Input)
	var payload deployment.Payload
	if err == nil {
		err = json.Unmarshal(in.Body, &payload)
	}
	if err != nil || payload.ExecutionID == "" {
		w.watch.fail("hooks", fmt.Sprintf("a webhook is called with what it cannot read: %v, %s", err, in.Body))
		return 0, effects.Failed("unreadable")
	}
	w.webhooks[payload.ExecutionID]++
	behaviour := strings.TrimPrefix(in.URL, hookURL)
	if behaviour == "moody" {
		behaviour = [...]string{"ok", "ok", "fail", "hang"}[w.hooks.IntN(4)]
	}
	after := w.hooks.Between(quick/10, 3*quick)
	says := func(body string) (time.Duration, effects.Answer) {
		outcome, err := deployment.ParseAnswer([]byte(body)).Encode()
		if err != nil {
			w.watch.fail("hooks", err.Error())
		}
		return after, effects.Done(outcome)
	}
	switch behaviour {
	case "fail":
		return says(`{"hookStatus": "FAILED", "hookDetails": {"why": "as it was told"}}`)
	case "progress":
		if n := w.webhooks[payload.ExecutionID]; n < callsInProgress {
			w.sometimes("a hook asks to be called again")
			return says(fmt.Sprintf(`{"hookStatus": "IN_PROGRESS", "callBackDelay": 10, "hookDetails": {"calls": %d}}`, n))
		}
	case "hang":
		return hangs, effects.Retry("stopped")
	case "down":
		return after, effects.Retry("connection refused")
	case "flaky":
		if r.Attempt == 1 {
			return after, effects.Retry("connection reset")
		}
	case "liar":
		return says(`{"hookStatus": "FINE"}`)
	case "junk":
		return after, effects.Done([]byte("\xff\x00"))
	}
	return says(`{"hookStatus": "SUCCEEDED"}`)
}

// answersTwice reports whether the opposite comes after the answer to a request.
func answersTwice(r effects.Request) bool {
	in, err := deployment.ReadWebhook(r.Input)
	return r.Kind == deployment.KindWebhook && err == nil && strings.HasSuffix(in.URL, "/twice")
}

// secondAnswer is what comes after the answer of a webhook that answers twice.
func secondAnswer() effects.Answer {
	outcome, _ := deployment.Failure("it was wrong before").Encode() // a verdict can be encoded
	return effects.Done(outcome)
}

// runQuery answers a question for an alarm: see the operation "alarm".
func (w *World) runQuery(r effects.Request) (time.Duration, effects.Answer) {
	q, err := deployment.ReadQuery(r.Input)
	if err != nil {
		w.watch.fail("hooks", fmt.Sprintf("a question cannot be read: %v", err))
	}
	n := deployment.Numbers{Count: 1}
	if text, set := w.numbers[q.Query]; set {
		if text == "down" {
			return quick, effects.Retry("connection refused")
		}
		number, err := strconv.ParseFloat(text, 64)
		n.Least, n.Most = number, number
		if err != nil {
			n = deployment.NoNumbers("nothing is scraped")
		}
	}
	outcome, _ := n.Encode() // numbers can be encoded
	return w.hooks.Between(quick/10, quick), effects.Done(outcome)
}

// runProbe answers a probe of a path, /ok or another, which fails.
func (w *World) runProbe(r effects.Request) (time.Duration, effects.Answer) {
	p, err := deployment.ReadProbe(r.Input)
	if err != nil {
		w.watch.fail("hooks", fmt.Sprintf("a probe cannot be read: %v", err))
	}
	probed := deployment.Probed{Sent: p.Count, Well: p.Count}
	if p.Target != "/ok" {
		probed.Well, probed.Why = p.Count-1, "status 500"
	}
	outcome, _ := probed.Encode() // what came of it can be encoded
	return w.hooks.Between(quick, 5*quick), effects.Done(outcome)
}

// runTail answers with the last lines of a hook's task.
func (w *World) runTail(r effects.Request) (time.Duration, effects.Answer) {
	in, err := deployment.ReadLogTail(r.Input)
	if err != nil || w.truth.Task(in.Task) == nil {
		w.watch.fail("hooks", fmt.Sprintf("last lines of task %q are asked for: %v", in.Task, err))
	}
	outcome, _ := deployment.EncodeTail([]string{"the last line"}) // lines can be encoded
	return w.hooks.Between(quick/10, quick), effects.Done(outcome)
}
