// Package stream is a voter's stream to a host: what the host is sent of its part
// of State, and when.
//
// [Sender] is the voter's end, a pure driver: the caller says what time it is,
// when State changed and when a frame was taken, and gets the frame to send next.
// One frame is under way at a time and nothing queues: what changes meanwhile is
// in State, and the next frame is what differs by then. [VoterFrame] is what
// travels, in pieces that fit the wire; [HostFrame] is the host's sign of life on
// the way back.
//
// What a host is sent has parts, which package fleet describes (fleet.Wanted): it also
// says which of them changed. The ledger here is what one stream has sent of them. The
// roster goes with the frames and is no part: it is the same for all hosts.
//
// The package opens no connection, and does not decide which host may stream.
package stream
