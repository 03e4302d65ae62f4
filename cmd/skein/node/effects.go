package node

import (
	"skein/agent/effects"
	"skein/agent/peer/rpc"
	"skein/raftfsm"
)

// executor carries effects out while this host leads.
func (n *node) executor(log *raftfsm.Node) *effects.Executor {
	return &effects.Executor{
		Log: log, Liveness: n.port.FailureDetector().Liveness, Mono: n.clock.Mono, Warn: n.Log.Warn,
		Ask: n.port.AskEffect, NotDone: rpc.NotDone,
	}
}
