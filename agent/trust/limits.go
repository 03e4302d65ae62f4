package trust

import "time"

// Lives of what the authority signs. Source: cmd/skein/DESIGN.md "Init and join".
const (
	// CertLifetime is how long a host's certificate is good: a fleet cut from its
	// voters for three days loses nothing, a stolen key is worth a week.
	CertLifetime = 7 * 24 * time.Hour
	// CALifetime outlives the hardware; rotation is a bundle with two certificates.
	CALifetime = 10 * 365 * 24 * time.Hour
	// Backdate forgives a host whose clock is behind the signer's.
	Backdate = time.Hour
	// caBackdate is how long before it was made the authority is valid: a fleet made
	// while a clock was ahead goes on once the clock is set right. Nothing rests on
	// an authority's beginning.
	caBackdate = CALifetime
	// RenewWindow is how long after its end a certificate may still ask for a new
	// one, and nothing else: a fleet that was switched off for three weeks comes
	// back without an operator. One that is not valid yet may always, and nothing
	// else either: it was made while a clock was ahead.
	RenewWindow = 30 * 24 * time.Hour
	// renewSpread is the share of a certificate's life by which hosts renew
	// earlier or later than half of it, so that a fleet born in one hour does
	// not renew in one hour.
	renewSpread = 0.1
)

// Lives and uses of tokens. Source: cmd/skein/DESIGN.md "Init and join".
const (
	JoinTokenLifetime     = time.Hour
	JoinTokenUses         = 1
	OperatorTokenLifetime = 365 * 24 * time.Hour
)

// Bounds of what comes from outside.
const (
	// MaxTokenText is well above the 176 characters of a join token.
	MaxTokenText = 256
	// MaxCSR is well above the 400 bytes of a P-256 request.
	MaxCSR = 4096
	// MaxAttributes and MaxAttribute bound what a joining host says of itself.
	MaxAttributes = 64
	MaxAttribute  = 256
	// MaxJoinBody is the largest join request or answer: names, 64 attributes
	// of 256 characters twice, a CSR or a CA bundle, 7 voters.
	MaxJoinBody = 64 << 10
	// maxIDLen bounds host, fleet and token ids; ours are 18 characters.
	maxIDLen = 64
	// maxCertificates bounds a peer's chain and a CA bundle: a leaf, and two
	// authorities while one replaces the other.
	maxCertificates = 8
	// maxGossipKeys bounds the ring: the one in use and those being retired.
	maxGossipKeys = 8
)

// Pace of joining. The caller of Join is a person or a boot script, so Join
// itself is the outermost layer that retries.
const (
	// joinPatience covers an election and a leader that restarts.
	joinPatience = 30 * time.Second
	// joinTry bounds one try: a handshake, a commit and a signature.
	joinTry = 15 * time.Second
	// joinDials is how often an address that does not answer is dialled: a wrong
	// address should be told soon.
	joinDials = 3
	// joinBackoff and joinBackoffCap are full jitter's base and ceiling.
	joinBackoff    = 100 * time.Millisecond
	joinBackoffCap = 2 * time.Second
)
