package types

import (
	"cmp"
	"fmt"
)

// Listeners is a page of listeners by name.
type Listeners struct {
	Meta
	Listeners []Listener `json:"listeners"`
	Next      string     `json:"next,omitempty" doc:"pass as next for the following page"`
}

// Listener is a port that every host answers on.
type Listener struct {
	Name           string            `json:"name"`
	ModifyIndex    uint64            `json:"modifyIndex" doc:"log index of its last change; pass it as expect, to change what one has seen and nothing newer"`
	Port           int               `json:"port"`
	Protocol       string            `json:"protocol" enum:"HTTP,HTTPS,TCP,TLS"`
	Certificates   []CertificateFile `json:"certificates,omitempty"`
	ProxyProtocol  bool              `json:"proxyProtocol,omitempty" doc:"each connection begins with a PROXY header that names its client"`
	TrustedProxies []string          `json:"trustedProxies,omitempty" doc:"networks from which connections with a PROXY header are taken, and no others; none: private networks and the host itself"`
	IdleTimeoutS   int               `json:"idleTimeoutSeconds,omitempty" doc:"without a byte either way; 0: 60 for HTTP, 350 for TCP"`
	BodyLimit      int64             `json:"bodyLimitBytes,omitempty" doc:"of a request's body; 0: no limit"`
	Owner          string            `json:"owner,omitempty" doc:"the service that made it, and takes it away with itself"`
	Alias          string            `json:"alias,omitempty" doc:"tasks alone reach it, by this name; it takes no port of hosts"`
	Rules          []Rule            `json:"rules" doc:"by priority, the default last"`

	FailingCount int               `json:"failingHostsCount,omitempty" doc:"hosts that cannot serve it, those out of reach aside"`
	Failing      []ListenerFailure `json:"failingHosts,omitempty" doc:"the first 16 of them, with reasons"`
}

// ListenerFailure is why a host does not serve a listener, or not with all its certificates.
type ListenerFailure struct {
	Host   HostRef `json:"host"`
	Reason string  `json:"reason"`
}

// Failure is where and why a listener is not served, in one line; empty: it is everywhere.
func (l *Listener) Failure() string {
	if l.FailingCount == 0 || len(l.Failing) == 0 {
		return ""
	}
	first := l.Failing[0]
	host := cmp.Or(first.Host.Name, first.Host.ID)
	text := fmt.Sprintf("listener %s (port %d) is not served by %s: %s", l.Name, l.Port, host, first.Reason)
	if more := l.FailingCount - 1; more > 0 {
		text += fmt.Sprintf("; nor by %d more", more)
	}
	return text
}

// CertificateFile is a certificate with its key, by the paths of two PEM files on every host.
type CertificateFile struct {
	Certificate string `json:"certificateFile"`
	Key         string `json:"keyFile"`
}

// Rule says what becomes of requests, or connections, at a listener.
type Rule struct {
	ID          string          `json:"id" doc:"LISTENER/NAME; the default rule is LISTENER/default"`
	ModifyIndex uint64          `json:"modifyIndex"`
	Listener    string          `json:"listener"`
	Priority    int             `json:"priority,omitempty" doc:"the lowest that fits takes the request; the default rule has none"`
	Conditions  []RuleCondition `json:"conditions,omitempty" doc:"all must hold"`
	Action      Action          `json:"action"`
	TimeoutS    int             `json:"timeoutSeconds,omitempty" doc:"until a target's answer begins; 0: 60"`
	Owner       string          `json:"owner,omitempty" doc:"the service that made it, and takes it away with itself"`
	Service     string          `json:"service,omitempty" doc:"the service whose deployments set its weights"`
}

// RuleCondition is what a rule asks of a request: one of its values fits.
type RuleCondition struct {
	Field  string   `json:"field" enum:"host-header,path-pattern,http-header,http-request-method,query-string,source-ip"`
	Name   string   `json:"name,omitempty" doc:"of the header, or the key of the query"`
	Values []string `json:"values" doc:"patterns with * and ?; of source-ip prefixes"`
}

// Action is what a rule does; one of its members is given.
type Action struct {
	Forward  *Forward       `json:"forward,omitempty"`
	Fixed    *FixedResponse `json:"fixedResponse,omitempty"`
	Redirect *Redirect      `json:"redirect,omitempty"`
}

// Forward spreads requests over target groups.
type Forward struct {
	Groups  []GroupWeight `json:"targetGroups"`
	StickyS int           `json:"stickySeconds,omitempty" doc:"a client stays with the revision that it reached, by a cookie: it changes over once as weights grow, and goes back only when that revision has no weight; 0: it does not"`
	// StickyHeader is an alternative to StickyS.
	StickyHeader string `json:"stickyHeader,omitempty" doc:"a client is led by the value of this header, to the same group each time while weights stay; not with stickySeconds"`
}

// GroupWeight is the share of a target group.
type GroupWeight struct {
	Group  string `json:"targetGroup"`
	Weight int    `json:"weight" doc:"in basis points: all of a rule's sum to 10000"`
}

