package fleet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Limits on single fields of listeners and rules.
const (
	maxIdleS          = 4_000   // ELB, idle timeout
	maxBodyLimit      = 1 << 40 // bytes; more is a slip of the pen
	maxRuleTimeoutS   = 4_000   // as maxIdleS
	maxStickyS        = 604_800 // ELB API, TargetGroupStickinessConfig: seven days
	maxFixedBody      = 1_024   // ELB API, FixedResponseActionConfig
	maxContentType    = 128     //
	maxConditionValue = 128     // ELB API, RuleCondition
	maxHeaderName     = 40      // ELB API, HttpHeaderConditionConfig
	maxCertPath       = MaxName //
	maxOwner          = MaxName //
	minHTTPCode       = 200     //
	maxHTTPCode       = 599     //
)

// MakeRuleID is the id of a listener's rule.
func MakeRuleID(listener ListenerName, name string) RuleID {
	return RuleID(string(listener) + "/" + name)
}

// Split returns the listener and the rule's name; the name is empty where the id has none.
func (id RuleID) Split() (listener ListenerName, name string) {
	before, after, _ := strings.Cut(string(id), "/")
	return ListenerName(before), after
}

// Default reports whether the rule is its listener's default.
func (id RuleID) Default() bool {
	_, name := id.Split()
	return name == DefaultRule
}

func checkRuleID(at string, id RuleID) error {
	listener, name := id.Split()
	if checkName(at, string(listener), MaxName) != nil || checkName(at, name, MaxName) != nil {
		return field(at, "%s is no rule: \"listener/name\" is needed, of letters, digits and \"_-\"", quoted(string(id)))
	}
	return nil
}

// checkListenerFields refuses what a listener cannot be, whatever else is there.
func checkListenerFields(l *Listener) error {
	if l.Protocol < ListenHTTP || l.Protocol > ListenTLS {
		return field("protocol", "is %s: allowed are %q", l.Protocol, []string(listenerProtocolNames[1:]))
	}
	if !l.Protocol.PerRequest() && l.BodyLimit != 0 {
		return field("bodyLimitBytes", "is of requests: a %s listener has none", l.Protocol)
	}
	return first(
		checkName("name", string(l.Name), MaxName),
		checkRange("port", l.Port, 1, 65535),
		checkCertificates("certificates", l),
		checkAliasFields(l),
		checkRange("idleTimeoutSeconds", l.IdleTimeoutS, 0, maxIdleS),
		checkRange("bodyLimitBytes", l.BodyLimit, 0, maxBodyLimit),
		checkText("owner", l.Owner, maxOwner),
		checkTrustedProxies("trustedProxies", l),
	)
}

func checkTrustedProxies(at string, l *Listener) error {
	if len(l.TrustedProxies) > 0 && !l.ProxyProtocol {
		return field(at, "are who may send PROXY headers: the listener asks for none (proxyProtocol)")
	}
	if len(l.TrustedProxies) > MaxTrustedProxies {
		return field(at, "has %d entries: at most %d are allowed", len(l.TrustedProxies), MaxTrustedProxies)
	}
	for i, p := range l.TrustedProxies {
		if !p.IsValid() || p.Addr().Is4In6() || p != p.Masked() {
			return field(fmt.Sprintf("%s[%d]", at, i), "%s is no prefix of a network, such as 10.0.0.0/8", p)
		}
	}
	return nil
}

func checkCertificates(at string, l *Listener) error {
	if l.Protocol != ListenHTTPS {
		if len(l.Certificates) > 0 {
			return field(at, "are of HTTPS listeners: a %s listener has none", l.Protocol)
		}
		return nil
	}
	if err := checkRange(at, len(l.Certificates), 1, MaxCertificates); err != nil {
		return err
	}
	for i, c := range l.Certificates {
		one := fmt.Sprintf("%s[%d]", at, i)
		if err := first(checkFile(one+".certificateFile", c.Certificate), checkFile(one+".keyFile", c.Key)); err != nil {
			return err
		}
	}
	return nil
}

func checkFile(at, v string) error {
	if !strings.HasPrefix(v, "/") || strings.HasSuffix(v, "/") {
		return field(at, "%s is no absolute path of a file", quoted(v))
	}
	return checkText(at, v, maxCertPath)
}

// checkListenerPort refuses a port that cannot be free on every host.
func (s *State) checkListenerPort(l *Listener) error {
	if l.Alias != nil {
		return s.checkAliasTaken(l)
	}
	if set := s.fleet.Settings; set.dynamic(l.Port) {
		return field("port", "%d is in the range of dynamic ports (%d to %d): use one outside", l.Port,
			set.DynamicPortFirst, set.DynamicPortLast)
	}
	if other := s.ListenerAt(l.Port); other != nil && other.Name != l.Name {
		return refuse(ErrPortTaken, "listener %s: port %d is that of listener %s", l.Name, l.Port, other.Name)
	}
	for h := range s.Hosts() {
		if h.State == HostForgotten {
			continue
		}
		if int(h.Addr.Port()) == l.Port {
			return refuse(ErrPortTaken, "listener %s: port %d is the agent's own on %s", l.Name, l.Port, h.Name)
		}
		if use, taken := s.ports.Get(PortUse{Host: h.ID, Protocol: TCP, Port: l.Port}); taken {
			return refuse(ErrPortTaken, "listener %s: port %d is held by task %s (%s) on %s", l.Name, l.Port, use.Task,
				s.Task(use.Task).of(), h.Name)
		}
	}
	return nil
}

