package types

// EntryAddresses is a page of entry addresses.
type EntryAddresses struct {
	Meta
	EntryAddresses []EntryAddress `json:"entryAddresses"`
	Next           string         `json:"next,omitempty" doc:"pass as next for the following page"`
}

// EntryAddress is a floating address that one host at a time answers for.
type EntryAddress struct {
	Address     string      `json:"address"`
	Subnet      string      `json:"subnet" doc:"hosts in it can hold the address"`
	ModifyIndex uint64      `json:"modifyIndex"`
	State       string      `json:"state" enum:"assigned,unassigned,failed,conflict" doc:"assigned: a host holds it and names no trouble; failed: its holder cannot; conflict: a machine outside the fleet says that it is its own"`
	Holder      *HostRef    `json:"holder" nullable:"true" doc:"null while nobody holds it: see conditions"`
	Since       Stamp       `json:"since,omitzero" doc:"when the holder was given it"`
	Why         string      `json:"why,omitempty" doc:"it was moved there"`
	Former      *HostRef    `json:"former,omitempty" doc:"held it before; connections that began there are relayed to it"`
	FormerUntil Stamp       `json:"formerUntil,omitzero" doc:"until then at most"`
	Conditions  []Condition `json:"conditions,omitempty" doc:"why nobody holds it, or why it does not move"`
}

// Trouble is why clients may not reach an entry address, in one line; empty: nothing is known.
func (e *EntryAddress) Trouble() string {
	if e.State == "assigned" || len(e.Conditions) == 0 {
		return ""
	}
	return "entry address " + e.Address + ": " + e.Conditions[0].Message
}

// EntryAddressBody adds an entry address.
type EntryAddressBody struct {
	Address     string `json:"address" doc:"with the length of its subnet: 10.0.0.100/24"`
	ClientToken string `json:"clientToken,omitempty"`
}

// EntryMoveBody moves an entry address.
type EntryMoveBody struct {
	Host        string `json:"host" doc:"id or name of the host that is to hold it"`
	Cut         bool   `json:"cut,omitempty" doc:"open connections end instead of being relayed: at once, also while those of an earlier move are"`
	ClientToken string `json:"clientToken,omitempty"`
}

// EntryAddressWritten answers a change of an entry address.
type EntryAddressWritten struct {
	Written
	EntryAddress *EntryAddress `json:"entryAddress" nullable:"true" doc:"null when it is gone"`
}