// FixedResponse is an answer that needs no target.
type FixedResponse struct {
	Status      int    `json:"statusCode"`
	ContentType string `json:"contentType,omitempty"`
	Body        string `json:"messageBody,omitempty"`
}

// Redirect sends clients to another URL. A part that is left out stays as it was asked for.
type Redirect struct {
	Status   int    `json:"statusCode" enum:"301,302"`
	Protocol string `json:"protocol,omitempty" enum:"HTTP,HTTPS"`
	Host     string `json:"host,omitempty"`
	Port     int    `json:"port,omitempty"`
	Path     string `json:"path,omitempty"`
	Query    string `json:"query,omitempty"`
}

// TargetGroups is a page of target groups by name.
type TargetGroups struct {
	Meta
	TargetGroups []TargetGroup `json:"targetGroups"`
	Next         string        `json:"next,omitempty" doc:"pass as next for the following page"`
}

// TargetGroup is where a service's tasks of one colour are found.
type TargetGroup struct {
	Name                 string      `json:"name"`
	ModifyIndex          uint64      `json:"modifyIndex" doc:"of its last change, its targets aside; pass it as expect"`
	Protocol             string      `json:"protocolVersion" enum:"HTTP1,HTTP2,GRPC,TCP"`
	Check                TargetCheck `json:"healthCheck"`
	DeregistrationDelayS int         `json:"deregistrationDelaySeconds" doc:"how long what is open at a target may go on once it is to leave"`
	SlowStartS           int         `json:"slowStartSeconds,omitempty" doc:"a new target's share grows for so long"`
	StickyS              int         `json:"stickySeconds,omitempty" doc:"a client stays with its target"`
	AnyZone              bool        `json:"anyZone,omitempty" doc:"targets of all zones alike, not those of the asking host's zone first"`
	ProxyProtocol        bool        `json:"proxyProtocol,omitempty" doc:"targets are told the client by a PROXY header"`
	Owner                string      `json:"owner,omitempty" doc:"the service that made it, and takes it away with itself"`
	Service              string      `json:"service,omitempty" doc:"the service whose tasks are its targets"`
	Rules                []string    `json:"rules" doc:"that forward to it"`
	Counts               TargetCount `json:"targetCounts"`
	Targets              []Target    `json:"targets,omitempty" doc:"of one target group, not in lists"`
}

// TargetCheck is how the host of a target asks it whether it is well.
type TargetCheck struct {
	Path      string `json:"path,omitempty" doc:"asked for with GET; empty: a connection is enough"`
	Port      int    `json:"port,omitempty" doc:"of the container; 0: the one that traffic goes to"`
	Matcher   string `json:"matcher,omitempty" doc:"codes that are well: 200-399, or 200,204; of gRPC 0"`
	IntervalS int    `json:"intervalSeconds,omitempty"`
	TimeoutS  int    `json:"timeoutSeconds,omitempty"`
	Healthy   int    `json:"healthyThresholdCount,omitempty"`
	Unhealthy int    `json:"unhealthyThresholdCount,omitempty"`
}

// TargetCount is how many targets stand how.
type TargetCount struct {
	Healthy   int `json:"healthy"`
	Initial   int `json:"initial"`
	Unhealthy int `json:"unhealthy"`
	Draining  int `json:"draining"`
}

// Target is one task's address in a target group.
type Target struct {
	Task     string   `json:"task"`
	Addr     string   `json:"address"`
	Revision string   `json:"revision,omitempty"`
	Host     *HostRef `json:"host" nullable:"true"`
	State    string   `json:"state" enum:"initial,healthy,unhealthy,draining"`
	Since    Stamp    `json:"since,omitzero"`
	Reason   string   `json:"reason,omitempty"`
}

// LoadBalancer binds a container's port of a service's tasks to target groups and rules.
type LoadBalancer struct {
	Group         string                `json:"targetGroupArn" doc:"name of the target group"`
	Container     string                `json:"containerName"`
	ContainerPort int                   `json:"containerPort"`
	Advanced      *AdvancedLoadBalancer `json:"advancedConfiguration,omitempty"`
}

// AdvancedLoadBalancer is what deployments that shift traffic need.
type AdvancedLoadBalancer struct {
	AlternateGroup string `json:"alternateTargetGroupArn,omitempty" doc:"name of the target group of the other colour"`
	ProductionRule string `json:"productionListenerRule,omitempty" doc:"LISTENER/NAME"`
	TestRule       string `json:"testListenerRule,omitempty" doc:"LISTENER/NAME"`
}

// ServiceConnect is how tasks reach a service: by names that every host answers for its own.
type ServiceConnect struct {
	Enabled  bool             `json:"enabled"`
	Services []ConnectService `json:"services"`
}

// ConnectService is a port of the service's tasks with its alias.
type ConnectService struct {
	PortName string        `json:"portName"`
	Aliases  []ClientAlias `json:"clientAliases"`
}

// ClientAlias is a name and port that tasks ask.
type ClientAlias struct {
	Port    int               `json:"port"`
	DNSName string            `json:"dnsName"`
	Test    *TestTrafficRules `json:"testTrafficRules,omitempty" doc:"which requests are test traffic"`
}

