package fleet

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits on single fields of target groups and of what names them.
const (
	maxDeregistration = 3_600    // seconds; ELB API, TargetGroupAttribute
	minSlowStartS     = 30       // ELB API, TargetGroupAttribute
	maxSlowStartS     = 900      //
	maxCheckInterval  = 300      // seconds; ELB API, TargetGroup. The floor is lower than there: 1
	maxCheckTimeout   = 120      //
	maxCheckCount     = 10       // of answers in a row; ELB API, TargetGroup. The floor is lower than there: 1
	maxMatcher        = 128      //
	maxGRPCCode       = 99       // ELB API, Matcher
	maxTargetReason   = maxImage // bytes of a report's reason that are kept
)

// checkGroupFields refuses what a target group cannot be.
func checkGroupFields(g *TargetGroup) error {
	if g.Protocol < GroupHTTP1 || g.Protocol > GroupTCP {
		return field("protocolVersion", "is %s: allowed are %q", g.Protocol, []string(groupProtocolNames[1:]))
	}
	if g.SlowStartS != 0 {
		if err := checkRange("slowStartSeconds", g.SlowStartS, minSlowStartS, maxSlowStartS); err != nil {
			return err
		}
	}
	if !g.Protocol.PerRequest() && g.StickyS != 0 {
		return field("stickySeconds", "is kept by a cookie: a group of %s cannot", g.Protocol)
	}
	if g.Protocol.PerRequest() && g.ProxyProtocol {
		return field("proxyProtocol", "is of connections: requests to a group of %s name their client by X-Forwarded-For",
			g.Protocol)
	}
	return first(
		checkName("name", string(g.Name), MaxName),
		checkTargetCheck("healthCheck", g),
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
		checkRange(at+".healthyThresholdCount", c.Healthy, 1, maxCheckCount),
		checkRange(at+".unhealthyThresholdCount", c.Unhealthy, 1, maxCheckCount),
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
	names := []bound{{at + ".targetGroupArn", lb.Group}}
	if lb.AlternateGroup != "" {
		names = append(names, bound{at + ".advancedConfiguration.alternateTargetGroupArn", lb.AlternateGroup})
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
