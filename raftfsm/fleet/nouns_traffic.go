package fleet

import "net/netip"

// TotalWeight is all of a rule's traffic: weights are basis points of it.
const TotalWeight = 10_000

type (
	// ListenerName names a listener; unique in the fleet.
	ListenerName string
	// RuleID is "listener/name"; the rule that takes what no other takes is "listener/default".
	RuleID string
	// TargetGroupName names a target group; unique in the fleet.
	TargetGroupName string
)

// DefaultRule is the name of the rule that every listener has: it takes what no other
// rule takes, and has no priority and no conditions.
const DefaultRule = "default"

// Listener is a port that the ingress of every host answers on. Source: ELB API, Listener.
type Listener struct {
	Name        ListenerName     `cbor:"1,keyasint"`
	ModifyIndex uint64           `cbor:"2,keyasint"`
	Port        int              `cbor:"3,keyasint"`
	Protocol    ListenerProtocol `cbor:"4,keyasint"`
	// Certificates of HTTPS and TLS listeners; the first is served where no other fits
	// the name that a client asks for.
	Certificates []CertificateFile `cbor:"5,keyasint,omitempty"`
	// ProxyProtocol says that each connection begins with a PROXY header that names its client.
	ProxyProtocol bool  `cbor:"6,keyasint,omitempty"`
	IdleTimeoutS  int   `cbor:"7,keyasint,omitempty"` // without a byte either way; 0: 60 for HTTP, 350 for TCP
	BodyLimit     int64 `cbor:"8,keyasint,omitempty"` // bytes of a request's body; 0: no limit
	// Owner is the service that made the listener, and takes it away with itself; empty:
	// people made it.
	Owner string `cbor:"9,keyasint,omitempty"`
	// Alias makes it a listener of tasks alone: they reach it as NAME:Port through their own
	// host, at an address that nobody else reaches. It takes no port of the host.
	Alias *ListenerAlias `cbor:"10,keyasint,omitempty"`
	// TrustedProxies are who may begin a connection with a PROXY header, of a listener that
	// asks for one: others are refused. None: DefaultTrustedProxies.
	TrustedProxies []netip.Prefix `cbor:"11,keyasint,omitempty" since:"2"`
}

// DefaultTrustedProxies are the addresses of private networks, of the host itself, and of links:
// balancers are among them as a rule, and the rest of the world is not.
var DefaultTrustedProxies = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("::1/128"),
}

// ListenerAlias is the name by which tasks reach a listener. Source: ECS API,
// ServiceConnectClientAlias.
type ListenerAlias struct {
	Name string `cbor:"1,keyasint"` // of DNS, in lower case
	// Number is where the name's address is in each host's range of aliases, 1 to
	// MaxAliasNumber. All listeners with the name have it.
	Number int `cbor:"2,keyasint"`
}

// ListenerProtocol is what a listener speaks with clients.
type ListenerProtocol uint8

// The protocols. HTTP listeners speak HTTP/1.1 and HTTP/2, also without TLS.
const (
	ListenHTTP  ListenerProtocol = iota + 1
	ListenHTTPS                  // HTTP over TLS that ends here
	ListenTCP                    // connections, passed on as they are
	ListenTLS                    // connections, passed on by the name that the client's first message asks for
)

var listenerProtocolNames = names{"", "HTTP", "HTTPS", "TCP", "TLS"}

func (p ListenerProtocol) String() string {
	return listenerProtocolNames.text(uint8(p), "listener protocol")
}

// ParseListenerProtocol is the inverse of String.
func ParseListenerProtocol(text string) (ListenerProtocol, error) {
	v, err := listenerProtocolNames.value(text, "protocol")
	return ListenerProtocol(v), err
}

// PerRequest reports whether rules choose for each request, not for a connection.
func (p ListenerProtocol) PerRequest() bool { return p == ListenHTTP || p == ListenHTTPS }

// CertificateFile is a certificate with its key, by the paths of two PEM files that lie
// on every host.
type CertificateFile struct {
	Certificate string `cbor:"1,keyasint"` // the chain, the leaf first
	Key         string `cbor:"2,keyasint"`
}

// Rule says what becomes of requests, or connections, at a listener. Of all whose
// conditions hold, the one with the lowest priority takes it. Source: ELB API, Rule.
type Rule struct {
	ID          RuleID       `cbor:"1,keyasint"`
	ModifyIndex uint64       `cbor:"2,keyasint"`
	Listener    ListenerName `cbor:"3,keyasint"`
	Priority    int          `cbor:"4,keyasint,omitempty"` // 1 to 50,000, unique at its listener; 0: the default rule
	// Conditions must all hold. Of a TCP listener there are none, of a TLS listener hosts alone.
	Conditions []RuleCondition `cbor:"5,keyasint,omitempty"`
	Action     Action          `cbor:"6,keyasint"`
	TimeoutS   int             `cbor:"7,keyasint,omitempty"` // until a target's answer begins; 0: 60
	Owner      string          `cbor:"8,keyasint,omitempty"` // as of Listener
}

