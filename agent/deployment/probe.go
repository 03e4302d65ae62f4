package deployment

import (
	"fmt"
	"net/textproto"
	"net/url"
	"strings"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/text"
	"skein/raftfsm/fleet/wire"
)

// KindProbe is the kind of effects that send requests by the test rule. Their role is
// any voter, which asks its own ingress.
const KindProbe = "probe"

// Probe is the input of an effect that probes a service's target revision.
type Probe struct {
	Port      int      `cbor:"1,keyasint"`           // of the listener
	TLS       bool     `cbor:"2,keyasint,omitempty"` // the listener's own certificate is taken as it is
	Host      string   `cbor:"3,keyasint,omitempty"`
	Target    string   `cbor:"4,keyasint"`           // path and query
	Headers   []Header `cbor:"5,keyasint,omitempty"` // that the test rule asks for
	Count     int      `cbor:"6,keyasint"`
	Status    int      `cbor:"7,keyasint,omitempty"` // 0: 200 to 399
	Contains  string   `cbor:"8,keyasint,omitempty"`
	LatencyMs int      `cbor:"9,keyasint"`
	Method    string   `cbor:"10,keyasint,omitempty"` // empty: GET
	// Alias is the number of a listener's alias, at whose address each host has the port; 0:
	// the port is the host's own. Proxy: connections begin with a PROXY header.
	Alias int  `cbor:"11,keyasint,omitempty"`
	Proxy bool `cbor:"12,keyasint,omitempty"`
}

// Header is a header of a request.
type Header struct {
	Name  string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint"`
}

// defaultLatencyMs is the most that an answer may take where a probe says nothing.
const defaultLatencyMs = 10_000

// ProbeInput is the input of a probe through a listener by its test rule: requests that
// the rule takes. Refused when no request could be one: a TCP listener, a source.
func ProbeInput(p *fleet.Probe, l *fleet.Listener, rule *fleet.Rule) ([]byte, error) {
	if !l.Protocol.PerRequest() {
		return nil, fmt.Errorf("listener %s speaks %s: a probe needs HTTP or HTTPS", l.Name, l.Protocol)
	}
	in := Probe{
		Port: l.Port, TLS: l.Protocol == fleet.ListenHTTPS, Host: p.Host, Target: p.Path, Count: p.Count,
		Status: p.Status, Contains: p.Contains, LatencyMs: p.LatencyMs, Proxy: l.ProxyProtocol,
	}
	if l.Alias != nil {
		in.Alias = l.Alias.Number
	}
	if in.LatencyMs == 0 {
		in.LatencyMs = defaultLatencyMs
	}
	if in.Target == "" {
		in.Target = "/"
	}
	for i := range rule.Conditions {
		if err := in.satisfy(&rule.Conditions[i]); err != nil {
			return nil, fmt.Errorf("rule %s: %w", rule.ID, err)
		}
	}
	return wire.Marshal(in)
}

// satisfy has the requests fulfil a condition. The path is the probe's own: where the
// rule asks for another, requests get what the next rule answers, and fail by that.
func (in *Probe) satisfy(c *fleet.RuleCondition) error {
	if len(c.Values) == 0 {
		return fmt.Errorf("%s names no value", c.Field)
	}
	value := literal(c.Values[0])
	switch c.Field {
	case fleet.FieldHost:
		if in.Host == "" {
			in.Host = value
		}
	case fleet.FieldHeader:
		in.Headers = append(in.Headers, Header{textproto.CanonicalMIMEHeaderKey(c.Name), value})
	case fleet.FieldMethod:
		in.Method = c.Values[0]
	case fleet.FieldQuery:
		in.addQuery(c.Name, value)
	case fleet.FieldSource:
		return fmt.Errorf("%s cannot be chosen by a probe", c.Field)
	case fleet.FieldPath:
	}
	return nil
}

func (in *Probe) addQuery(key, value string) {
	sign := "?"
	if strings.Contains(in.Target, "?") {
		sign = "&"
	}
	pair := url.QueryEscape(value)
	if key != "" {
		pair = url.QueryEscape(key) + "=" + pair
	}
	in.Target += sign + pair
}

// literal is a text that fits a pattern.
func literal(pattern string) string { return strings.NewReplacer("*", "x", "?", "x").Replace(pattern) }

// ReadProbe is the inverse of ProbeInput.
func ReadProbe(input []byte) (p Probe, err error) { return p, wire.Unmarshal(input, &p) }

// Probed is what came of a probe.
type Probed struct {
	Sent int `cbor:"1,keyasint"`
	Well int `cbor:"2,keyasint"`
	// Why is what was wrong with the first that was not well, for people.
	Why    string `cbor:"3,keyasint,omitempty"`
	WorstM int    `cbor:"4,keyasint,omitempty"` // the longest that an answer took, in ms
}

// Encode is the outcome of an effect.
func (p Probed) Encode() ([]byte, error) {
	p.Why = text.Cut(text.Clean(p.Why), maxWhy)
	return wire.Marshal(p)
}

// ReadProbed is the verdict that the outcome of a probe gives: all requests must be well.
func ReadProbed(outcome []byte) Verdict {
	var p Probed
	if err := wire.Unmarshal(outcome, &p); err != nil {
		return Failure("its runner's outcome cannot be read: " + err.Error())
	}
	if p.Sent > 0 && p.Well == p.Sent {
		return Verdict{Status: fleet.HookSucceeded,
			Answer: fmt.Sprintf("%d requests were well, the slowest took %d ms", p.Sent, p.WorstM)}
	}
	return Failure(fmt.Sprintf("%d of %d requests were not well: %s", p.Sent-p.Well, p.Sent, p.Why))
}

// Judge is what is wrong with an answer to one request, empty when nothing is.
func (p *Probe) Judge(status int, body string, tookMs int) string {
	switch {
	case p.Status == 0 && (status < 200 || status > 399):
		return fmt.Sprintf("status %d, 200 to 399 is needed", status)
	case p.Status != 0 && status != p.Status:
		return fmt.Sprintf("status %d, %d is needed", status, p.Status)
	case tookMs > p.LatencyMs:
		return fmt.Sprintf("the answer took %d ms, at most %d are allowed", tookMs, p.LatencyMs)
	case !strings.Contains(body, p.Contains):
		return fmt.Sprintf("the answer does not contain %q: %s", p.Contains, shown([]byte(body)))
	}
	return ""
}