// checkDynamicPorts refuses settings by which tasks would be given the port of a listener.
func (s *State) checkDynamicPorts(setting string, set Settings) error {
	var refusal error
	s.listenerPorts.Ascend(set.DynamicPortFirst, func(port int, name ListenerName) bool {
		if set.dynamic(port) {
			refusal = refuse(ErrPortTaken, "%s: port %d of listener %s would be among the dynamic ports (%d to %d)", setting,
				port, name, set.DynamicPortFirst, set.DynamicPortLast)
		}
		return false
	})
	return refusal
}

// checkRuleFields refuses what a rule of a listener cannot be.
func (s *State) checkRuleFields(l *Listener, r *Rule) error {
	if !r.ID.Default() && l.Protocol == ListenTCP {
		return field("id", "listener %s is of TCP, where connections say nothing to choose by: it has its default rule alone",
			l.Name)
	}
	return first(
		s.checkPriority(r),
		checkConditions("conditions", l.Protocol, r),
		s.checkAction("action", l.Protocol, &r.Action),
		checkRange("timeoutSeconds", r.TimeoutS, 0, maxRuleTimeoutS),
		checkText("owner", r.Owner, maxOwner),
	)
}

func (s *State) checkPriority(r *Rule) error {
	if r.ID.Default() {
		if r.Priority != 0 {
			return field("priority", "is %d: the default rule comes last and has none", r.Priority)
		}
		return nil
	}
	if err := checkRange("priority", r.Priority, 1, MaxPriority); err != nil {
		return err
	}
	for other := range s.RulesOf(r.Listener) {
		if other.Priority == r.Priority && other.ID != r.ID {
			return refuse(ErrConflict, "rule %s: priority %d is that of rule %s", r.ID, r.Priority, other.ID)
		}
	}
	return nil
}

func checkConditions(at string, protocol ListenerProtocol, r *Rule) error {
	if r.ID.Default() {
		if len(r.Conditions) > 0 {
			return field(at, "the default rule takes what no other takes, and has none")
		}
		return nil
	}
	if err := checkRange(at, len(r.Conditions), 1, MaxConditionsRule); err != nil {
		return err
	}
	values := 0
	for i := range r.Conditions {
		c := &r.Conditions[i]
		if err := checkCondition(fmt.Sprintf("%s[%d]", at, i), protocol, c); err != nil {
			return err
		}
		values += len(c.Values)
	}
	if values > MaxConditionTexts {
		return field(at, "have %d values together: at most %d are allowed", values, MaxConditionTexts)
	}
	return nil
}

func checkCondition(at string, protocol ListenerProtocol, c *RuleCondition) error {
	if c.Field < FieldHost || c.Field > FieldSource {
		return field(at+".field", "is %s: allowed are %q", c.Field, []string(conditionFieldNames[1:]))
	}
	if protocol == ListenTLS && c.Field != FieldHost {
		return field(at+".field", "is %s: of a TLS connection no more than the host it asks for is seen", c.Field)
	}
	named := c.Field == FieldHeader || c.Field == FieldQuery
	switch {
	case !named && c.Name != "":
		return field(at+".name", "a condition on %s has none", c.Field)
	case c.Field == FieldHeader && (c.Name == "" || len(c.Name) > maxHeaderName || !isToken(c.Name)):
		return field(at+".name", "%s is no name of a header of at most %d characters", quoted(c.Name), maxHeaderName)
	}
	if err := first(
		checkText(at+".name", c.Name, maxConditionValue),
		checkRange(at+".values", len(c.Values), 1, MaxConditionTexts),
	); err != nil {
		return err
	}
	for i, v := range c.Values {
		if err := checkConditionText(fmt.Sprintf("%s.values[%d]", at, i), c.Field, v); err != nil {
			return err
		}
	}
	return nil
}

func checkConditionText(at string, of ConditionField, v string) error {
	if v == "" && of != FieldQuery && of != FieldHeader {
		return field(at, "is empty")
	}
	switch of {
	case FieldHost, FieldHeader, FieldQuery:
	case FieldPath:
		if !strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "*") {
			return field(at, "%s begins with neither / nor *: no path is like that", quoted(v))
		}
	case FieldMethod:
		if !isToken(v) || strings.ToUpper(v) != v {
			return field(at, "%s is no method: they are like GET", quoted(v))
		}
	case FieldSource:
		if p, err := netip.ParsePrefix(v); err != nil || p != p.Masked() {
			return field(at, "%s is no range of addresses: they are like 10.0.0.0/8", quoted(v))
		}
	}
	return checkText(at, v, maxConditionValue)
}