// RuleCondition is what a rule asks of a request: one of Values fits. Source: ELB API, RuleCondition.
type RuleCondition struct {
	Field ConditionField `cbor:"1,keyasint"`
	Name  string         `cbor:"2,keyasint,omitempty"` // of the header, or the key of the query; it may be empty there
	// Values are patterns with * for any text and ? for one character, but methods, which
	// are whole, and sources, which are prefixes such as 10.0.0.0/8. Hosts and header
	// values are compared without case.
	Values []string `cbor:"3,keyasint"`
}

// ConditionField is the part of a request that a condition looks at.
type ConditionField uint8

// The fields.
const (
	FieldHost ConditionField = iota + 1
	FieldPath
	FieldHeader
	FieldMethod
	FieldQuery
	FieldSource
)

var conditionFieldNames = names{"", "host-header", "path-pattern", "http-header", "http-request-method", "query-string",
	"source-ip"}

// String is the name that ELB has for the field.
func (f ConditionField) String() string {
	return conditionFieldNames.text(uint8(f), "condition field")
}

// ParseConditionField is the inverse of String.
func ParseConditionField(text string) (ConditionField, error) {
	v, err := conditionFieldNames.value(text, "field")
	return ConditionField(v), err
}

// Action is what a rule does; exactly one of its fields is set. Source: ELB API, Action.
type Action struct {
	Forward  *Forward       `cbor:"1,keyasint,omitempty"`
	Fixed    *FixedResponse `cbor:"2,keyasint,omitempty"`
	Redirect *Redirect      `cbor:"3,keyasint,omitempty"`
}

// Forward spreads requests over target groups.
type Forward struct {
	// Groups have weights that sum to TotalWeight. One with weight 0 takes nothing: it is
	// there to be given some.
	Groups []GroupWeight `cbor:"1,keyasint"`
	// StickyS keeps a client with the group that it was given, by a cookie, for so many
	// seconds; 0: each request is given one anew.
	StickyS int `cbor:"2,keyasint,omitempty"`
	// StickyHeader keeps a client with a group by the value of a header: no cookie is given,
	// and the client moves as the weights do. Empty: it does not. Not together with StickyS.
	StickyHeader string `cbor:"3,keyasint,omitempty"`
}

// GroupWeight is the share of a target group.
type GroupWeight struct {
	Group  TargetGroupName `cbor:"1,keyasint"`
	Weight int             `cbor:"2,keyasint,omitempty"` // basis points of TotalWeight
}

// FixedResponse is an answer that needs no target.
type FixedResponse struct {
	Status      int    `cbor:"1,keyasint"` // 200 to 599
	ContentType string `cbor:"2,keyasint,omitempty"`
	Body        string `cbor:"3,keyasint,omitempty"` // at most 1,024 bytes
}

// Redirect sends clients to another URL. An empty part stays as it was asked for.
type Redirect struct {
	Status   int    `cbor:"1,keyasint"` // 301 or 302
	Protocol string `cbor:"2,keyasint,omitempty"`
	Host     string `cbor:"3,keyasint,omitempty"`
	Port     int    `cbor:"4,keyasint,omitempty"`
	Path     string `cbor:"5,keyasint,omitempty"` // begins with /
	Query    string `cbor:"6,keyasint,omitempty"`
}

// TargetGroup is where a service's tasks of one colour are found, and how they are
// treated. Its targets are the tasks of revisions that are bound to it. Source: ELB
// API, TargetGroup.
type TargetGroup struct {
	Name        TargetGroupName `cbor:"1,keyasint"`
	ModifyIndex uint64          `cbor:"2,keyasint"` // its targets aside
	Protocol    GroupProtocol   `cbor:"3,keyasint"`
	Check       TargetCheck     `cbor:"4,keyasint"`
	// DeregistrationDelayS is how long what is open at a target may go on once the target
	// is to leave; its task is signalled after that.
	DeregistrationDelayS int `cbor:"5,keyasint,omitempty"`
	SlowStartS           int `cbor:"6,keyasint,omitempty"` // a new target's share grows for so long; 0: full at once
	StickyS              int `cbor:"7,keyasint,omitempty"` // a client stays with its target by a cookie; 0: it does not
	// AnyZone spreads over targets of all zones alike. Else those of the asking host's zone
	// come first while enough of them are healthy.
	AnyZone       bool   `cbor:"8,keyasint,omitempty"`
	ProxyProtocol bool   `cbor:"9,keyasint,omitempty"` // TCP: targets are told the client by a PROXY header
	Owner         string `cbor:"10,keyasint,omitempty"`
	// log index of the last change of its targets; see State.Targets
	TargetsModifyIndex uint64 `cbor:"11,keyasint,omitempty"`
}

// GroupProtocol is what is spoken with targets.
type GroupProtocol uint8

// The protocols. Those that are not TCP are for HTTP and HTTPS listeners.
const (
	GroupHTTP1 GroupProtocol = iota + 1
	GroupHTTP2               // without TLS
	GroupGRPC                // as GroupHTTP2; checks and errors are gRPC's
	GroupTCP
)

