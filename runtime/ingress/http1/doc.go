// Package http1 reads and rewrites the heads of HTTP/1.1 messages, and finds where
// their bodies end, for a relay that passes bytes on and does not copy them into
// maps.
//
// The parser is strict: what it accepts is a subset of what net/http accepts, so
// that no server behind the relay can read a message in another way than the
// relay did. A message that it refuses is answered and its connection closed; it
// is never mended. Heads refer to the bytes that they were read from, and are
// valid as long as those are.
//
// It does not own sockets, deadlines, or which target a request goes to.
// Sources: RFC 9110, RFC 9112.
package http1
