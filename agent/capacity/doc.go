// Package capacity says what tasks may reserve on a host, what they use, and when the
// fleet is told.
//
// It owns the share that is kept for the host itself, the sum of use between two looks,
// and which changes are worth a report at once. It is pure: it does not measure, and it
// does not send.
package capacity
