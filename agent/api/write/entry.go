package write

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/raftfsm/fleet"
)

var (
	entryFields     = own("entry address", "address", "clientToken")
	entryMoveFields = own("move of an entry address", "host", "cut", "clientToken")
)

func entryEndpoints() []Endpoint {
	return []Endpoint{
		creation("/v1/entry-addresses", "Add an entry address: one host of its subnet answers for it",
			types.EntryAddressBody{}, types.EntryAddressWritten{}, (*Call).createEntryAddress),
		change(http.MethodPost, "/v1/entry-addresses/{name}/move", "Have another host hold an entry address",
			types.EntryMoveBody{}, types.EntryAddressWritten{}, (*Call).moveEntryAddress),
		change(http.MethodDelete, "/v1/entry-addresses/{name}", "Delete an entry address: nobody answers for it",
			types.PlainBody{}, types.EntryAddressWritten{}, (*Call).deleteEntryAddress),
	}
}

func (c *Call) createEntryAddress() (*Order, error) {
	o, p, err := c.bodyOf(entryFields)
	if err != nil {
		return nil, err
	}
	const wanted = "an address with the length of its subnet, such as 10.0.0.100/24"
	need(o, "address", wanted)
	text := o.Text("address", fleet.MaxName)
	prefix, err := netip.ParsePrefix(text)
	if text != "" && err != nil {
		o.Refuse("address", "want %s", wanted)
	}
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return entryOrder(token, prefix.Addr().String(), func(st *fleet.State) (fleet.Command, error) {
		return fleet.PutEntryAddress{Prefix: prefix}, checkSubnet(st, prefix)
	}), nil
}

// checkSubnet refuses an address that no host could answer for.
func checkSubnet(st *fleet.State, prefix netip.Prefix) error {
	const named = 5
	e := &fleet.EntryAddress{Prefix: prefix}
	var others []string
	for h := range st.Hosts() {
		switch {
		case h.State == fleet.HostForgotten:
		case e.CanHold(h) || h.Addr.Addr().Unmap() == prefix.Addr(): // the host's own address is refused by State
			return nil
		case len(others) < named:
			others = append(others, h.Name+" "+h.Addr.Addr().String())
		}
	}
	return &fleet.FieldError{Field: "address", Why: fmt.Sprintf("no host is in %s (%s): want an address of the hosts' "+
		"own subnet; where they share none, as in most clouds, use a balancer with the health path /readyz/traffic",
		prefix.Masked(), strings.Join(others, ", "))}
}

func (c *Call) moveEntryAddress() (*Order, error) {
	o, p, err := c.bodyOf(entryMoveFields)
	if err != nil {
		return nil, err
	}
	need(o, "host", "id or name of the host that is to hold it")
	ref := o.Text("host", fleet.MaxName)
	cut := o.Bool("cut", false)
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	return entryOrder(token, name, func(st *fleet.State) (fleet.Command, error) {
		e, err := view.FindEntryAddress(st, name)
		if err != nil {
			return nil, err
		}
		h, err := view.FindHost(st, ref)
		if err != nil {
			return nil, err
		}
		return moveOf(st, e, h, cut)
	}), nil
}

// moveOf is a planned move: connections that are open go on at the host that holds the
// address now, or are cut. It is refused while an earlier move has the one place for that.
func moveOf(st *fleet.State, e *fleet.EntryAddress, to *fleet.Host, cut bool) (fleet.Command, error) {
	c := fleet.AssignEntryAddress{Addr: e.Prefix.Addr(), ExpectedHolder: e.Holder, Holder: to.ID,
		Why: "moved by an operator"}
	if e.Holder != "" && e.Holder != to.ID && !cut {
		if e.Former != "" && st.Now() < e.FormerUntil {
			return nil, fmt.Errorf("move of entry address %s: connections of the former move are still relayed until %s; wait, "+
				"or cut those that are open (cut, --cut): %w", e.Name(), e.FormerUntil, fleet.ErrConflict)
		}
		c.FormerUntil = st.Now().Add(fleet.EntryRelay)
	}
	if e.Holder == to.ID {
		c.FormerUntil, c.Why = 0, e.Why
	}
	return c, nil
}

func (c *Call) deleteEntryAddress() (*Order, error) {
	token, err := c.plain()
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	return entryOrder(token, name, func(st *fleet.State) (fleet.Command, error) {
		e, err := view.FindEntryAddress(st, name)
		if err != nil {
			return nil, err
		}
		return fleet.DeleteEntryAddress{Addr: e.Prefix.Addr()}, nil
	}), nil
}

// entryOrder is a write about one entry address.
func entryOrder(token, name string, command func(*fleet.State) (fleet.Command, error)) *Order {
	return rowOrder(token, command, func(v *view.View, w types.Written) any {
		answer := &types.EntryAddressWritten{Written: w}
		if e, err := view.FindEntryAddress(v.State, name); err == nil {
			row := v.EntryAddressRow(e)
			answer.EntryAddress = &row
		}
		return answer
	})
}
