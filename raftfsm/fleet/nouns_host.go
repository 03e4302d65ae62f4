package fleet

import "net/netip"

// Resources is an amount of cpu (1/1024 core) and memory (MiB).
type Resources struct {
	CPU    int64 `cbor:"1,keyasint,omitempty"`
	Memory int64 `cbor:"2,keyasint,omitempty"`
}

// Add returns r + o.
func (r Resources) Add(o Resources) Resources { return Resources{r.CPU + o.CPU, r.Memory + o.Memory} }

// Sub returns r - o; a part may become negative.
func (r Resources) Sub(o Resources) Resources { return Resources{r.CPU - o.CPU, r.Memory - o.Memory} }

// Times returns r taken n times.
func (r Resources) Times(n int) Resources {
	return Resources{r.CPU * int64(n), r.Memory * int64(n)}
}

// Fits reports whether r fits into room.
func (r Resources) Fits(room Resources) bool { return r.CPU <= room.CPU && r.Memory <= room.Memory }

// Host is a machine with an agent.
type Host struct {
	ID HostID `cbor:"1,keyasint"`
	// log index of the last change; ReportSeq, WantedModifyIndex, EntriesModifyIndex aside
	ModifyIndex uint64            `cbor:"2,keyasint"`
	Name        string            `cbor:"3,keyasint"` // unique among hosts not forgotten
	Zone        string            `cbor:"4,keyasint"`
	Addr        netip.AddrPort    `cbor:"5,keyasint"` // peer port
	Gossip      netip.AddrPort    `cbor:"6,keyasint,omitempty"`
	Status      string            `cbor:"7,keyasint,omitempty"` // URL of the status page, for people
	Attributes  map[string]string `cbor:"8,keyasint,omitempty"`
	Capacity    Resources         `cbor:"9,keyasint,omitempty"` // what tasks may reserve in total
	Session     Session           `cbor:"10,keyasint,omitempty"`
	State       HostState         `cbor:"11,keyasint"`
	StateSince  Time              `cbor:"12,keyasint"` // when State last changed; for silent hosts SilentSince
	Cordon      *Cordon           `cbor:"13,keyasint,omitempty"`
	// what Drain was before it had parts; read, never set
	WasDrain          bool    `cbor:"14,keyasint,omitempty"`
	Cert              Cert    `cbor:"15,keyasint,omitempty"`
	ReportSeq         uint64  `cbor:"16,keyasint,omitempty"` // highest report applied in this session
	WantedModifyIndex uint64  `cbor:"17,keyasint,omitempty"` // log index of the last change to its wanted tasks
	Version           string  `cbor:"18,keyasint,omitempty"` // agent version
	OSImage           string  `cbor:"19,keyasint,omitempty"`
	SelfCheck         []Check `cbor:"20,keyasint,omitempty"` // last self-check, in order; see Report
	JoinedAt          Time    `cbor:"21,keyasint"`
	// the log it said it holds when it opened its session; empty for none
	RaftID   RaftID `cbor:"22,keyasint,omitempty"`
	LastBoot string `cbor:"23,keyasint,omitempty"` // boot id of the session before this one, for "returned after a reboot"
	// BootSession is the first session of the present boot. A task whose Session
	// is lower was last heard of before the machine restarted (see State.Reachable).
	BootSession uint64 `cbor:"24,keyasint,omitempty"`
	ReadyAt     Time   `cbor:"25,keyasint,omitempty"` // when it first passed its self-check; zero: it never did
	CapacityAt  Time   `cbor:"26,keyasint,omitempty"` // when Capacity last changed
	LastRaft    int    `cbor:"27,keyasint,omitempty"` // highest number used in a RaftID of this host: never used again
	Format      int    `cbor:"28,keyasint,omitempty"` // highest entry format its agent reads; 0 means 1
	// SilentSince is when it last fell silent, kept while it is lost and when it is
	// back; zero when it never was, or rebooted since without anybody noticing.
	SilentSince Time `cbor:"29,keyasint,omitempty"`
	// BootedAt is when the first session of the present boot was opened; zero while
	// the host is in the boot in which it joined. The machine was down from
	// SilentSince at the earliest: zero there means that nobody knows since when.
	BootedAt Time `cbor:"30,keyasint,omitempty"`
	// Clone is the last other machine that showed this identity; nil: none did.
	Clone *Clone `cbor:"31,keyasint,omitempty"`
	// Flaps is how many times in a row it fell silent soon after it had come back.
	// While it is above zero a new session does not end silence: only ReturnHost.
	Flaps int `cbor:"32,keyasint,omitempty"`
	// Drain is why the host is to be emptied, and until when; nil: it is not. No
	// new work comes to it (Placeable), and no voter is made of it.
	Drain *Drain `cbor:"33,keyasint,omitempty"`
	// Refused is an agent of the host that asked for a session since the present one
	// was opened, and is too old for the fleet; nil: none did.
	Refused *RefusedAgent `cbor:"34,keyasint,omitempty"`
	// EntriesModifyIndex is the log index of the last change to the entry addresses that it
	// holds or held; 0: it never did.
	EntriesModifyIndex uint64 `cbor:"35,keyasint,omitempty" since:"2"`
}

