// Package wire is the one codec of Skein: entries of the log, snapshots of
// State, and the frames that hosts and voters exchange.
//
// Values are CBOR (RFC 8949) in its deterministic form, with the integer keys
// that the types in package fleet carry as tags: equal values have equal bytes.
// There are two ways to read. Entries and snapshots are read strictly: a field
// that is not known is refused, since voters that skipped it would diverge.
// Everything else, which hosts send each other and keep for themselves, is read
// leniently: agents of two builds run side by side, and the older one skips what
// it does not know. Both refuse repeated keys, tags, indefinite lengths, invalid
// UTF-8, nesting deeper than 32 and lists longer than 32,768, also in what is
// skipped, and check sizes before anything is decoded or kept.
//
// What cannot be read by this build is ErrFormat, what was damaged on its way
// ErrCorrupt, what is larger than allowed ErrTooLarge.
//
// What a receiver must not skip is gated: see raftfsm/fleet/DESIGN.md, "Formats".
//
// The package keeps no state; its functions may be called concurrently.
package wire
