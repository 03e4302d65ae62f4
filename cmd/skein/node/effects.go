package node

import (
	"skein/agent/deployment/runner"
	"skein/agent/effects"
	"skein/agent/peer/rpc"
	"skein/raftfsm"
	"skein/runtime/seam/vfs"
)

// executor carries effects out while this host leads.
func (n *node) executor(log *raftfsm.Node) *effects.Executor {
	return &effects.Executor{
		Log: log, Liveness: n.port.FailureDetector().Liveness, Mono: n.clock.Mono, Warn: n.Log.Warn,
		Ask: n.port.AskEffect, NotDone: rpc.NotDone,
	}
}

// runners are the effects that this host carries out.
func (n *node) runners() map[string]effects.Runner {
	return runner.Config{
		Allowed: n.hookAllowed, Now: n.clock.Now, LogFile: n.host.LogPath, ReadFile: readSecret,
		AliasAddr: n.aliasAddr,
	}.ByKind()
}

// hookAllowed asks the fleet's allow-list as this host's log has it.
func (n *node) hookAllowed(url string) error {
	log := n.voter.node()
	if log == nil {
		return runner.ErrUnknown
	}
	return log.State().CheckHookURL(url)
}

// readSecret reads a file that a hook target names.
func readSecret(name string, most int64) ([]byte, error) { return vfs.ReadRegular(vfs.OS, name, most) }
