package fleet

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits on single fields of traffic.
const (
	maxIdleS          = 4_000    // ELB, idle timeout
	maxBodyLimit      = 1 << 40  // bytes; more is a slip of the pen
	maxRuleTimeoutS   = 4_000    // as maxIdleS
	maxStickyS        = 604_800  // ELB API, TargetGroupStickinessConfig: seven days
	maxFixedBody      = 1_024    // ELB API, FixedResponseActionConfig
	maxContentType    = 128      //
	maxConditionValue = 128      // ELB API, RuleCondition
	maxHeaderName     = 40       // ELB API, HttpHeaderConditionConfig
	maxDeregistration = 3_600    // seconds; ELB API, TargetGroupAttribute
	minSlowStartS     = 30       // ELB API, TargetGroupAttribute
	maxSlowStartS     = 900      //
	maxCheckInterval  = 300      // seconds; ELB API, TargetGroup. The floor is lower than there: 1
	maxCheckTimeout   = 120      //
	maxCheckCount     = 10       // of answers in a row; ELB API, TargetGroup. The floor is lower than there: 1
	maxMatcher        = 128      //
	maxCertPath       = MaxName  //
	maxOwner          = MaxName  //
	maxMatchedCodes   = 100      // ranges and codes of a matcher
	maxGRPCCode       = 99       // ELB API, Matcher
	minHTTPCode       = 200      //
	maxHTTPCode       = 599      //
	maxTargetReason   = maxImage // bytes of a report's reason that are kept
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
		return field("bodyLimit", "is of requests: a %s listener has none", l.Protocol)
	}
	return first(
		checkName("name", string(l.Name), MaxName),
		checkRange("port", l.Port, 1, 65535),
		checkCertificates("certificates", l),
		checkRange("idleTimeoutSeconds", l.IdleTimeoutS, 0, maxIdleS),
		checkRange("bodyLimit", l.BodyLimit, 0, maxBodyLimit),
		checkText("owner", l.Owner, maxOwner),
	)
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
		if err := first(checkFile(one+".certificate", c.Certificate), checkFile(one+".key", c.Key)); err != nil {
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
	if set := s.fleet.Settings; set.dynamic(l.Port) {
		return field("port", "%d is in the range of dynamic ports (%d to %d): use one outside", l.Port,
			set.DynamicPortFirst, set.DynamicPortLast)
	}
	for other := range s.Listeners() {
		if other.Port == l.Port && other.Name != l.Name {
			return refuse(ErrPortTaken, "listener %s: port %d is that of listener %s", l.Name, l.Port, other.Name)
		}
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
	if !protocol.PerRequest() && f.StickyS != 0 {
		return field(at+".stickySeconds", "is kept by a cookie: a %s listener cannot", protocol)
	}
	return s.checkWeights(at+".groups", protocol, f.Groups)
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
			return refuse(ErrNotFound, "%s.group: target group %s", one, quoted(string(w.Group)))
		}
		if g.Protocol.PerRequest() != protocol.PerRequest() {
			return field(one+".group", "%s is of %s, which a %s listener cannot forward to", g.Name, g.Protocol, protocol)
		}
		if slices.ContainsFunc(groups[:i], func(o GroupWeight) bool { return o.Group == w.Group }) {
			return field(one+".group", "%s is named twice", g.Name)
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
	return checkValue(at+".messageBody", f.Body, maxFixedBody)
}

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

// checkGroupFields refuses what a target group cannot be.
func checkGroupFields(g *TargetGroup) error {
	if g.Protocol < GroupHTTP1 || g.Protocol > GroupTCP {
		return field("protocol", "is %s: allowed are %q", g.Protocol, []string(groupProtocolNames[1:]))
	}
	if g.SlowStartS != 0 {
		if err := checkRange("slowStartSeconds", g.SlowStartS, minSlowStartS, maxSlowStartS); err != nil {
			return err
		}
	}
	if !g.Protocol.PerRequest() && g.StickyS != 0 {
		return field("stickySeconds", "is kept by a cookie: a group of %s cannot", g.Protocol)
	}
	return first(
		checkName("name", string(g.Name), MaxName),
		checkTargetCheck("check", g),
		checkRange("deregistrationDelaySeconds", g.DeregistrationDelayS, 0, maxDeregistration),
		checkRange("stickySeconds", g.StickyS, 0, maxStickyS),
		checkText("owner", g.Owner, maxOwner),
	)
}

func checkTargetCheck(at string, g *TargetGroup) error {
	c := &g.Check
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		return field(at+".path", "%s does not begin with a slash", quoted(c.Path))
	}
	if c.Path == "" && c.Matcher != "" {
		return field(at+".matcher", "is of answers: without a path a connection is enough")
	}
	if c.TimeoutS > c.IntervalS {
		return field(at+".timeoutSeconds", "is %d: it may not be above intervalSeconds (%d)", c.TimeoutS, c.IntervalS)
	}
	return first(
		checkText(at+".path", c.Path, maxURL),
		checkRange(at+".port", c.Port, 0, 65535),
		checkMatcher(at+".matcher", g.Protocol, c.Matcher),
		checkRange(at+".intervalSeconds", c.IntervalS, 1, maxCheckInterval),
		checkRange(at+".timeoutSeconds", c.TimeoutS, 1, maxCheckTimeout),
		checkRange(at+".healthyThreshold", c.Healthy, 1, maxCheckCount),
		checkRange(at+".unhealthyThreshold", c.Unhealthy, 1, maxCheckCount),
	)
}

