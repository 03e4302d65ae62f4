package ecs

import (
	"regexp"
	"strings"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Expose asks for the listener, the rule and the two target groups of a new service, by
// the few things that people know. Skein's own.
type Expose struct {
	ContainerPort int // 0: the only one that the definition maps
	Listen        int
	Protocol      fleet.ListenerProtocol
	Host          string // empty: any
	Path          string // empty: any
	CheckPath     string // empty: a connection is enough
}

// readTraffic reads how a service's tasks are reached.
func readTraffic(o *strictjson.Object, s *Service) {
	if o.Has("loadBalancers") {
		s.LoadBalancers = []fleet.LoadBalancer{}
		for _, lb := range o.Objects("loadBalancers", fleet.MaxLoadBalancers) {
			s.LoadBalancers = append(s.LoadBalancers, readLoadBalancer(lb))
		}
	}
	s.Connect = readConnect(o)
	e := o.Object("expose")
	if e == nil {
		return
	}
	if len(s.LoadBalancers) > 0 {
		o.Refuse("expose", "given beside loadBalancers; keep one")
	}
	if !e.Has("listen") {
		e.Refuse("listen", "missing: the port that every host answers on, 1 to 65535")
	}
	s.Expose = &Expose{
		ContainerPort: int(e.Int("containerPort", 0, 1, 65_535)), Listen: int(e.Int("listen", 0, 1, 65_535)),
		Protocol: fleet.ListenHTTP, Host: strings.ToLower(e.Text("host", maxName)), Path: e.Text("path", maxName),
		CheckPath: e.Text("healthCheckPath", maxName),
	}
	if e.Choice("protocol", "HTTP", "TCP") == "TCP" {
		s.Expose.Protocol = fleet.ListenTCP
	}
	if s.Expose.Path != "" && !strings.HasPrefix(s.Expose.Path, "/") {
		e.Refuse("path", "%q does not begin with a slash", strictjson.Show(s.Expose.Path))
	}
	if tcp := s.Expose.Protocol == fleet.ListenTCP; tcp && s.Expose.Host+s.Expose.Path+s.Expose.CheckPath != "" {
		e.Refuse("protocol", "TCP connections say neither host nor path, and are checked by connecting; leave those out")
	}
}

// groupARN and ruleARN are names as AWS writes them; the last word but one, or the
// path, is the name that they stand for here.
var (
	groupARN = regexp.MustCompile(`^arn:[a-z-]+:elasticloadbalancing:[^:]*:[^:]*:targetgroup/([^/]+)(/[0-9a-f]+)?$`)
	ruleForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}/[A-Za-z0-9_-]{1,255}$`)
)

func readLoadBalancer(o *strictjson.Object) fleet.LoadBalancer {
	for _, name := range []string{"targetGroupArn", "containerName", "containerPort"} {
		if !o.Has(name) {
			o.Refuse(name, "missing")
		}
	}
	lb := fleet.LoadBalancer{
		Group: readGroupName(o, "targetGroupArn"), Container: o.Text("containerName", maxName),
		ContainerPort: int(o.Int("containerPort", 0, 1, 65_535)),
	}
	if a := o.Object("advancedConfiguration"); a != nil {
		lb.AlternateGroup = readGroupName(a, "alternateTargetGroupArn")
		lb.ProductionRule = readRuleID(a, "productionListenerRule")
		lb.TestRule = readRuleID(a, "testListenerRule")
	}
	return lb
}

// readGroupName reads the name of a target group, or the ARN of one.
func readGroupName(o *strictjson.Object, field string) fleet.TargetGroupName {
	text := o.Text(field, 2048)
	if m := groupARN.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	if text != "" && !nameForm.MatchString(text) || o.Empty(field) {
		o.Refuse(field, "%q: the name of a target group, of letters, digits, - or _", strictjson.Show(text))
		return ""
	}
	return fleet.TargetGroupName(text)
}

func readRuleID(o *strictjson.Object, field string) fleet.RuleID {
	text := o.Text(field, 2048)
	if text != "" && !ruleForm.MatchString(text) || o.Empty(field) {
		o.Refuse(field, "%q: LISTENER/RULE, like web-80/default", strictjson.Show(text))
		return ""
	}
	return fleet.RuleID(text)
}
