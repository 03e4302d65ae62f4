package ecs

import (
	"strings"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Connect is how tasks of the fleet reach a service by names. Source: ECS API,
// ServiceConnectConfiguration.
type Connect struct {
	Services []ConnectService // none where it is not enabled
}

// ConnectService is a port of the service's tasks, and the name and port that it is
// reached by. Source: ECS API, ServiceConnectService.
type ConnectService struct {
	PortName     string
	Alias        string // in lower case
	Port         int    // 0: that of the container
	TestHeader   string // of test traffic; empty: the default
	TestValue    string // of the header; empty: any
	IdleTimeoutS int    // 0: as ECS has it
}

// Defaults of how long a connection may lie idle. Source: ECS API, TimeoutConfiguration.
const (
	ConnectIdleHTTP = 300
	ConnectIdleTCP  = 3_600
)

func readConnect(o *strictjson.Object) *Connect {
	c := o.Object("serviceConnectConfiguration")
	if c == nil {
		return nil
	}
	if !c.Has("enabled") {
		c.Refuse("enabled", "missing: true or false")
	}
	connect := &Connect{}
	enabled := c.Bool("enabled", false)
	namespace := strings.ToLower(c.Text("namespace", fleet.MaxHostName))
	for _, s := range c.Objects("services", fleet.MaxLoadBalancers) {
		service := readConnectService(s, namespace)
		if enabled {
			connect.Services = append(connect.Services, service)
		}
	}
	return connect
}

func readConnectService(o *strictjson.Object, namespace string) ConnectService {
	if !o.Has("portName") {
		o.Refuse("portName", "missing: the name of one of the task definition's portMappings")
	}
	s := ConnectService{PortName: o.Text("portName", maxPortName)}
	s.Alias = strings.ToLower(o.Text("discoveryName", maxName))
	if s.Alias == "" {
		s.Alias = s.PortName
	}
	if namespace != "" {
		s.Alias += "." + namespace
	}
	for _, a := range o.Objects("clientAliases", 1) {
		readClientAlias(a, &s)
	}
	if t := o.Object("timeout"); t != nil {
		s.IdleTimeoutS = int(t.Int("idleTimeoutSeconds", 0, 1, 4_000))
	}
	return s
}

func readClientAlias(o *strictjson.Object, s *ConnectService) {
	if !o.Has("port") {
		o.Refuse("port", "missing: the port that tasks ask, 1 to 65535")
	}
	s.Port = int(o.Int("port", 0, 1, 65_535))
	if name := strings.ToLower(o.Text("dnsName", fleet.MaxHostName)); name != "" {
		s.Alias = name
	}
	rules := o.Object("testTrafficRules")
	if rules == nil {
		return
	}
	header := rules.Object("header")
	if header == nil {
		rules.Refuse("header", "missing: the header that marks test traffic")
		return
	}
	if !header.Has("name") {
		header.Refuse("name", "missing")
	}
	s.TestHeader = header.Text("name", maxName)
	if value := header.Object("value"); value != nil {
		s.TestValue = value.Text("exact", maxName)
	}
}