// Placeable reports whether new tasks may be assigned to the host (I3).
func (h *Host) Placeable() bool { return h.State == HostReady && h.Cordon == nil && !h.Draining() }

// Draining reports whether the host is to be emptied.
func (h *Host) Draining() bool { return h.Drain != nil || h.WasDrain }

// Reachable reports whether tasks on the host count as present: neither silent
// nor lost nor forgotten.
func (h *Host) Reachable() bool { return h.State == HostReady || h.State == HostJoining }

// Session is one life of an agent. N rises by one with each and fences reports.
type Session struct {
	Boot  string `cbor:"1,keyasint,omitempty"` // kernel boot id: another one means that all containers are gone
	Nonce uint64 `cbor:"2,keyasint,omitempty"` // made by the agent, rising; only a newer one opens a session
	N     uint64 `cbor:"3,keyasint,omitempty"`
	Since Time   `cbor:"4,keyasint,omitempty"` // when it was opened; zero in rows written before this was kept
}

// Cordon keeps new work off a host.
type Cordon struct {
	By  string `cbor:"1,keyasint"`
	At  Time   `cbor:"2,keyasint"`
	Why string `cbor:"3,keyasint,omitempty"`
}

// Cert is what the fleet knows of a host's certificate.
type Cert struct {
	Serial    string `cbor:"1,keyasint,omitempty"`
	PublicKey string `cbor:"2,keyasint,omitempty"` // sha256 of the public key, hex: the identity admitted
	Revoked   bool   `cbor:"3,keyasint,omitempty"`
}

// Check is one line of a host's self-check.
type Check struct {
	Name     string `cbor:"1,keyasint"`
	OK       bool   `cbor:"2,keyasint,omitempty"`
	Required bool   `cbor:"3,keyasint,omitempty"` // joining -> ready needs all required ones
	Detail   string `cbor:"4,keyasint,omitempty"`
	// Listener is the one that the host cannot serve, or not with all of its certificates.
	Listener ListenerName `cbor:"5,keyasint,omitempty" since:"2"`
}

// Voter is a member of the Raft configuration, or on its way in or out.
type Voter struct {
	ID          RaftID     `cbor:"1,keyasint"`
	ModifyIndex uint64     `cbor:"2,keyasint"`
	Host        HostID     `cbor:"3,keyasint"`
	Phase       VoterPhase `cbor:"4,keyasint"`
	Since       Time       `cbor:"5,keyasint"`
	// when it was last noted as a leader that another had not been: see NoteLeader
	LeadsSince Time `cbor:"6,keyasint,omitempty"`
}
