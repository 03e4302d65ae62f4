package write

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

var listenerFields = own("listener", append(actionFields("defaultAction"), "name", "port", "protocol", "certificates[]",
	"certificates[].certificateFile", "certificates[].keyFile", "proxyProtocol", "idleTimeoutSeconds", "bodyLimitBytes",
	"alias", "trustedProxies[]", "clientToken")...)

func listenerEndpoints() []Endpoint {
	return []Endpoint{
		creation("/v1/listeners", "Create a listener: every host answers on its port", types.ListenerBody{},
			types.ListenerWritten{}, (*Call).createListener),
		change(http.MethodPatch, "/v1/listeners/{name}", "Change a listener; what is not given is kept",
			types.ListenerBody{}, types.ListenerWritten{}, (*Call).updateListener, endpoint.Expect),
		change(http.MethodDelete, "/v1/listeners/{name}", "Delete a listener with its rules", types.PlainBody{},
			types.ListenerWritten{}, (*Call).deleteListener, endpoint.Expect),
	}
}

func (c *Call) createListener() (*Order, error) {
	o, p, err := c.bodyOf(listenerFields)
	if err != nil {
		return nil, err
	}
	need(o, "port", "1 to 65535")
	need(o, "protocol", "HTTP, HTTPS, TCP or TLS")
	need(o, "defaultAction", "what becomes of what no rule takes")
	put := fleet.PutListener{Name: fleet.ListenerName(newName(o))}
	readListener(o, &put)
	put.Default = readAction(o, "defaultAction")
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return listenerOrder(token, put.Name, func(*fleet.State) (fleet.Command, error) {
		return put, c.refuseAgentPort("listener "+string(put.Name), put)
	}), nil
}

// dnsPort is where agents answer DNS for the tasks of their host.
const dnsPort = 53

// refuseAgentPort refuses a listener on a port that agents listen on themselves: no host
// could open it. An alias has an address of its own.
func (c *Call) refuseAgentPort(what string, put fleet.PutListener) error {
	use := ""
	switch {
	case put.Alias != "":
	case slices.Contains(c.ReservedPorts, put.Port):
		use = "one of the agents' own on every host: peer, gossip, status"
	case put.Port == dnsPort:
		use = "the agents' own on every host: they answer DNS there for their tasks"
	}
	if use == "" {
		return nil
	}
	return fmt.Errorf("%s: port %d is %s; take another: %w", what, put.Port, use, fleet.ErrPortTaken)
}

func (c *Call) updateListener() (*Order, error) {
	o, p, err := c.bodyOf(listenerFields)
	if err != nil {
		return nil, err
	}
	c.named(o)
	if o.Has("defaultAction") {
		o.Refuse("defaultAction", "is of a new listener: change its default rule")
	}
	token := clientToken(o)
	readListener(o, &fleet.PutListener{})
	if err := p.Err(); err != nil {
		return nil, err
	}
	name := fleet.ListenerName(c.PathValue("name"))
	return listenerOrder(token, name, func(st *fleet.State) (fleet.Command, error) {
		l, err := view.FindListener(st, string(name))
		if err != nil {
			return nil, err
		}
		if err := c.moved("listener", string(name), l.ModifyIndex); err != nil {
			return nil, err
		}
		put := fleet.PutListener{
			Name: l.Name, ExpectedModifyIndex: l.ModifyIndex, Port: l.Port, Protocol: l.Protocol, Certificates: l.Certificates,
			ProxyProtocol: l.ProxyProtocol, IdleTimeoutS: l.IdleTimeoutS, BodyLimit: l.BodyLimit, Owner: l.Owner,
			TrustedProxies: l.TrustedProxies,
		}
		if l.Alias != nil {
			put.Alias = l.Alias.Name
		}
		readListener(o, &put)
		if put.Port == l.Port {
			return put, nil
		}
		return put, c.refuseAgentPort("listener "+string(l.Name), put)
	}), nil
}

func (c *Call) deleteListener() (*Order, error) {
	token, err := c.plain()
	if err != nil {
		return nil, err
	}
	name := fleet.ListenerName(c.PathValue("name"))
	return listenerOrder(token, name, func(*fleet.State) (fleet.Command, error) {
		return fleet.DeleteListener{Name: name, ExpectedModifyIndex: c.expect()}, nil
	}), nil
}

// readListener lays the fields given over a listener.
func readListener(o *strictjson.Object, put *fleet.PutListener) {
	readNumber(o, "port", &put.Port, 1, 65_535)
	if o.Has("protocol") {
		protocol, err := fleet.ParseListenerProtocol(o.Choice("protocol", "HTTP", "HTTPS", "TCP", "TLS"))
		if err == nil {
			put.Protocol = protocol
		}
	}
	if o.Has("certificates") {
		put.Certificates = nil
		for _, f := range o.Objects("certificates", fleet.MaxCertificates) {
			need(f, "certificateFile", "path of a PEM file on every host")
			need(f, "keyFile", "path of a PEM file on every host")
			put.Certificates = append(put.Certificates, fleet.CertificateFile{
				Certificate: f.Text("certificateFile", fleet.MaxName), Key: f.Text("keyFile", fleet.MaxName),
			})
		}
	}
	put.ProxyProtocol = o.Bool("proxyProtocol", put.ProxyProtocol)
	if o.Has("trustedProxies") {
		put.TrustedProxies = readPrefixes(o, "trustedProxies", fleet.MaxTrustedProxies)
	}
	readNumber(o, "idleTimeoutSeconds", &put.IdleTimeoutS, 0, anyNumber)
	put.BodyLimit = o.Int("bodyLimitBytes", put.BodyLimit, 0, anyNumber)
	if o.Has("alias") {
		put.Alias = strings.ToLower(o.Text("alias", fleet.MaxHostName))
	}
}

// readPrefixes reads networks; an address stands for itself alone.
func readPrefixes(o *strictjson.Object, key string, most int) (all []netip.Prefix) {
	for i, text := range o.Texts(key, most, fleet.MaxName) {
		prefix, err := netip.ParsePrefix(text)
		if addr, notAddr := netip.ParseAddr(text); notAddr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			o.Refuse(fmt.Sprintf("%s[%d]", key, i), "want an address or a network, such as 10.0.0.0/8")
			continue
		}
		all = append(all, prefix.Masked())
	}
	return all
}

// listenerOrder is a write about one listener.
func listenerOrder(token string, name fleet.ListenerName, command func(*fleet.State) (fleet.Command, error)) *Order {
	return rowOrder(token, command, func(v *view.View, w types.Written) any {
		answer := &types.ListenerWritten{Written: w}
		if l := v.State.Listener(name); l != nil {
			row := v.ListenerRow(l)
			answer.Listener = &row
		}
		return answer
	})
}
