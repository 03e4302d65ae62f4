// Package rpc is how one call travels between two agents: the connection that is made for it, the time that its caller
// still waits, the body, and the answer or the sentinel with which it is refused. Both ends are here, so that they
// agree.
//
// It does not know which calls there are, nor who may make them: that is the table of package peer. It repeats nothing:
// it tells what was surely not done from what may have been ([NotSent], [NotDone]).
package rpc
