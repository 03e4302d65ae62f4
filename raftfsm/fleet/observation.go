package fleet

// CapacityReport is what a host says of itself by gossip and on its stream. It
// is observation: defined here so that all adapters share it, never stored in
// State. One in the session that State has wins, else the newest by (Nonce, Seq):
// a clone of the host may have made a higher nonce than the host.
type CapacityReport struct {
	Host         HostID    `cbor:"1,keyasint"`
	Nonce        uint64    `cbor:"2,keyasint"` // of the session that the host opened last; 0: none yet
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
	// "yes", "partly: ...", "no: ..." (cmd/skein/DESIGN.md "Host layout")
	Protected   string `cbor:"14,keyasint,omitempty"`
	OSImage     string `cbor:"15,keyasint,omitempty"`
	Version     string `cbor:"16,keyasint,omitempty"`
	Voter       bool   `cbor:"17,keyasint,omitempty"`
	DiskFreeMiB int64  `cbor:"18,keyasint,omitempty"`
	Runtime     string `cbor:"19,keyasint,omitempty"` // container runtime and version, or why it does not answer
}

// Pressure is the share of time in which some work stalled over the last 10 s, in
// percent (0 to 100), as the kernel tells it (PSI); -1 where the kernel does not.
type Pressure struct {
	CPU    int8 `cbor:"1,keyasint,omitempty"`
	Memory int8 `cbor:"2,keyasint,omitempty"`
	IO     int8 `cbor:"3,keyasint,omitempty"`
}

// Highest is the highest of the three, in percent; what the kernel does not tell is 0.
func (p Pressure) Highest() int8 { return max(p.CPU, p.Memory, p.IO, 0) }

// Newer reports whether r is of a later session than o, or a later one of the same.
func (r *CapacityReport) Newer(o *CapacityReport) bool {
	return r.Nonce > o.Nonce || r.Nonce == o.Nonce && r.Seq > o.Seq
}

// Replaces reports whether r is to be held in the place of o. nonce is that of the
// session that State has, 0 where it is not known.
func (r *CapacityReport) Replaces(o *CapacityReport, nonce uint64) bool {
	if current := r.Nonce == nonce; current != (o.Nonce == nonce) && nonce != 0 {
		return current
	}
	return r.Newer(o)
}

// Texts of a capacity report have at most so many bytes.
const (
	MaxReportText     = 64  // Boot, OSImage, Version
	MaxReportLongText = 128 // Protected, Runtime
)

// Clip cuts the texts to what they may have, so that no report is too large to send.
func (r *CapacityReport) Clip() {
	r.Boot, r.OSImage = clip(r.Boot, MaxReportText), clip(r.OSImage, MaxReportText)
	r.Version = clip(r.Version, MaxReportText)
	r.Protected, r.Runtime = clip(r.Protected, MaxReportLongText), clip(r.Runtime, MaxReportLongText)
}