// TestTrafficRules is what marks test traffic.
type TestTrafficRules struct {
	Header TestTrafficHeader `json:"header"`
}

// TestTrafficHeader is a header of requests.
type TestTrafficHeader struct {
	Name  string            `json:"name"`
	Value *TestTrafficValue `json:"value,omitempty" doc:"none: any"`
}

// TestTrafficValue is what a header must be.
type TestTrafficValue struct {
	Exact string `json:"exact"`
}

// ListenerWritten answers a change of a listener.
type ListenerWritten struct {
	Written
	Listener *Listener `json:"listener" nullable:"true" doc:"null when it is gone"`
}

// RuleWritten answers a change of a rule.
type RuleWritten struct {
	Written
	Rule *Rule `json:"rule" nullable:"true" doc:"null when it is gone"`
}

// TargetGroupWritten answers a change of a target group.
type TargetGroupWritten struct {
	Written
	TargetGroup *TargetGroup `json:"targetGroup" nullable:"true" doc:"null when it is gone"`
}

// ListenerBody creates or changes a listener.
type ListenerBody struct {
	Name           string            `json:"name,omitempty" doc:"of a new one"`
	Port           int               `json:"port,omitempty"`
	Protocol       string            `json:"protocol,omitempty" enum:"HTTP,HTTPS,TCP,TLS"`
	Certificates   []CertificateFile `json:"certificates,omitempty"`
	ProxyProtocol  bool              `json:"proxyProtocol,omitempty"`
	TrustedProxies []string          `json:"trustedProxies,omitempty" doc:"networks from which connections with a PROXY header are taken; none: private networks and the host itself"`
	IdleTimeoutS   int               `json:"idleTimeoutSeconds,omitempty"`
	BodyLimit      int64             `json:"bodyLimitBytes,omitempty"`
	Default        *Action           `json:"defaultAction,omitempty" doc:"of a new one: what becomes of what no rule takes"`
	Alias          string            `json:"alias,omitempty" doc:"tasks alone reach it, by this name; it takes no port of hosts"`
	ClientToken    string            `json:"clientToken,omitempty"`
}

// RuleBody creates or changes a rule.
type RuleBody struct {
	Name        string          `json:"name,omitempty" doc:"of a new one, at its listener"`
	Priority    int             `json:"priority,omitempty"`
	Conditions  []RuleCondition `json:"conditions,omitempty"`
	Action      *Action         `json:"action,omitempty"`
	TimeoutS    int             `json:"timeoutSeconds,omitempty"`
	ClientToken string          `json:"clientToken,omitempty"`
}

// WeightsBody shifts traffic between target groups of a rule.
type WeightsBody struct {
	Weights     []GroupWeight `json:"targetGroups" doc:"all that are to have a share; the others have none any more"`
	ClientToken string        `json:"clientToken,omitempty"`
}

// TargetGroupBody creates or changes a target group.
type TargetGroupBody struct {
	Name                 string       `json:"name,omitempty" doc:"of a new one"`
	Protocol             string       `json:"protocolVersion,omitempty" enum:"HTTP1,HTTP2,GRPC,TCP"`
	Check                *TargetCheck `json:"healthCheck,omitempty"`
	DeregistrationDelayS int          `json:"deregistrationDelaySeconds,omitempty"`
	SlowStartS           int          `json:"slowStartSeconds,omitempty"`
	StickyS              int          `json:"stickySeconds,omitempty"`
	AnyZone              bool         `json:"anyZone,omitempty"`
	ProxyProtocol        bool         `json:"proxyProtocol,omitempty"`
	ClientToken          string       `json:"clientToken,omitempty"`
}

// Rates are what target groups are asked for now, over all hosts, by name of the group.
type Rates struct {
	Meta
	Groups []GroupRates `json:"targetGroups"`
	Next   string       `json:"next,omitempty" doc:"pass as next for the following page"`
}

// GroupRates are those of a target group over the last seconds.
type GroupRates struct {
	TargetGroup string  `json:"targetGroup"`
	Known       bool    `json:"known" doc:"hosts have told: a second or two after somebody asked first, and for 20 s after each time"`
	OverS       float64 `json:"overSeconds,omitempty" doc:"how long the span is that is looked at, at most about 10"`
	Hosts       int     `json:"hosts,omitempty" doc:"that told of it"`
	Rate
	NoTarget  float64         `json:"noTargetPerSecond,omitempty" doc:"requests for which it had no target"`
	Revisions []RevisionRates `json:"revisions,omitempty"`
}

// Rate is how much is asked for, and how that ends.
type Rate struct {
	RequestsPerS float64 `json:"requestsPerSecond"`
	ErrorShare   float64 `json:"errorShare" doc:"of requests answered with 500 and more, or not at all, from 0 to 1"`
	P50Ms        float64 `json:"p50Ms,omitempty" doc:"until an answer began"`
	P99Ms        float64 `json:"p99Ms,omitempty"`
}

// RevisionRates are those of one revision's tasks.
type RevisionRates struct {
	Revision string `json:"revision"`
	Rate
}