var groupProtocolNames = names{"", "HTTP1", "HTTP2", "GRPC", "TCP"}

func (p GroupProtocol) String() string { return groupProtocolNames.text(uint8(p), "group protocol") }

// ParseGroupProtocol is the inverse of String.
func ParseGroupProtocol(text string) (GroupProtocol, error) {
	v, err := groupProtocolNames.value(text, "protocolVersion")
	return GroupProtocol(v), err
}

// PerRequest reports whether targets are chosen for each request, not for a connection.
func (p GroupProtocol) PerRequest() bool { return p != GroupTCP }

// TargetCheck is how the host of a target asks it whether it is well. Source: ELB API, TargetGroup.
type TargetCheck struct {
	// Path is asked for with GET, over HTTP; empty: a connection is enough.
	Path string `cbor:"1,keyasint,omitempty"`
	Port int    `cbor:"2,keyasint,omitempty"` // of the container; 0: the one that traffic goes to
	// Matcher is the codes that are well, "200-399" or "200,204"; of gRPC "0". Empty: "200-399", "0".
	Matcher   string `cbor:"3,keyasint,omitempty"`
	IntervalS int    `cbor:"4,keyasint"`
	TimeoutS  int    `cbor:"5,keyasint"`
	Healthy   int    `cbor:"6,keyasint"` // answers in a row that make it healthy
	Unhealthy int    `cbor:"7,keyasint"` // failures in a row that make it unhealthy
}

// LoadBalancer binds a container's port of a service's tasks to target groups and
// rules. Source: ECS API, LoadBalancer and AdvancedConfiguration.
type LoadBalancer struct {
	Container     string          `cbor:"1,keyasint"`
	ContainerPort int             `cbor:"2,keyasint"`
	Group         TargetGroupName `cbor:"3,keyasint"`
	// AlternateGroup is where the other colour is; empty: rolling deployments alone.
	AlternateGroup TargetGroupName `cbor:"4,keyasint,omitempty"`
	ProductionRule RuleID          `cbor:"5,keyasint,omitempty"` // empty: whichever forward to Group
	TestRule       RuleID          `cbor:"6,keyasint,omitempty"`
}

// GroupBinding says that a container's port of a revision's tasks is a target of a group.
type GroupBinding struct {
	Group         TargetGroupName `cbor:"1,keyasint"`
	Container     string          `cbor:"2,keyasint"`
	ContainerPort int             `cbor:"3,keyasint"`
}

// Target is one task's address in a group, derived of its row. Source: ELB API,
// TargetDescription and TargetHealth.
type Target struct {
	Task     TaskID         `cbor:"1,keyasint"`
	Addr     netip.AddrPort `cbor:"2,keyasint"`
	Revision RevisionID     `cbor:"3,keyasint,omitempty"`
	Host     HostID         `cbor:"4,keyasint"`
	Zone     string         `cbor:"5,keyasint,omitempty"`
	State    TargetState    `cbor:"6,keyasint"`
	Since    Time           `cbor:"7,keyasint,omitempty"` // of State
	Reason   string         `cbor:"8,keyasint,omitempty"` // why it is not healthy
}

// TargetState is whether a target is given requests.
type TargetState uint8

// The states. Traffic goes to healthy targets; to all but draining ones where too few are healthy.
const (
	TargetInitial   TargetState = iota + 1 // not checked often enough yet
	TargetHealthy                          //
	TargetUnhealthy                        // its host's checks fail
	TargetDraining                         // it is to leave: nothing new, what is open goes on
)

var targetStateNames = names{"", "initial", "healthy", "unhealthy", "draining"}

// String is the name that ELB has for the state.
func (s TargetState) String() string { return targetStateNames.text(uint8(s), "target state") }

// Routes is what the ingress of a host is to serve: the part of State about traffic as
// its host is sent it.
type Routes struct {
	Listeners []Listener     `cbor:"1,keyasint,omitempty"` // by name
	Rules     []Rule         `cbor:"2,keyasint,omitempty"` // by listener and priority, the default last
	Groups    []GroupTargets `cbor:"3,keyasint,omitempty"` // by name, also those that no rule forwards to
	// Services are those with target groups, by name: what DNS answers of them.
	Services []RoutedService `cbor:"4,keyasint,omitempty"`
}

// RoutedService is a service as clients find it: by its ports.
type RoutedService struct {
	Name  string       `cbor:"1,keyasint"`
	Ports []RoutedPort `cbor:"2,keyasint"`
}

// RoutedPort is a port of a service's tasks that clients may ask.
type RoutedPort struct {
	Name string `cbor:"1,keyasint,omitempty"` // of its portMapping; it may have none
	// Groups are where the tasks are that take production traffic, with their shares of it.
	Groups []GroupWeight `cbor:"2,keyasint"`
}

// GroupTargets is a target group with its targets, by task.
type GroupTargets struct {
	TargetGroup TargetGroup `cbor:"1,keyasint"`
	Targets     []Target    `cbor:"2,keyasint,omitempty"`
}
