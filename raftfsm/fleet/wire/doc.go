// Package wire is the one codec of Skein: entries of the log, snapshots of
// State, and the frames that hosts and voters exchange.
//
// Values are CBOR (RFC 8949) in its deterministic form, with the integer keys
// that the types in package fleet carry as tags: equal values have equal bytes.
// Reading is strict. Unknown and repeated keys, tags, indefinite lengths,
// invalid UTF-8, nesting deeper than 32 and lists longer than 32,768 are
// refused, and sizes are checked before anything is decoded or kept.
//
// What cannot be read by this build is ErrFormat, what was damaged on its way
// ErrCorrupt, what is larger than allowed ErrTooLarge.
//
// The package keeps no state; its functions may be called concurrently.
package wire
