package fleet

// CapacityReport is what a host says of itself by gossip and on its stream. It
// is observation: defined here so that all adapters share it, never stored in
// State. The newest wins by (Session nonce, Seq).
type CapacityReport struct {
	Host         HostID    `cbor:"1,keyasint"`
	Nonce        uint64    `cbor:"2,keyasint"` // the agent's nonce: rises with each start
	Seq          uint64    `cbor:"3,keyasint"` // rises with each report of one agent life
	Boot         string    `cbor:"4,keyasint,omitempty"`
	At           Time      `cbor:"5,keyasint"` // the host's clock, for people only
	Capacity     Resources `cbor:"6,keyasint"`
	Reserved     Resources `cbor:"7,keyasint,omitempty"` // by the tasks it holds
	Used         Resources `cbor:"8,keyasint,omitempty"` // measured
	PortsUsed    int       `cbor:"9,keyasint,omitempty"`
	TasksRunning int       `cbor:"10,keyasint,omitempty"`
	TasksPending int       `cbor:"11,keyasint,omitempty"`
	Pressure     Pressure  `cbor:"12,keyasint,omitempty"`
	Starved      bool      `cbor:"13,keyasint,omitempty"` // late by its own measure: no witness
	Protected    string    `cbor:"14,keyasint,omitempty"` // "yes", "partly: ...", "no: ..." (MECHANICS 8)
	OSImage      string    `cbor:"15,keyasint,omitempty"`
	Version      string    `cbor:"16,keyasint,omitempty"`
	Voter        bool      `cbor:"17,keyasint,omitempty"`
	DiskFreeMiB  int64     `cbor:"18,keyasint,omitempty"`
	Runtime      string    `cbor:"19,keyasint,omitempty"` // container runtime and version, or why it does not answer
}

// Pressure is the share of time (0 to 100) in which some work stalled over the
// last 10 s, as the kernel tells it (PSI); -1 where the kernel does not.
type Pressure struct {
	CPU    int8 `cbor:"1,keyasint,omitempty"`
	Memory int8 `cbor:"2,keyasint,omitempty"`
	IO     int8 `cbor:"3,keyasint,omitempty"`
}

// Newer reports whether r replaces o.
func (r *CapacityReport) Newer(o *CapacityReport) bool {
	return r.Nonce > o.Nonce || r.Nonce == o.Nonce && r.Seq > o.Seq
}
