package types

import "time"

// Headers that a client may read or send.
const (
	// HeaderIndex is the log index that an answer shows, or at which a write was
	// committed. Sent with a read it asks for an answer that shows that index at
	// least, so that one reads what one wrote: a number, or fleet=number pairs
	// joined with commas, of which those of other fleets are skipped.
	HeaderIndex = "X-Skein-Index"
	// HeaderFleet is the id of the fleet that an index is of.
	HeaderFleet = "X-Skein-Fleet"
	// HeaderBehind is "true" when an answer does not show the index asked for: the
	// answering host waited for it as long as it may.
	HeaderBehind = "X-Skein-Behind"
	// HeaderStale is how long ago, in milliseconds, an answer was known to be the
	// newest; -1 when nobody can tell.
	HeaderStale = "X-Skein-Stale-Ms"
	// HeaderCutOff is "true" when the answering host hears no leader.
	HeaderCutOff = "X-Skein-Cut-Off"
	// HeaderAlone is when the answering host last heard a leader.
	HeaderAlone = "X-Skein-Alone-Since"
	// HeaderToken carries the client token of a write whose body holds none.
	HeaderToken = "Idempotency-Key"
)

const (
	// IndexWait is how long a voter waits for an index that a read asks for: many
	// times what replication takes while it works.
	IndexWait = 2 * time.Second
	// MaxClientToken bounds a client token, in bytes.
	MaxClientToken = 64
)