// checkMatcher allows codes and ranges of them: "200", "200-299", "200,204".
func checkMatcher(at string, protocol GroupProtocol, v string) error {
	if v == "" {
		return nil
	}
	if len(v) > maxMatcher {
		return field(at, "is %d bytes long: at most %d are allowed", len(v), maxMatcher)
	}
	low, high := minHTTPCode, maxHTTPCode
	if protocol == GroupGRPC {
		low, high = 0, maxGRPCCode
	}
	for part := range strings.SplitSeq(v, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		a, errA := strconv.Atoi(from)
		b, errB := strconv.Atoi(to)
		if errA != nil || errB != nil || a < low || b > high || a > b {
			return field(at, "%s is no code or range of codes from %d to %d, like \"%d\" or \"%d-%d\"", quoted(part), low, high,
				low, low, high)
		}
	}
	return nil
}

// checkTargetReports allows what a host may say of a task's targets.
func checkTargetReports(at string, list []TargetReport) error {
	if len(list) > MaxLoadBalancers {
		return field(at, "has %d entries: at most %d are allowed", len(list), MaxLoadBalancers)
	}
	for i, r := range list {
		if r.State < TargetInitial || r.State > TargetUnhealthy {
			return field(fmt.Sprintf("%s[%d].state", at, i), "is %s: initial, healthy and unhealthy are allowed", r.State)
		}
	}
	return nil
}

// checkLoadBalancers refuses what tasks of a definition, or another service, do not
// allow a service to be bound to.
func (s *State) checkLoadBalancers(service string, list []LoadBalancer, def *TaskDef) error {
	if len(list) > MaxLoadBalancers {
		return field("loadBalancers", "has %d entries: at most %d are allowed", len(list), MaxLoadBalancers)
	}
	groups, rules := map[TargetGroupName]bool{}, map[RuleID]bool{}
	for i := range list {
		lb, at := &list[i], fmt.Sprintf("loadBalancers[%d]", i)
		if err := first(
			checkBoundPort(at, lb, def),
			s.checkBoundGroups(at, service, lb, groups),
			s.checkBoundRule(at+".advancedConfiguration.productionListenerRule", service, lb.ProductionRule, rules),
			s.checkBoundRule(at+".advancedConfiguration.testListenerRule", service, lb.TestRule, rules),
		); err != nil {
			return err
		}
	}
	return nil
}

func checkBoundPort(at string, lb *LoadBalancer, def *TaskDef) error {
	if def.Container(lb.Container) == nil {
		return field(at+".containerName", "%s is no container of %s", quoted(lb.Container), def.ID)
	}
	if def.mapping(PortBinding{Container: lb.Container, ContainerPort: lb.ContainerPort, Protocol: TCP}) == nil {
		return field(at+".containerPort", "%d/tcp is not among the portMappings of container %q of %s", lb.ContainerPort,
			lb.Container, def.ID)
	}
	return nil
}

func (s *State) checkBoundGroups(at, service string, lb *LoadBalancer, named map[TargetGroupName]bool) error {
	type bound struct {
		at   string
		name TargetGroupName
	}
	names := []bound{{at + ".targetGroup", lb.Group}}
	if lb.AlternateGroup != "" {
		names = append(names, bound{at + ".advancedConfiguration.alternateTargetGroup", lb.AlternateGroup})
	}
	for _, b := range names {
		if s.TargetGroup(b.name) == nil {
			return refuse(ErrNotFound, "%s: target group %s", b.at, quoted(string(b.name)))
		}
		if named[b.name] {
			return field(b.at, "%s is named twice", b.name)
		}
		named[b.name] = true
		if user, used := s.groupUsers.Get(b.name); used && user != service {
			return refuse(ErrConflict, "%s: target group %s is that of service %s", b.at, b.name, user)
		}
	}
	if a, b := s.TargetGroup(names[0].name), s.TargetGroup(names[len(names)-1].name); a.Protocol != b.Protocol {
		return field(names[1].at, "%s is of %s, %s is of %s: both take the same traffic", b.Name, b.Protocol, a.Name,
			a.Protocol)
	}
	return nil
}

func (s *State) checkBoundRule(at, service string, id RuleID, named map[RuleID]bool) error {
	if id == "" {
		return nil
	}
	r := s.Rule(id)
	if r == nil {
		return refuse(ErrNotFound, "%s: rule %s", at, quoted(string(id)))
	}
	if r.Action.Forward == nil {
		return field(at, "rule %s does not forward to target groups", id)
	}
	if named[id] {
		return field(at, "rule %s is named twice", id)
	}
	named[id] = true
	if user, used := s.ruleUsers.Get(id); used && user != service {
		return refuse(ErrConflict, "%s: rule %s is that of service %s", at, id, user)
	}
	return nil
}
