package types

// Headers that a client may read or send.
const (
	// HeaderIndex is the log index that an answer shows, or at which a write was
	// committed. Sent with a read it asks for an answer that shows that index at
	// least.
	HeaderIndex = "X-Skein-Index"
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
