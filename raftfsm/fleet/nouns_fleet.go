package fleet

// Fleet is the one row about the fleet as a whole.
type Fleet struct {
	ID          FleetID `cbor:"1,keyasint"`
	ModifyIndex uint64  `cbor:"2,keyasint"`
	Name        string  `cbor:"3,keyasint,omitempty"`
	Epoch       uint64  `cbor:"4,keyasint"` // only recover and restore raise it
	Now         Time    `cbor:"5,keyasint"` // highest stamp applied: fleet time never goes back
	// of what may be proposed: every voter, and every host with a session, reads it
	Format     int        `cbor:"6,keyasint"`
	Settings   Settings   `cbor:"7,keyasint"`
	SealedKeys SealedKeys `cbor:"8,keyasint"`
	CABundle   []byte     `cbor:"9,keyasint"` // PEM certificates hosts trust
	CreatedAt  Time       `cbor:"10,keyasint"`
	// NextFormat is the format that is planned, and NextFormatAt when it is to be
	// raised; zero for none. Until then every agent may go back.
	NextFormat   int  `cbor:"11,keyasint,omitempty"`
	NextFormatAt Time `cbor:"12,keyasint,omitempty"`
	// Routes is when what all hosts are sent of traffic last changed. It moves without
	// ModifyIndex: it is no change of the fleet.
	Routes RoutesMark `cbor:"13,keyasint,omitempty" since:"2"`
	// LastAlias is the number that was given to the newest name of an alias.
	LastAlias int `cbor:"14,keyasint,omitempty" since:"2"`
}

// RoutesMark says at which indices of the log Routes changed last.
type RoutesMark struct {
	Any     uint64 `cbor:"1,keyasint,omitempty"` // anything of them
	Rules   uint64 `cbor:"2,keyasint,omitempty"` // a listener or a rule
	Removed uint64 `cbor:"3,keyasint,omitempty"` // a target group was deleted
}

// Settings are what operators may turn. Zero values are never stored: see
// DefaultSettings.
type Settings struct {
	Voters           int   `cbor:"1,keyasint"` // target from three hosts on: 3, 5 or 7
	LostAfterMs      int64 `cbor:"2,keyasint"` // silent -> lost
	AgentDownAfterMs int64 `cbor:"3,keyasint"` // refused this long counts as silent
	DynamicPortFirst int   `cbor:"4,keyasint"` // bridge mode host ports
	DynamicPortLast  int   `cbor:"5,keyasint"`
	// how long all agents read a higher format before it is raised; see FormatSoak
	FormatSoakMs int64 `cbor:"6,keyasint,omitempty"`
}

// DefaultFormatSoakMs is a day: time to see what an upgrade does under a day's
// load while it can be taken back.
const DefaultFormatSoakMs = 86_400_000

// FormatSoak is how long every agent must have read a higher format before the
// fleet's is raised to it. Fleets made before it could be set have the default.
func (v Settings) FormatSoak() int64 {
	if v.FormatSoakMs == 0 {
		return DefaultFormatSoakMs
	}
	return v.FormatSoakMs
}

// DefaultSettings are what InitFleet starts from: 3 voters, lost after 5
// minutes, an agent may be down 10 minutes, dynamic ports 49153 to 65535, a day
// before a format is raised.
func DefaultSettings() Settings {
	return Settings{
		Voters: 3, LostAfterMs: 300_000, AgentDownAfterMs: 600_000, DynamicPortFirst: 49153, DynamicPortLast: 65535,
		FormatSoakMs: DefaultFormatSoakMs,
	}
}

// SealedKeys are the authority's secrets under the fleet key, which is never in
// State: AES-256-GCM, additional data = fleet id and version (cmd/skein/DESIGN.md "Init and join").
type SealedKeys struct {
	Version int    `cbor:"1,keyasint"`
	CA      []byte `cbor:"2,keyasint"` // nonce and ciphertext of the CA private key
	Gossip  []byte `cbor:"3,keyasint"` // nonce and ciphertext of the gossip key ring
}

// Token admits a host or carries operator writes. State holds only the hash of
// its secret.
type Token struct {
	ID          TokenID   `cbor:"1,keyasint"`
	ModifyIndex uint64    `cbor:"2,keyasint"`
	Kind        TokenKind `cbor:"3,keyasint"`
	Hash        []byte    `cbor:"4,keyasint"`           // sha256 of the secret
	Uses        int       `cbor:"5,keyasint,omitempty"` // left; operator tokens do not count down
	NotAfter    Time      `cbor:"6,keyasint"`
	BoundKeys   []string  `cbor:"7,keyasint,omitempty"` // public keys it has admitted: the same key gets the same answer
	CreatedAt   Time      `cbor:"8,keyasint"`
	By          string    `cbor:"9,keyasint,omitempty"`
	UsedAt      Time      `cbor:"10,keyasint,omitempty"` // when it last admitted a host
}

// ReceiptRow remembers the result of a client token for 24 h, capped in number.
type ReceiptRow struct {
	Token    string   `cbor:"1,keyasint"`
	BodyHash []byte   `cbor:"2,keyasint"`
	IDs      []string `cbor:"3,keyasint,omitempty"`
	At       Time     `cbor:"4,keyasint"`
	Index    uint64   `cbor:"5,keyasint"`
}

// Event is what was done and why: an entry of the event ring.
type Event struct {
	Seq     uint64  `cbor:"1,keyasint"`
	Index   uint64  `cbor:"2,keyasint"`
	At      Time    `cbor:"3,keyasint"`
	By      string  `cbor:"4,keyasint"` // planner, "operator", or "host h2"
	Code    string  `cbor:"5,keyasint"` // constant, like "tasks-created", "host-silent"
	Subject Subject `cbor:"6,keyasint"`
	Message string  `cbor:"7,keyasint,omitempty"`
	Counts  []Count `cbor:"8,keyasint,omitempty"`
	Cause   Cause   `cbor:"9,keyasint,omitempty"` // of stops and drains
}

// Count is a number with its name: hosts a filter refused, tasks created.
type Count struct {
	Name string `cbor:"1,keyasint"`
	N    int    `cbor:"2,keyasint"`
}

// Condition is why a planner does not act on a subject right now. Its key is subject
// and planner (By). Rows change only when the reason does, so that quiet fleets
// write nothing.
type Condition struct {
	Subject     Subject `cbor:"1,keyasint"`
	ModifyIndex uint64  `cbor:"2,keyasint"`
	By          string  `cbor:"3,keyasint"`
	Code        string  `cbor:"4,keyasint"` // "no-host-fits", "crash-back-off", "stuck-by-configuration"
	Message     string  `cbor:"5,keyasint"`
	Counts      []Count `cbor:"6,keyasint,omitempty"` // per filter: how many hosts it refused
	Since       Time    `cbor:"7,keyasint"`
	Until       Time    `cbor:"8,keyasint,omitempty"`
}
