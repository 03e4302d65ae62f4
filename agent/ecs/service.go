package ecs

import (
	"slices"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Defaults of a new service that are numbers. Source: ECS API, CreateService.
const (
	DefaultMinPercent = 100
	DefaultMaxPercent = 200
)

// Service is a create or an update as read. Nil fields were not given: create
// takes the default, update keeps what is.
type Service struct {
	Name         string // empty in an update that names it elsewhere
	TaskDef      string // "family" or "family:revision"; empty when not given
	Desired      *int
	MinPercent   *int
	MaxPercent   *int
	GraceS       *int
	OnDisconnect *fleet.OnDisconnect
	Tags         map[string]string // nil when not given, empty when emptied
	// LoadBalancers are nil when not given, empty when emptied.
	LoadBalancers []fleet.LoadBalancer
	Expose        *Expose     // of a create alone
	Connect       *Connect    // nil when not given
	Deployment    *Deployment // nil when not given
	DespiteAlarms bool        // of the deployment that an update makes, and of no other
	Force         bool        // forceNewDeployment
	Token         string
	Warnings      []strictjson.Warning
}

// Default is a value that create took because nothing was given.
type Default struct {
	Field string
	Value string
	Why   string
}

// ReadCreate reads a service to create. Errors as those of ReadTaskDef.
func ReadCreate(data []byte, opts Options) (Service, error) {
	return readService(data, opts, func(o *strictjson.Object, s *Service) {
		switch {
		case s.Name == "" && !o.Has("serviceName") && !o.Has("service"):
			o.Refuse("serviceName", "missing: 1 to %d letters, digits, - or _", maxName)
		case o.Has("service") && !o.Has("serviceName"):
			o.Refuse("service", "names a service to update; a new one is named by serviceName")
		}
		if !o.Has("taskDefinition") {
			o.Refuse("taskDefinition", "missing: family, or family:revision")
		}
		if !o.Has("desiredCount") {
			o.Refuse("desiredCount", "missing: how many tasks to keep running, 0 to %d", fleet.MaxDesired)
		}
	})
}

// ReadUpdate reads changes to a service. Errors as those of ReadTaskDef.
func ReadUpdate(data []byte, opts Options) (Service, error) {
	return readService(data, opts, func(o *strictjson.Object, s *Service) {
		if s.Expose != nil {
			o.Refuse("expose", "makes a listener for a new service; change the listener, its rules or loadBalancers instead")
		}
	})
}

func readService(data []byte, opts Options, need func(*strictjson.Object, *Service)) (Service, error) {
	doc, err := strictjson.Parse(data, MaxDocument)
	if err != nil {
		return Service{}, err
	}
	p := &strictjson.Problems{}
	serviceTable.Audit(doc, opts.Strict, p)
	o := strictjson.Root(doc, p)
	s := Service{
		Name:          serviceName(o),
		TaskDef:       readTaskDefinition(o),
		Desired:       count(o, "desiredCount", 0, fleet.MaxDesired),
		GraceS:        count(o, "healthCheckGracePeriodSeconds", 0, maxGrace),
		OnDisconnect:  readOnDisconnect(o),
		Tags:          readTags(o),
		Force:         o.Bool("forceNewDeployment", false),
		DespiteAlarms: o.Bool("despiteAlarms", false),
		Token:         readToken(o, maxServiceToken),
	}
	if s.Tags == nil && o.Has("tags") {
		s.Tags = map[string]string{}
	}
	readTraffic(o, &s)
	o.Choice("schedulingStrategy", "REPLICA")
	if controller := o.Object("deploymentController"); controller != nil {
		controller.Choice("type", "ECS")
	}
	if d := o.Object("deploymentConfiguration"); d != nil {
		s.MinPercent = count(d, "minimumHealthyPercent", 0, 100)
		s.MaxPercent = count(d, "maximumPercent", 100, maxPercent)
		s.Deployment = readDeployment(d)
	}
	need(o, &s)
	if err := p.Err(); err != nil {
		return Service{}, err
	}
	s.Warnings = p.Warnings()
	return s, nil
}

func serviceName(o *strictjson.Object) string {
	switch {
	case o.Has("serviceName") && o.Has("service"):
		o.Refuse("service", "given beside serviceName; keep one")
		return ""
	case o.Has("serviceName"):
		return readName(o, "serviceName")
	case o.Has("service"):
		return readName(o, "service")
	}
	return ""
}

func count(o *strictjson.Object, field string, low, high int64) *int {
	if !o.Has(field) {
		return nil
	}
	n := int(o.Int(field, low, low, high))
	return &n
}

func readOnDisconnect(o *strictjson.Object) *fleet.OnDisconnect {
	d := o.Object("onDisconnect")
	if d == nil {
		return nil
	}
	return &fleet.OnDisconnect{StopAfterMs: d.Int("stopAfterSeconds", 0, 0, maxStopAfter) * 1000}
}

// WithDefaults returns the service with every field given, and the defaults it
// took, best practice first, for people to read.
func (s Service) WithDefaults() (Service, []Default) {
	taken := slices.Clone(alwaysTaken)
	number := func(field **int, name string, value int, text, why string) {
		if *field == nil {
			*field = &value
			taken = append(taken, Default{name, text, why})
		}
	}
	number(&s.MinPercent, "deploymentConfiguration.minimumHealthyPercent", DefaultMinPercent, "100",
		"an update never takes a healthy task away before its replacement is healthy")
	number(&s.MaxPercent, "deploymentConfiguration.maximumPercent", DefaultMaxPercent, "200",
		"an update may start as many new tasks as there are old ones")
	number(&s.GraceS, "healthCheckGracePeriodSeconds", 0, "0", "failed health checks count from the first")
	if s.OnDisconnect == nil {
		s.OnDisconnect = &fleet.OnDisconnect{}
		taken = append(taken, Default{"onDisconnect", "keep", "a host that is cut off keeps its tasks running"})
	}
	return s, taken
}

// alwaysTaken are defaults that cannot be turned off yet.
var alwaysTaken = []Default{
	{"placement", "spread over zones, then hosts", "losing a zone or a host takes as few tasks as possible"},
	{"versionConsistency", "enabled",
		"images are fixed to their digests once, so that all tasks of a revision run the same bytes"},
	{"schedulingStrategy", "REPLICA", "the desired count is kept wherever there is room"},
	{"restarts", "back off", "starts that keep failing are tried again after growing pauses and say why"},
}

// StuckWhy says why no update of such a service could ever move: nothing may
// start and nothing may stop. Empty when it can. Source: ECS API, DeploymentConfiguration.
func StuckWhy(desired, minPercent, maxPercent int) string {
	lower := (desired*minPercent + 99) / 100
	upper := desired * maxPercent / 100
	if desired == 0 || upper > desired || lower < desired {
		return ""
	}
	return "with this desiredCount no task may start above it and none may stop below it, so updates and drains will be " +
		"stuck: raise maximumPercent or lower minimumHealthyPercent"
}
