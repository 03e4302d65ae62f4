package view

import (
	"fmt"
	"net/netip"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

func entryEndpoints() []Endpoint {
	return []Endpoint{
		{
			Spec: endpoint.Get("/v1/entry-addresses", "Entry addresses, and who holds them", types.EntryAddresses{},
				endpoint.Limit, endpoint.Next("entry-addresses")),
			Read: (*View).entryAddresses,
		},
		{
			Spec: endpoint.Get("/v1/entry-addresses/{name}", "One entry address", types.EntryAddress{}),
			Read: (*View).entryAddress,
		},
	}
}

// FindEntryAddress takes an address, however it is written.
func FindEntryAddress(st *fleet.State, text string) (*fleet.EntryAddress, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		if e := st.EntryAddress(addr.String()); e != nil {
			return e, nil
		}
	}
	return nil, fmt.Errorf("entry address %q: %w", types.Clean(text), fleet.ErrNotFound)
}

func (v *View) entryAddresses() (any, error) {
	limit, next := v.limit(endpoint.MaxPage), v.after("entry-addresses")
	answer := &types.EntryAddresses{Meta: v.Meta, EntryAddresses: []types.EntryAddress{}}
	for e := range v.State.EntryAddresses() {
		if e.Name() <= next {
			continue
		}
		if len(answer.EntryAddresses) == limit {
			answer.Next = endpoint.NewCursor("entry-addresses", answer.EntryAddresses[limit-1].Address)
			break
		}
		answer.EntryAddresses = append(answer.EntryAddresses, v.EntryAddressRow(e))
	}
	return answer, nil
}

func (v *View) entryAddress() (any, error) {
	e, err := FindEntryAddress(v.State, v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	row := v.EntryAddressRow(e)
	return &row, nil
}

// EntryAddressRow is the row of an entry address.
func (v *View) EntryAddressRow(e *fleet.EntryAddress) types.EntryAddress {
	row := types.EntryAddress{
		Address: e.Name(), Subnet: e.Prefix.Masked().String(), ModifyIndex: e.ModifyIndex, Holder: v.hostRef(e.Holder),
		Since: types.Stamp(e.Since), Why: types.Clean(e.Why), Former: v.hostRef(e.Former),
		FormerUntil: types.Stamp(e.FormerUntil), Conditions: v.conditions(fleet.EntryAddressSubject(e.Name())),
	}
	row.State = entryState(&row)
	return row
}

// entryState is how an entry address stands, by what the planner says of it.
func entryState(row *types.EntryAddress) string {
	for _, c := range row.Conditions {
		switch c.Code {
		case plan.CodeEntryFailed:
			return "failed"
		case plan.CodeEntryConflict:
			return "conflict"
		}
	}
	if row.Holder == nil {
		return "unassigned"
	}
	return "assigned"
}
