package deployment

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
	"skein/raftfsm/fleet/wire"
)

// KindWebhook is the kind of effects that call a webhook. Their role is any voter.
const KindWebhook = "webhook"

// Webhook is the input of an effect that calls a webhook.
type Webhook struct {
	URL        string `cbor:"1,keyasint"`
	SecretFile string `cbor:"2,keyasint,omitempty"` // on the voters; empty: the request is not signed
	Body       []byte `cbor:"3,keyasint"`           // JSON of a Payload
}

// WebhookInput is the input of a call of a webhook for a run, with the details that the
// hook is given: those of the hook's definition, merged with what it gave back before.
func WebhookInput(d *fleet.Deployment, run *fleet.HookRun, target fleet.WebhookTarget, details []byte) ([]byte, error) {
	body, err := json.Marshal(NewPayload(d, run, details))
	if err != nil {
		return nil, fmt.Errorf("payload of hook %s: %w", run.Hook, err)
	}
	return wire.Marshal(Webhook{URL: target.URL, SecretFile: target.SecretFile, Body: body})
}

// ReadWebhook is the inverse of WebhookInput.
func ReadWebhook(input []byte) (w Webhook, err error) { return w, wire.Unmarshal(input, &w) }

// Verdict is what a hook said, or why nothing it said is taken for a verdict.
type Verdict struct {
	// Status is HookSucceeded, HookFailed, or HookInProgress: then it is called again
	// after CallBackS.
	Status    fleet.HookStatus `cbor:"1,keyasint"`
	CallBackS int              `cbor:"2,keyasint,omitempty"`
	Details   []byte           `cbor:"3,keyasint,omitempty"` // it gave back, a JSON object; see MergeDetails
	Answer    string           `cbor:"4,keyasint,omitempty"` // for people
}

// Failure is the verdict of a hook that surely will not succeed.
func Failure(why string) Verdict {
	return Verdict{Status: fleet.HookFailed, Answer: text.Cut(text.Clean(why), maxWhy)}
}

// Encode is the verdict as the outcome of an effect.
func (v Verdict) Encode() ([]byte, error) { return wire.Marshal(v) }

// ReadVerdict is the inverse of Encode. An outcome that is none fails the hook: the
// build that made it said something that this one does not know.
func ReadVerdict(outcome []byte) Verdict {
	var v Verdict
	if err := wire.Unmarshal(outcome, &v); err != nil {
		return Failure("its runner's outcome cannot be read: " + err.Error())
	}
	if v.Status != fleet.HookSucceeded && v.Status != fleet.HookInProgress {
		v.Status = fleet.HookFailed
	}
	v.Answer = text.Cut(text.Clean(v.Answer), maxWhy)
	return v
}

// ParseAnswer judges the body of an answer to a webhook, {"hookStatus": ...,
// "callBackDelay": seconds, "hookDetails": {...}}. All that does not say clearly that the
// hook succeeded, or goes on, has failed, as ECS has it.
func ParseAnswer(body []byte) Verdict {
	if len(body) > MaxAnswer {
		return Failure(fmt.Sprintf("its answer has more than %d bytes", MaxAnswer))
	}
	fields, err := object(body)
	if err != nil {
		return Failure(fmt.Sprintf("its answer is %v: %s", err, shown(body)))
	}
	v, why := Verdict{}, ""
	if v.Status, why = hookStatus(fields["hookStatus"]); why != "" {
		return Failure(why + ": " + shown(body))
	}
	if v.Status == fleet.HookInProgress {
		if v.CallBackS, why = callBack(fields["callBackDelay"]); why != "" {
			return Failure(why)
		}
	}
	if details := fields["hookDetails"]; len(details) > 0 && string(details) != "null" {
		if err := CheckDetails(details); err != nil {
			return Failure(fmt.Sprintf("its hookDetails are not taken: %v", err))
		}
		v.Details = details
	}
	v.Answer = text.Cut(text.Clean(string(fields["hookStatus"])), maxWhy)
	if v.Details != nil {
		v.Answer = shown(v.Details)
	}
	return v
}

func hookStatus(field json.RawMessage) (status fleet.HookStatus, why string) {
	var name string
	switch err := json.Unmarshal(field, &name); {
	case len(field) == 0:
		return 0, "its answer has no hookStatus"
	case err != nil:
		return 0, "its hookStatus is no text"
	}
	switch name {
	case "SUCCEEDED":
		return fleet.HookSucceeded, ""
	case "FAILED":
		return fleet.HookFailed, ""
	case "IN_PROGRESS":
		return fleet.HookInProgress, ""
	default:
		return 0, "its hookStatus is neither SUCCEEDED, FAILED nor IN_PROGRESS"
	}
}

func callBack(field json.RawMessage) (seconds int, why string) {
	if len(field) == 0 || string(field) == "null" {
		return DefaultCallBackS, ""
	}
	var delay float64
	if err := json.Unmarshal(field, &delay); err != nil || delay < 0 {
		return 0, fmt.Sprintf("its callBackDelay is no number of seconds: %s", shown(field))
	}
	return int(max(minCallBackS, min(math.Ceil(delay), maxCallBackS))), ""
}

// shown is an answer as people are shown it: its beginning, on one line.
func shown(answer []byte) string {
	return text.Cut(text.Clean(strings.Join(strings.Fields(text.Cut(string(answer), 4*maxWhy)), " ")), 200)
}