// isToken reports whether a text is one that HTTP has for names.
func isToken(v string) bool {
	for _, c := range []byte(v) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return v != ""
}

func (s *State) checkAction(at string, protocol ListenerProtocol, a *Action) error {
	set := 0
	for _, is := range []bool{a.Forward != nil, a.Fixed != nil, a.Redirect != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return field(at, "has %d of forward, fixedResponse and redirect: exactly one is needed", set)
	}
	if a.Forward != nil {
		return s.checkForward(at+".forward", protocol, a.Forward)
	}
	if !protocol.PerRequest() {
		return field(at, "answers requests: a %s listener can only forward", protocol)
	}
	if a.Fixed != nil {
		return checkFixed(at+".fixedResponse", a.Fixed)
	}
	return checkRedirect(at+".redirect", a.Redirect)
}

func (s *State) checkForward(at string, protocol ListenerProtocol, f *Forward) error {
	if err := checkRange(at+".stickySeconds", f.StickyS, 0, maxStickyS); err != nil {
		return err
	}
	switch {
	case !protocol.PerRequest() && f.StickyS != 0:
		return field(at+".stickySeconds", "is kept by a cookie: a %s listener cannot", protocol)
	case !protocol.PerRequest() && f.StickyHeader != "":
		return field(at+".stickyHeader", "is of requests: a %s listener sees none", protocol)
	case f.StickyS != 0 && f.StickyHeader != "":
		return field(at+".stickyHeader", "clients are kept by a header or by a cookie (stickySeconds), not by both")
	case f.StickyHeader != "" && (len(f.StickyHeader) > maxHeaderName || !isToken(f.StickyHeader)):
		return field(at+".stickyHeader", "%s is no name of a header of at most %d characters", quoted(f.StickyHeader),
			maxHeaderName)
	}
	return s.checkWeights(at+".targetGroups", protocol, f.Groups)
}

// checkWeights refuses shares of groups that a rule of a listener cannot have.
func (s *State) checkWeights(at string, protocol ListenerProtocol, groups []GroupWeight) error {
	if err := checkRange(at, len(groups), 1, MaxForwardGroups); err != nil {
		return err
	}
	sum := 0
	for i, w := range groups {
		one := fmt.Sprintf("%s[%d]", at, i)
		g := s.TargetGroup(w.Group)
		if g == nil {
			return refuse(ErrNotFound, "%s.targetGroup: target group %s", one, quoted(string(w.Group)))
		}
		if g.Protocol.PerRequest() != protocol.PerRequest() {
			return field(one+".targetGroup", "%s is of %s, which a %s listener cannot forward to", g.Name, g.Protocol, protocol)
		}
		if slices.ContainsFunc(groups[:i], func(o GroupWeight) bool { return o.Group == w.Group }) {
			return field(one+".targetGroup", "%s is named twice", g.Name)
		}
		if err := checkRange(one+".weight", w.Weight, 0, TotalWeight); err != nil {
			return err
		}
		sum += w.Weight
	}
	if sum != TotalWeight {
		return field(at, "have weights that sum to %d: %d is all of the traffic", sum, TotalWeight)
	}
	return nil
}

func checkFixed(at string, f *FixedResponse) error {
	if err := first(
		checkRange(at+".statusCode", f.Status, minHTTPCode, maxHTTPCode),
		checkText(at+".contentType", f.ContentType, maxContentType),
	); err != nil {
		return err
	}
	if HasNoBody(f.Status) && (f.Body != "" || f.ContentType != "") {
		return field(at+".statusCode", "is %d: an answer of that status has neither messageBody nor contentType", f.Status)
	}
	return checkValue(at+".messageBody", f.Body, maxFixedBody)
}

// HasNoBody reports whether answers of the status never have a body. RFC 9110, 6.4.1.
func HasNoBody(status int) bool { return status < 200 || status == 204 || status == 304 }

func checkRedirect(at string, r *Redirect) error {
	if r.Status != 301 && r.Status != 302 {
		return field(at+".statusCode", "is %d: 301 and 302 are allowed", r.Status)
	}
	if r.Protocol != "" && r.Protocol != "HTTP" && r.Protocol != "HTTPS" {
		return field(at+".protocol", "is %s: HTTP and HTTPS are allowed", quoted(r.Protocol))
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		return field(at+".path", "%s does not begin with a slash", quoted(r.Path))
	}
	if *r == (Redirect{Status: r.Status}) {
		return field(at, "changes nothing of the URL: clients would come back for ever")
	}
	return first(
		checkText(at+".host", r.Host, MaxHostName),
		checkRange(at+".port", r.Port, 0, 65535),
		checkText(at+".path", r.Path, maxURL),
		checkText(at+".query", r.Query, maxURL),
	)
}
